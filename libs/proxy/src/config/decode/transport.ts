import { typeUrl } from "@lateen/proto";
import type { TransportSocket } from "@lateen/proto/envoy/config/core/v3/base";
import { ProxyProtocolConfig_Version } from "@lateen/proto/envoy/config/core/v3/proxy_protocol";
import { ProxyProtocolUpstreamTransport } from "@lateen/proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol";
import { RawBuffer } from "@lateen/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer";
import type { Any } from "@lateen/proto/google/protobuf/any";
import type { FilterChainSpec, UpstreamTransportSpec } from "../plan.ts";
import { typedConfig, unpack } from "./any.ts";
import type { DecodeRun } from "./context.ts";
import { join, onlyFields, refuse } from "./fields.ts";
import { downstreamTls, upstreamTls } from "./tls.ts";

const RAW_TYPE = typeUrl(RawBuffer);
const PROXY_TYPE = typeUrl(ProxyProtocolUpstreamTransport);
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

/** A PROXY line and what comes behind it; undefined: the socket is another one. */
function proxied(socket: TransportSocket | undefined, at: string) {
  const config = socket === undefined ? undefined : typedConfig(socket.configType, at);
  if (config?.typeUrl !== PROXY_TYPE) return undefined;
  const message = unpack(config, ProxyProtocolUpstreamTransport, at);
  onlyFields(message, at, ["config", "transportSocket"]);
  if (message.config !== undefined) onlyFields(message.config, join(at, "config"), ["version"]);
  if (message.transportSocket === undefined) return refuse(join(at, "transport_socket"), "required");
  const version: 1 | 2 = message.config?.version === ProxyProtocolConfig_Version.V2 ? 2 : 1;
  return { version, inner: message.transportSocket };
}

/** Towards an upstream. @see envoy.config.core.v3.TransportSocket */
export function upstreamTransport(
  socket: TransportSocket | undefined,
  run: DecodeRun,
  at: string,
): UpstreamTransportSpec {
  const behindLine = proxied(socket, at);
  if (behindLine !== undefined) {
    const inner = upstreamTransport(behindLine.inner, run, join(at, "transport_socket"));
    if (inner.proxyLine !== undefined) refuse(join(at, "transport_socket"), "one PROXY line is enough");
    return { ...inner, proxyLine: behindLine.version };
  }
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
