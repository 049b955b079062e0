import { readProcessConfig, runMain } from "@lateen/runtime";
import { composePilot } from "./compose.ts";
import { flags } from "./config.ts";

const { values } = readProcessConfig(flags);
await runMain("pilot", (context) => composePilot(values, context));
