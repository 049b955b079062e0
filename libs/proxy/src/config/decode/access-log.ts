import { celProblem } from "@lateen/cel";
import { typeUrl } from "@lateen/proto";
import type { AccessLog } from "@lateen/proto/envoy/config/accesslog/v3/accesslog";
import type { SubstitutionFormatString } from "@lateen/proto/envoy/config/core/v3/substitution_format_string";
import { FileAccessLog } from "@lateen/proto/envoy/extensions/access_loggers/file/v3/file";
import { ExpressionFilter } from "@lateen/proto/envoy/extensions/access_loggers/filters/cel/v3/cel";
import {
  type CommonGrpcAccessLogConfig,
  HttpGrpcAccessLogConfig,
  TcpGrpcAccessLogConfig,
} from "@lateen/proto/envoy/extensions/access_loggers/grpc/v3/als";
import type { AccessLogSink, AccessLogSpec } from "../plan.ts";
import { decodeBytes, typedConfig } from "./any.ts";
import type { DecodeRun } from "./context.ts";
import { join, onlyFields, refuse } from "./fields.ts";
import { dataText } from "./tls.ts";

/** Envoy's default text format. */
const DEFAULT_TEXT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ' +
  '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

const STREAM_TYPES: Readonly<Record<string, string>> = {
  "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog": "/dev/stdout",
  "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog": "/dev/stderr",
};

/** @see envoy.config.accesslog.v3.AccessLog */
export function accessLogs(logs: readonly AccessLog[], run: DecodeRun, at: string): readonly AccessLogSpec[] {
  return logs.map((log, index) => accessLog(log, run, join(at, `access_log[${index}]`)));
}

function accessLog(log: AccessLog, run: DecodeRun, at: string): AccessLogSpec {
  const filter = filterOf(log, join(at, "filter"));
  return { ...sink(log, run, at), ...(filter === undefined ? {} : { filter }) };
}

/** @see envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter */
function filterOf({ filter }: AccessLog, at: string): string | undefined {
  if (filter === undefined) return undefined;
  const specifier = filter.filterSpecifier;
  const config =
    specifier?.$case === "extensionFilter"
      ? typedConfig(specifier.value.configType, join(at, "extension_filter"))
      : undefined;
  if (config?.typeUrl !== typeUrl(ExpressionFilter))
    return refuse(at, "only filters of expressions in CEL are supported by this proxy");
  const { expression } = decodeBytes(config.value, ExpressionFilter, at);
  const problem = celProblem(expression, "condition");
  return problem === undefined ? expression : refuse(join(at, "expression"), problem);
}

function sink(log: AccessLog, run: DecodeRun, at: string): AccessLogSink {
  const config = typedConfig(log.configType, at);
  switch (config?.typeUrl) {
    case typeUrl(FileAccessLog):
      return fileLog(decodeBytes(config.value, FileAccessLog, at), run, at);
    case typeUrl(HttpGrpcAccessLogConfig): {
      const http = decodeBytes(config.value, HttpGrpcAccessLogConfig, at);
      onlyFields(http, at, ["commonConfig"]);
      return grpcLog(http.commonConfig, at);
    }
    case typeUrl(TcpGrpcAccessLogConfig):
      return grpcLog(decodeBytes(config.value, TcpGrpcAccessLogConfig, at).commonConfig, at);
    default: {
      const path = STREAM_TYPES[config?.typeUrl ?? ""];
      if (path === undefined)
        return refuse(
          at,
          `access logger ${log.name} (${config?.typeUrl ?? "no config"}) is not supported by this proxy`,
        );
      // The stream loggers share the file logger's `log_format` (field 1 there); only their default form is read here.
      if (config !== undefined && config.value.length > 0)
        refuse(join(at, "log_format"), "use the file access logger to choose a format");
      return { kind: "file", path, format: { kind: "text", text: DEFAULT_TEXT } };
    }
  }
}

function fileLog(file: FileAccessLog, run: DecodeRun, at: string): AccessLogSink {
  if (file.path === "") refuse(join(at, "path"), "required");
  const format = file.accessLogFormat;
  const of = (spec: (AccessLogSink & { kind: "file" })["format"]): AccessLogSink => ({
    kind: "file",
    path: file.path,
    format: spec,
  });
  switch (format?.$case) {
    case undefined:
      return of({ kind: "text", text: DEFAULT_TEXT });
    case "format":
      return of({ kind: "text", text: format.value || DEFAULT_TEXT });
    case "jsonFormat":
    case "typedJsonFormat":
      return of({ kind: "json", fields: format.value ?? {} });
    case "logFormat":
      return of(substitution(format.value, run, join(at, "log_format")));
  }
}

function substitution(
  format: SubstitutionFormatString,
  run: DecodeRun,
  at: string,
): (AccessLogSink & { kind: "file" })["format"] {
  // Formatters named by Istio (`req_without_query`, `metadata`) add operators; an operator the worker lacks is refused there.
  onlyFields(format, at, ["format", "omitEmptyValues", "contentType", "formatters", "jsonFormatOptions"]);
  switch (format.format?.$case) {
    case "textFormat":
      return { kind: "text", text: format.format.value || DEFAULT_TEXT };
    case "textFormatSource":
      return { kind: "text", text: dataText(format.format.value, run, join(at, "text_format_source")) };
    case "jsonFormat":
      return { kind: "json", fields: format.format.value ?? {} };
    case undefined:
      return { kind: "text", text: DEFAULT_TEXT };
  }
}

function grpcLog(common: CommonGrpcAccessLogConfig | undefined, at: string): AccessLogSink {
  const path = join(at, "common_config");
  if (common === undefined) return refuse(path, "required");
  onlyFields(common, path, [
    "logName",
    "grpcService",
    "transportApiVersion",
    "bufferFlushInterval",
    "bufferSizeBytes",
    "filterStateObjectsToLog",
  ]);
  const target = common.grpcService?.targetSpecifier;
  if (target?.$case !== "envoyGrpc") return refuse(join(path, "grpc_service"), "envoy_grpc is required");
  return { kind: "grpc", logName: common.logName, cluster: target.value.clusterName };
}
