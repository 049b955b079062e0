import { typeUrl } from "@lateen/proto";
import { CorsPolicy } from "@lateen/proto/envoy/config/route/v3/route_components";
import { FileAccessLog } from "@lateen/proto/envoy/extensions/access_loggers/file/v3/file";
import { Cors } from "@lateen/proto/envoy/extensions/filters/http/cors/v3/cors";
import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { LocalRateLimit } from "@lateen/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit";
import { Lua } from "@lateen/proto/envoy/extensions/filters/http/lua/v3/lua";
import { RBAC as HttpRbac } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { Router } from "@lateen/proto/envoy/extensions/filters/http/router/v3/router";
import { Wasm } from "@lateen/proto/envoy/extensions/filters/http/wasm/v3/wasm";
import { HttpInspector } from "@lateen/proto/envoy/extensions/filters/listener/http_inspector/v3/http_inspector";
import { OriginalDst } from "@lateen/proto/envoy/extensions/filters/listener/original_dst/v3/original_dst";
import { TlsInspector } from "@lateen/proto/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { RBAC as NetworkRbac } from "@lateen/proto/envoy/extensions/filters/network/rbac/v3/rbac";
import { TcpProxy } from "@lateen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import { PreviousHostsPredicate } from "@lateen/proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts";
import { RawBuffer } from "@lateen/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer";
import { DownstreamTlsContext, UpstreamTlsContext } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import { StringValue } from "@lateen/proto/google/protobuf/wrappers";
import { MessageWriter } from "@lateen/proto/messages";

interface MessageType {
  readonly $type: string;
  decode(bytes: Uint8Array): unknown;
  toJSON(message: never): unknown;
}

const TYPES: ReadonlyMap<string, MessageType> = new Map(
  [
    ...[CorsPolicy, FileAccessLog, Cors, HTTPFault, HttpRbac, Router, HttpInspector, OriginalDst, TlsInspector],
    ...[HttpConnectionManager, NetworkRbac, TcpProxy, PreviousHostsPredicate, RawBuffer, DownstreamTlsContext],
    ...[UpstreamTlsContext, HttpProtocolOptions, Lua, LocalRateLimit, Wasm, StringValue],
  ].map((type) => [typeUrl(type), type as MessageType]),
);

/** A resource as people can read it: proto JSON, with what is packed inside unpacked. Types not listed above stay packed. */
export function resourceJson(type: MessageType, bytes: Uint8Array): unknown {
  try {
    return unpacked(type.toJSON(type.decode(bytes) as never));
  } catch {
    // Something packed in it is of a type that only an EnvoyFilter knows.
    return writer.toJson(`type.googleapis.com/${type.$type}`, bytes);
  }
}
const writer = new MessageWriter();

function unpacked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unpacked);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const packed = value as { readonly typeUrl?: unknown; readonly value?: unknown };
  const type = typeof packed.typeUrl === "string" ? TYPES.get(packed.typeUrl) : undefined;
  if (type !== undefined) {
    const bytes = typeof packed.value === "string" ? Buffer.from(packed.value, "base64") : Buffer.alloc(0);
    return { "@type": packed.typeUrl, ...(resourceJson(type, bytes) as object) };
  }
  return Object.fromEntries(entries.map(([key, inner]) => [key, unpacked(inner)]));
}
