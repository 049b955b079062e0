import { typeUrl } from "@lateen/proto";
import type { TransportSocket } from "@lateen/proto/envoy/config/core/v3/base";
import { RawBuffer } from "@lateen/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer";
import type { Any } from "@lateen/proto/google/protobuf/any";
import type { FilterChainSpec, UpstreamTransportSpec } from "../plan.ts";
import { typedConfig } from "./any.ts";
import type { DecodeRun } from "./context.ts";
import { refuse } from "./fields.ts";
import { downstreamTls, upstreamTls } from "./tls.ts";

const RAW_TYPE = typeUrl(RawBuffer);
const TLS_TYPES = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.";

/** Which of the two sockets we speak this is, and its config. */
function kindOf(
  socket: TransportSocket | undefined,
  at: string,
): { kind: "raw" } | { kind: "tls"; config: Any | undefined } {
  if (socket === undefined) return { kind: "raw" };
  const config = typedConfig(socket.configType, at);
  if (config?.typeUrl.startsWith(TLS_TYPES)) return { kind: "tls", config };
  if (config?.typeUrl === RAW_TYPE) return { kind: "raw" };
  if (config === undefined && socket.name === "envoy.transport_sockets.raw_buffer") return { kind: "raw" };
  return refuse(
    at,
    `transport socket ${socket.name} (${config?.typeUrl ?? "no config"}) is not supported by this proxy`,
  );
}

/** Towards an upstream. @see envoy.config.core.v3.TransportSocket */
export function upstreamTransport(
  socket: TransportSocket | undefined,
  run: DecodeRun,
  at: string,
): UpstreamTransportSpec {
  const kind = kindOf(socket, at);
  return kind.kind === "raw" ? kind : { kind: "tls", ...upstreamTls(kind.config, run, at) };
}

/** Towards a client. */
export function downstreamTransport(
  socket: TransportSocket | undefined,
  run: DecodeRun,
  at: string,
): FilterChainSpec["transport"] {
  const kind = kindOf(socket, at);
  return kind.kind === "raw" ? kind : { kind: "tls", ...downstreamTls(kind.config, run, at) };
}
