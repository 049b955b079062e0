import { readProcessConfig, runMain } from "@lateen/runtime";
import { composeAgent } from "./compose.ts";
import { flags } from "./config.ts";

const { values } = readProcessConfig(flags);
await runMain("agent", (context) => composeAgent(values, process.env, context));
