export { type AdmissionValidator, createAdmissionValidator, validationRoutes } from "./admission.ts";
export { configWriter } from "./config-writer.ts";
export type { CommandDocument, CommandOptions } from "./decide-commands.ts";
export { createGalley, type Galley, type GalleyOptions, type GalleyStats } from "./galley.ts";
export type { ApplyAction, ApplyResult, RemoveResult } from "./results.ts";
export { galleyRoutes } from "./routes.ts";
