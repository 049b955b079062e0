import { readProcessConfig, runMain } from "@lateen/runtime";
import { composeControlPlane } from "./compose.ts";
import { flags } from "./config.ts";

const { values } = readProcessConfig(flags);
await runMain("control-plane", (context) => composeControlPlane(values, context));
