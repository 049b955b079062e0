import { readProcessConfig, runMain } from "@lateen/runtime";
import { composeCitadel } from "./compose.ts";
import { flags } from "./config.ts";

const { values } = readProcessConfig(flags);
await runMain("citadel", (context) => composeCitadel(values, context));
