import type { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { RequestMethod } from "@lateen/proto/envoy/config/core/v3/base";
import type {
  HealthCheck,
  HealthCheck_HttpHealthCheck,
  HealthCheck_Payload,
} from "@lateen/proto/envoy/config/core/v3/health_check";
import { CodecClientType } from "@lateen/proto/envoy/type/v3/http";
import type { Int64Range } from "@lateen/proto/envoy/type/v3/range";
import type { ClusterSpec, HealthCheckSpec } from "../plan.ts";
import { join, millis, onlyFields, refuse } from "./fields.ts";

const AT = "health_checks[0]";
const NO_TRAFFIC_MS = 60_000;

/** How endpoints are asked whether they are well. @see envoy.config.core.v3.HealthCheck */
export function healthCheck(
  { name, healthChecks }: Cluster,
  discovery: ClusterSpec["discovery"],
): Pick<ClusterSpec, "healthCheck"> {
  const [check, ...more] = healthChecks;
  if (check === undefined) return {};
  if (more.length > 0) refuse("health_checks", "more than one is not supported by this proxy");
  if (discovery === "originalDst") refuse("health_checks", "not supported on ORIGINAL_DST clusters by this proxy");
  onlyFields(check, AT, KNOWN);
  if (check.reuseConnection === false) refuse(join(AT, "reuse_connection"), "only true is supported by this proxy");
  const intervalMs = required(check.interval, "interval");
  const unhealthyMs = millis(check.unhealthyInterval, intervalMs, join(AT, "unhealthy_interval"));
  return {
    healthCheck: {
      timeoutMs: required(check.timeout, "timeout"),
      intervalMs,
      noTrafficMs: millis(check.noTrafficInterval, NO_TRAFFIC_MS, join(AT, "no_traffic_interval")),
      unhealthyMs,
      unhealthyEdgeMs: millis(check.unhealthyEdgeInterval, unhealthyMs, join(AT, "unhealthy_edge_interval")),
      healthyEdgeMs: millis(check.healthyEdgeInterval, intervalMs, join(AT, "healthy_edge_interval")),
      initialJitterMs: millis(check.initialJitter, 0, join(AT, "initial_jitter")),
      jitterMs: millis(check.intervalJitter, 0, join(AT, "interval_jitter")),
      jitterPercent: check.intervalJitterPercent,
      unhealthyThreshold: check.unhealthyThreshold ?? refuse(join(AT, "unhealthy_threshold"), "required"),
      healthyThreshold: check.healthyThreshold ?? refuse(join(AT, "healthy_threshold"), "required"),
      ask: askOf(check, name),
    },
  };
}

const KNOWN: readonly (keyof HealthCheck & string)[] = [
  "timeout",
  "interval",
  "initialJitter",
  "intervalJitter",
  "intervalJitterPercent",
  "unhealthyThreshold",
  "healthyThreshold",
  "reuseConnection",
  "healthChecker",
  "noTrafficInterval",
  "unhealthyInterval",
  "unhealthyEdgeInterval",
  "healthyEdgeInterval",
];

function required(duration: HealthCheck["timeout"], field: string): number {
  const ms = millis(duration, 0, join(AT, field));
  return ms > 0 ? ms : refuse(join(AT, field), "must be more than nothing");
}

function askOf({ healthChecker: checker }: HealthCheck, cluster: string): HealthCheckSpec["ask"] {
  switch (checker?.$case) {
    case "httpHealthCheck":
      return httpAsk(checker.value, cluster, join(AT, "http_health_check"));
    case "grpcHealthCheck":
      onlyFields(checker.value, join(AT, "grpc_health_check"), ["serviceName", "authority"]);
      return { kind: "grpc", service: checker.value.serviceName, authority: checker.value.authority || cluster };
    case "tcpHealthCheck": {
      const at = join(AT, "tcp_health_check");
      onlyFields(checker.value, at, ["send", "receive"]);
      const { send, receive } = checker.value;
      return {
        kind: "tcp",
        send: send === undefined ? new Uint8Array(0) : payload(send, join(at, "send")),
        receive: receive.map((part, i) => payload(part, join(at, `receive[${i}]`))),
      };
    }
    case "customHealthCheck":
      return refuse(join(AT, "custom_health_check"), "not supported by this proxy");
    case undefined:
      return refuse(join(AT, "health_checker"), "required");
  }
}

/** Texts are written in hexadecimal. */
function payload({ payload: given }: HealthCheck_Payload, at: string): Uint8Array {
  if (given?.$case === "binary") return Uint8Array.from(given.value);
  const text = given?.value ?? "";
  if (text === "" || !/^(?:[0-9a-fA-F]{2})+$/.test(text)) return refuse(join(at, "text"), "must be hexadecimal");
  return Uint8Array.from(Buffer.from(text, "hex"));
}

function httpAsk(check: HealthCheck_HttpHealthCheck, cluster: string, at: string): HealthCheckSpec["ask"] {
  onlyFields(check, at, [
    "host",
    "path",
    "requestHeadersToAdd",
    "expectedStatuses",
    "retriableStatuses",
    "codecClientType",
    "method",
  ]);
  if (!check.path.startsWith("/")) refuse(join(at, "path"), 'must begin with "/"');
  const method = METHODS.get(check.method) ?? refuse(join(at, "method"), `${check.method} is not supported`);
  if (check.codecClientType === CodecClientType.HTTP3) refuse(join(at, "codec_client_type"), "HTTP3 is not supported");
  return {
    kind: "http",
    method,
    host: check.host || cluster,
    path: check.path,
    headers: check.requestHeadersToAdd.map(({ header }, i) => {
      const name = header?.key.toLowerCase() ?? "";
      if (!/^[a-z0-9!#$&'*+.^_`|~-]+$/.test(name)) refuse(join(at, `request_headers_to_add[${i}]`), "no header name");
      return [name, header?.value ?? ""] as const;
    }),
    http2: check.codecClientType === CodecClientType.HTTP2,
    expected: check.expectedStatuses.length === 0 ? [[200, 201]] : check.expectedStatuses.map(range),
    retriable: check.retriableStatuses.map(range),
  };
}

const METHODS = new Map<number, string>([
  [RequestMethod.METHOD_UNSPECIFIED, "GET"],
  [RequestMethod.GET, "GET"],
  [RequestMethod.HEAD, "HEAD"],
  [RequestMethod.OPTIONS, "OPTIONS"],
  [RequestMethod.TRACE, "TRACE"],
]);

function range({ start, end }: Int64Range): readonly [from: number, to: number] {
  return [Number(start), Number(end)];
}
