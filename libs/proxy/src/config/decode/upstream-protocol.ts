import type { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import type { Http2ProtocolOptions } from "@lateen/proto/envoy/config/core/v3/protocol";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import type { ClusterSpec } from "../plan.ts";
import { unpack } from "./any.ts";
import { HTTP2_CODEC, headersCount, http1Options } from "./codec-options.ts";
import { join, millis, onlyFields, optionalMs, refuse } from "./fields.ts";

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const HOUR_MS = 3_600_000;

const HTTP2_KNOWN: readonly (keyof Http2ProtocolOptions & string)[] = [...HTTP2_CODEC, "connectionKeepalive"];

type HttpFields = Pick<
  ClusterSpec,
  "autoSni" | "idleTimeoutMs" | "maxRequestsPerConnection" | "maxConnectionDurationMs" | "protocol" | "http2"
>;

/**
 * What is spoken to a cluster's endpoints, and how its connections are kept.
 * @see envoy.extensions.upstreams.http.v3.HttpProtocolOptions
 */
export function upstreamProtocol(cluster: Cluster): HttpFields {
  for (const name of Object.keys(cluster.typedExtensionProtocolOptions)) {
    if (name !== HTTP_OPTIONS) refuse(`typed_extension_protocol_options[${name}]`, "not supported by this proxy");
  }
  const any = cluster.typedExtensionProtocolOptions[HTTP_OPTIONS];
  const at = `typed_extension_protocol_options[${HTTP_OPTIONS}]`;
  const options = any === undefined ? undefined : unpack(any, HttpProtocolOptions, at);
  if (options !== undefined) {
    onlyFields(options, at, ["commonHttpProtocolOptions", "upstreamHttpProtocolOptions", "upstreamProtocolOptions"]);
  }
  const secure = options?.upstreamHttpProtocolOptions;
  if (secure !== undefined) {
    onlyFields(secure, join(at, "upstream_http_protocol_options"), ["autoSni", "autoSanValidation"]);
  }
  const common = options?.commonHttpProtocolOptions ?? cluster.commonHttpProtocolOptions;
  if (common !== undefined) {
    onlyFields(common, join(at, "common_http_protocol_options"), [
      "idleTimeout",
      "maxRequestsPerConnection",
      "maxHeadersCount",
      "maxConnectionDuration",
    ]);
    headersCount(common, join(at, "common_http_protocol_options"));
  }
  return {
    ...(secure?.autoSni || secure?.autoSanValidation
      ? { autoSni: { name: secure.autoSni, validate: secure.autoSanValidation } }
      : {}),
    ...(options === undefined ? legacyProtocol(cluster) : protocolOf(options, at)),
    ...(common?.maxConnectionDuration === undefined
      ? {}
      : { maxConnectionDurationMs: millis(common.maxConnectionDuration, 0, join(at, "max_connection_duration")) }),
    idleTimeoutMs: optionalMs(common?.idleTimeout, join(at, "idle_timeout")) ?? HOUR_MS,
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? cluster.maxRequestsPerConnection ?? 0,
  };
}

/** The fields of the cluster itself, from before HttpProtocolOptions. */
function legacyProtocol(cluster: Cluster): Pick<ClusterSpec, "protocol" | "http2"> {
  if (cluster.protocolSelection === 1) return speaking("downstream", cluster.http2ProtocolOptions, "");
  return cluster.http2ProtocolOptions === undefined ? {} : speaking("http2", cluster.http2ProtocolOptions, "");
}

function protocolOf(options: HttpProtocolOptions, at: string): Pick<ClusterSpec, "protocol" | "http2"> {
  const protocol = options.upstreamProtocolOptions;
  switch (protocol?.$case) {
    case undefined:
      return {};
    case "explicitHttpConfig": {
      const explicit = protocol.value.protocolConfig;
      if (explicit?.$case === "http2ProtocolOptions") {
        return speaking("http2", explicit.value, join(at, "explicit_http_config"));
      }
      if (explicit?.$case === "httpProtocolOptions") {
        http1Options(explicit.value, join(at, "explicit_http_config.http_protocol_options"));
        return {};
      }
      return refuse(join(at, "explicit_http_config"), "only HTTP/1.1 and HTTP/2 are supported by this proxy");
    }
    case "useDownstreamProtocolConfig":
      onlyFields(protocol.value, join(at, "use_downstream_protocol_config"), [
        "httpProtocolOptions",
        "http2ProtocolOptions",
      ]);
      return speaking("downstream", protocol.value.http2ProtocolOptions, join(at, "use_downstream_protocol_config"));
    case "autoConfig":
      onlyFields(protocol.value, join(at, "auto_config"), ["httpProtocolOptions", "http2ProtocolOptions"]);
      return speaking("auto", protocol.value.http2ProtocolOptions, join(at, "auto_config"));
  }
}

function speaking(
  protocol: NonNullable<ClusterSpec["protocol"]>,
  options: Http2ProtocolOptions | undefined,
  at: string,
): Pick<ClusterSpec, "protocol" | "http2"> {
  if (options !== undefined) onlyFields(options, join(at, "http2_protocol_options"), HTTP2_KNOWN);
  const keepAlive = keepAliveOf(options?.connectionKeepalive, join(at, "http2_protocol_options.connection_keepalive"));
  return {
    protocol,
    http2: {
      maxConcurrentStreams: options?.maxConcurrentStreams,
      ...(keepAlive === undefined ? {} : { keepAlive }),
    },
  };
}

/** PINGs of a connection, whether or not it has streams. */
function keepAliveOf(settings: Http2ProtocolOptions["connectionKeepalive"], at: string) {
  if (settings === undefined) return undefined;
  onlyFields(settings, at, ["interval", "timeout"]);
  const intervalMs = optionalMs(settings.interval, join(at, "interval"));
  if (intervalMs === undefined) return undefined;
  const timeoutMs = optionalMs(settings.timeout, join(at, "timeout")) ?? refuse(join(at, "timeout"), "required");
  return { intervalMs, timeoutMs };
}
