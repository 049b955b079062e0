import { readProcessConfig, runMain } from "@lateen/runtime";
import { composeMixer } from "./compose.ts";
import { flags } from "./config.ts";

const { values } = readProcessConfig(flags);
await runMain("mixer", (context) => composeMixer(values, context));
