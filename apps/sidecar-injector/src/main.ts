import { readProcessConfig, runMain } from "@lateen/runtime";
import { composeSidecarInjector } from "./compose.ts";
import { flags } from "./config.ts";

const { values } = readProcessConfig(flags);
await runMain("sidecar-injector", (context) => composeSidecarInjector(values, context));
