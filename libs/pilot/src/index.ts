export type { DebugView, ServiceWithEndpoints } from "./debug/debug-view.ts";
export type { ConnectedLimits, DebounceOptions, PilotOptions } from "./options.ts";
export { createPilot, type Pilot } from "./pilot.ts";
export type { SyncOutcome } from "./push/sync-waits.ts";
export { requireIdentity } from "./require-identity.ts";
export { pilotRoutes } from "./routes.ts";
export type { PilotStatus, ProxyStatus, ProxyTypeStatus } from "./status.ts";
