/**
 * Helpers around the generated messages. The messages themselves are imported by path, so that a bundle holds only what
 * it uses: `import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster"`.
 * `@lateen/proto/messages` describes all messages of Envoy at run time.
 */
export { type AnyMessage, AnyPacker, type PackedAny, packAny, type ReusingMessage, typeUrl } from "./any.ts";
export { durationFromMs, durationToMs, type ProtoDuration } from "./duration.ts";
