import { defaultMeshConfig, type MeshConfig } from "@lateen/mesh-model";
import type { AccessLog } from "@lateen/proto/envoy/config/accesslog/v3/accesslog";
import { FileAccessLog } from "@lateen/proto/envoy/extensions/access_loggers/file/v3/file";
import { HttpGrpcAccessLogConfig } from "@lateen/proto/envoy/extensions/access_loggers/grpc/v3/als";
import { describe, expect, it } from "vitest";
import { accessLogs } from "./access-log.ts";

const ALS = {
  name: "mixer",
  envoyHttpAls: {
    service: "istio-system/mixer.istio-system.svc.cluster.local",
    port: 9091,
    logName: "log",
    additionalRequestHeadersToLog: ["x-a"],
    additionalResponseHeadersToLog: [],
  },
};
const logs = (config: Partial<MeshConfig>) => accessLogs(defaultMeshConfig(config));

function describeLog(log: AccessLog): string {
  const bytes = log.configType?.$case === "typedConfig" ? log.configType.value.value : Buffer.alloc(0);
  if (log.name === "envoy.access_loggers.http_grpc") {
    const target = HttpGrpcAccessLogConfig.decode(bytes).commonConfig?.grpcService?.targetSpecifier;
    return `grpc ${target?.$case === "envoyGrpc" ? target.value.clusterName : ""}`;
  }
  const file = FileAccessLog.decode(bytes);
  const format = file.accessLogFormat?.$case === "logFormat" ? file.accessLogFormat.value.format : undefined;
  if (format?.$case === "jsonFormat") return `${file.path} json ${Object.keys(format.value ?? {}).join()}`;
  const text = format?.$case === "textFormatSource" ? format.value.specifier : undefined;
  return `${file.path} text ${text?.$case === "inlineString" ? text.value.slice(0, 14) : ""}`;
}

describe("access logs", () => {
  const named = (...accessLogging: readonly string[]) => ({ defaultProviders: { accessLogging, metrics: [] } });
  const GRPC = "grpc outbound|9091||mixer.istio-system.svc.cluster.local";

  it.each<[string, Partial<MeshConfig>, readonly string[], readonly string[]]>([
    ["off", {}, [], []],
    [
      "to a file",
      { accessLogFile: "/dev/stdout" },
      ["/dev/stdout text [%START_TIME%]"],
      ["/dev/stdout text [%START_TIME%]"],
    ],
    [
      "own text",
      { accessLogFile: "/l", accessLogFormat: "%PROTOCOL%" },
      ["/l text %PROTOCOL%"],
      ["/l text %PROTOCOL%"],
    ],
    [
      "own JSON",
      { accessLogFile: "/l", accessLogEncoding: "JSON", accessLogFormat: '{"b":"%PROTOCOL%","a":"x"}' },
      ["/l json a,b"],
      ["/l json a,b"],
    ],
    ["a provider for HTTP", { extensionProviders: [ALS], ...named("mixer") }, [GRPC], []],
    [
      "a provider and a file",
      { accessLogFile: "/dev/stdout", extensionProviders: [ALS], ...named("mixer") },
      ["/dev/stdout text [%START_TIME%]", GRPC],
      ["/dev/stdout text [%START_TIME%]"],
    ],
    [
      "a file provider takes the place of the file",
      { accessLogFile: "/l", ...named("envoy") },
      ["/dev/stdout text [%START_TIME%]"],
      ["/dev/stdout text [%START_TIME%]"],
    ],
    ["a provider that does not exist", named("nobody"), [], []],
  ])("%s", (_title, config, http, tcp) => {
    const found = logs(config);
    expect(found.http.map(describeLog)).toEqual(http);
    expect(found.tcp.map(describeLog)).toEqual(tcp);
  });
});
