import type { ExtensionProvider, MeshConfig } from "@lateen/mesh-model";
import { packAny } from "@lateen/proto";
import type { AccessLog } from "@lateen/proto/envoy/config/accesslog/v3/accesslog";
import { ApiVersion } from "@lateen/proto/envoy/config/core/v3/config_source";
import { FileAccessLog } from "@lateen/proto/envoy/extensions/access_loggers/file/v3/file";
import { ExpressionFilter } from "@lateen/proto/envoy/extensions/access_loggers/filters/cel/v3/cel";
import { HttpGrpcAccessLogConfig } from "@lateen/proto/envoy/extensions/access_loggers/grpc/v3/als";
import type { HttpConnectionManager_Tracing } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import type { MetricsUse } from "../world/metrics.ts";
import type { LogUse } from "../world/telemetry.ts";
import { outboundCluster } from "./names.ts";
import { sortedRecord } from "./proto.ts";

/** Istio's default text format. */
export const DEFAULT_TEXT_FORMAT = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n`;

/** Istio's default JSON fields. */
const DEFAULT_JSON_FORMAT: Readonly<Record<string, string>> = {
  authority: "%REQ(:AUTHORITY)%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
  downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%",
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
  duration: "%DURATION%",
  method: "%REQ(:METHOD)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  protocol: "%PROTOCOL%",
  request_id: "%REQ(X-REQUEST-ID)%",
  requested_server_name: "%REQUESTED_SERVER_NAME%",
  response_code: "%RESPONSE_CODE%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  response_flags: "%RESPONSE_FLAGS%",
  route_name: "%ROUTE_NAME%",
  start_time: "%START_TIME%",
  upstream_cluster: "%UPSTREAM_CLUSTER%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_local_address: "%UPSTREAM_LOCAL_ADDRESS%",
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
  user_agent: "%REQ(USER-AGENT)%",
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
};

/** Access logs of HTTP chains and of TCP proxies; the gRPC log service takes HTTP only. */
export interface AccessLogs {
  readonly http: readonly AccessLog[];
  readonly tcp: readonly AccessLog[];
}

/** What of the mesh configuration, and of Telemetry objects, logs depend on. */
export interface ObservedConfig extends MeshConfig {
  /** Undefined: no Telemetry object says anything of logs. */
  readonly logs?: readonly LogUse[] | undefined;
  /** Undefined: the standard metrics as they are by default. */
  readonly metrics?: MetricsUse | undefined;
  readonly tracing?: HttpConnectionManager_Tracing | undefined;
}

/**
 * Access logs as Telemetry objects ask, else as the mesh configuration does: the providers named, and `accessLogFile` unless a
 * provider writes to a file. (Istio forgets the file as soon as any provider is named; here one always is, for the metrics that are
 * made of the log.)
 */
export function accessLogs(config: ObservedConfig): AccessLogs {
  const uses =
    config.logs ?? config.defaultProviders.accessLogging.map((provider) => ({ provider, filter: undefined }));
  const http: AccessLog[] = [];
  const tcp: AccessLog[] = [];
  for (const { provider: name, filter } of uses) {
    const provider = config.extensionProviders.find((candidate) => candidate.name === name);
    if (provider === undefined) continue;
    if (provider.envoyFileAccessLog !== undefined) {
      const log = filtered(providerFileLog(provider.envoyFileAccessLog), filter);
      http.push(log);
      tcp.push(log);
    }
    if (provider.envoyHttpAls !== undefined) http.push(filtered(grpcLog(provider.envoyHttpAls), filter));
  }
  if (config.logs === undefined && tcp.length === 0 && config.accessLogFile !== "") {
    const log = meshFileLog(config);
    http.unshift(log);
    tcp.unshift(log);
  }
  return { http, tcp };
}

function filtered(log: AccessLog, expression: string | undefined): AccessLog {
  if (expression === undefined) return log;
  const filter = {
    filterSpecifier: {
      $case: "extensionFilter",
      value: {
        name: "envoy.access_loggers.extension_filters.cel",
        configType: {
          $case: "typedConfig",
          value: packAny(ExpressionFilter, ExpressionFilter.fromPartial({ expression })),
        },
      },
    },
  } as const;
  return { ...log, filter };
}

function meshFileLog(config: MeshConfig): AccessLog {
  if (config.accessLogEncoding === "TEXT") return textLog(config.accessLogFile, config.accessLogFormat);
  const fields = config.accessLogFormat === "" ? undefined : parseFields(config.accessLogFormat);
  return jsonLog(config.accessLogFile, fields ?? DEFAULT_JSON_FORMAT);
}

function parseFields(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

function providerFileLog(provider: NonNullable<ExtensionProvider["envoyFileAccessLog"]>): AccessLog {
  const labels = provider.logFormat?.labels;
  if (labels !== undefined) return jsonLog(provider.path, labels);
  return textLog(provider.path, provider.logFormat?.text ?? "");
}

function textLog(path: string, format: string): AccessLog {
  return fileLog(
    FileAccessLog.fromPartial({
      path,
      accessLogFormat: {
        $case: "logFormat",
        value: {
          format: {
            $case: "textFormatSource",
            value: { specifier: { $case: "inlineString", value: format === "" ? DEFAULT_TEXT_FORMAT : format } },
          },
        },
      },
    }),
  );
}

function jsonLog(path: string, fields: Readonly<Record<string, unknown>>): AccessLog {
  return fileLog(
    FileAccessLog.fromPartial({
      path,
      accessLogFormat: {
        $case: "logFormat",
        value: { format: { $case: "jsonFormat", value: sortedRecord(fields) } },
      },
    }),
  );
}

function fileLog(log: FileAccessLog): AccessLog {
  return {
    name: "envoy.access_loggers.file",
    configType: { $case: "typedConfig", value: packAny(FileAccessLog, log) },
  };
}

/** Host of a provider's service, which may be written `namespace/host`. */
export function providerHost(service: string): string {
  return service.slice(service.indexOf("/") + 1);
}

function grpcLog(provider: NonNullable<ExtensionProvider["envoyHttpAls"]>): AccessLog {
  const cluster = outboundCluster(providerHost(provider.service), provider.port);
  return {
    name: "envoy.access_loggers.http_grpc",
    configType: {
      $case: "typedConfig",
      value: packAny(
        HttpGrpcAccessLogConfig,
        HttpGrpcAccessLogConfig.fromPartial({
          commonConfig: {
            logName: provider.logName,
            grpcService: {
              targetSpecifier: { $case: "envoyGrpc", value: { clusterName: cluster, authority: cluster } },
            },
            transportApiVersion: ApiVersion.V3,
          },
          additionalRequestHeadersToLog: [...provider.additionalRequestHeadersToLog],
          additionalResponseHeadersToLog: [...provider.additionalResponseHeadersToLog],
        }),
      ),
    },
  };
}
