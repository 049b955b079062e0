import { readProcessConfig, runMain } from "@lateen/runtime";
import { composeGalley } from "./compose.ts";
import { flags } from "./config.ts";

const { values } = readProcessConfig(flags);
await runMain("galley", (context) => composeGalley(values, context));
