export {
  createXdsClient,
  type ReportedHealth,
  type XdsClient,
  type XdsClientOptions,
} from "./client/delta-client.ts";
export type { ApplyFailure, ReceivedResource, XdsUpdate } from "./client/update.ts";
export { HEALTH_TYPE, hasImplicitWildcard, pushOrder, xdsTypes } from "./resource-types.ts";
export { createDeltaSession } from "./server/delta-session.ts";
export { defaultStreamLimits } from "./server/limits.ts";
export type { ServerStream } from "./server/server-stream.ts";
export { SharedWork } from "./server/shared-work.ts";
export { createSotwSession } from "./server/sotw-session.ts";
export type { ServerStreamOptions } from "./server/stream-core.ts";
export { grpcStatus } from "./status-codes.ts";
export type {
  AdmitStream,
  EncodedResource,
  NackRecord,
  SentFacts,
  StreamLimits,
  StreamObserver,
  StreamProgress,
  StreamRefusal,
  StreamSource,
  StreamStatus,
  TypeStatus,
} from "./types.ts";
