export { type NatsFlags, natsOptionsOf } from "./bus-from-flags.ts";
export { type NatsBus, type NatsBusOptions, natsBus, type StateFacts } from "./nats-bus.ts";
export type { CredentialsKind, NatsCredentials, NatsTls } from "./socket/credentials.ts";
export type { ValueCodec, WatchDirectly } from "./topics/parts.ts";
