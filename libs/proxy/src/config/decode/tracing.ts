import { typeUrl } from "@lateen/proto";
import { OpenTelemetryConfig } from "@lateen/proto/envoy/config/trace/v3/opentelemetry";
import {
  ZipkinConfig_CollectorEndpointVersion as Version,
  ZipkinConfig,
} from "@lateen/proto/envoy/config/trace/v3/zipkin";
import type {
  HttpConnectionManager,
  HttpConnectionManager_Tracing,
} from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import type { CustomTag } from "@lateen/proto/envoy/type/tracing/v3/custom_tag";
import type { CustomTagSpec, TracingProviderSpec, TracingSpec } from "../../tracing/spec.ts";
import { decodeBytes, typedConfig } from "./any.ts";
import { join, millis, onlyFields, refuse } from "./fields.ts";

/** Envoy's limit of a path in a span. */
const MAX_PATH = 256;
/** What a gRPC call to a collector may take without a limit of its own. */
const GRPC_TIMEOUT_MS = 10_000;

/** How requests are traced; undefined: they are not. */
export function tracingSpec({ tracing }: HttpConnectionManager, manager: string): TracingSpec | undefined {
  if (tracing === undefined) return undefined;
  const at = join(manager, "tracing");
  onlyFields(tracing, at, [
    "clientSampling",
    "randomSampling",
    "overallSampling",
    "maxPathTagLength",
    "customTags",
    "provider",
  ]);
  if (tracing.provider === undefined) return undefined;
  return {
    provider: provider(tracing.provider, join(at, "provider")),
    clientSampling: tracing.clientSampling?.value ?? 100,
    randomSampling: tracing.randomSampling?.value ?? 100,
    overallSampling: tracing.overallSampling?.value ?? 100,
    maxPathLength: tracing.maxPathTagLength ?? MAX_PATH,
    customTags: tracing.customTags.map((tag, index) => customTag(tag, join(at, `custom_tags[${index}]`))),
  };
}

function provider(http: NonNullable<HttpConnectionManager_Tracing["provider"]>, at: string): TracingProviderSpec {
  const config = typedConfig(http.configType, at);
  switch (config?.typeUrl) {
    case typeUrl(ZipkinConfig):
      return zipkin(decodeBytes(config.value, ZipkinConfig, at), at);
    case typeUrl(OpenTelemetryConfig):
      return openTelemetry(decodeBytes(config.value, OpenTelemetryConfig, at), at);
    default:
      return refuse(at, `tracer ${http.name} (${config?.typeUrl ?? "no config"}) is not supported by this proxy`);
  }
}

/** @see envoy.config.trace.v3.ZipkinConfig */
function zipkin(config: ZipkinConfig, at: string): TracingProviderSpec {
  onlyFields(config, at, [
    "collectorCluster",
    "collectorEndpoint",
    "traceId128bit",
    "sharedSpanContext",
    "collectorEndpointVersion",
    "collectorHostname",
  ]);
  if (config.collectorEndpointVersion !== Version.HTTP_JSON) {
    refuse(join(at, "collector_endpoint_version"), "only HTTP_JSON is supported by this proxy");
  }
  if (config.collectorCluster === "") refuse(join(at, "collector_cluster"), "required");
  return {
    kind: "zipkin",
    cluster: config.collectorCluster,
    authority: config.collectorHostname || config.collectorCluster,
    path: config.collectorEndpoint,
    longTraceIds: config.traceId128bit,
    sharedSpans: config.sharedSpanContext ?? true,
  };
}

/** @see envoy.config.trace.v3.OpenTelemetryConfig */
function openTelemetry(config: OpenTelemetryConfig, at: string): TracingProviderSpec {
  onlyFields(config, at, ["grpcService", "httpService", "serviceName"]);
  const serviceName = config.serviceName || "unknown_service:envoy";
  if (config.httpService !== undefined) return overHttp(config.httpService, serviceName, join(at, "http_service"));
  const grpc = join(at, "grpc_service");
  if (config.grpcService === undefined) return refuse(grpc, "required");
  onlyFields(config.grpcService, grpc, ["targetSpecifier", "timeout"]);
  const target = config.grpcService.targetSpecifier;
  if (target?.$case !== "envoyGrpc") return refuse(grpc, "envoy_grpc is required");
  const { clusterName, authority } = target.value;
  const timeoutMs = millis(config.grpcService.timeout, GRPC_TIMEOUT_MS, join(grpc, "timeout")) || GRPC_TIMEOUT_MS;
  return {
    kind: "otlp",
    cluster: clusterName,
    authority: authority || clusterName,
    serviceName,
    http: undefined,
    timeoutMs,
  };
}

function overHttp(
  service: NonNullable<OpenTelemetryConfig["httpService"]>,
  serviceName: string,
  at: string,
): TracingProviderSpec {
  onlyFields(service, at, ["httpUri", "requestHeadersToAdd"]);
  const { httpUri } = service;
  const cluster = httpUri?.httpUpstreamType?.value;
  const url = URL.parse(httpUri?.uri ?? "");
  if (httpUri === undefined || cluster === undefined || url === null) return refuse(join(at, "http_uri"), "required");
  return {
    kind: "otlp",
    cluster,
    authority: url.host,
    serviceName,
    http: {
      path: url.pathname + url.search,
      headers: service.requestHeadersToAdd.map(
        ({ header }) => [header?.key.toLowerCase() ?? "", header?.value ?? ""] as const,
      ),
    },
    timeoutMs: millis(httpUri.timeout, GRPC_TIMEOUT_MS, join(at, "http_uri.timeout")) || GRPC_TIMEOUT_MS,
  };
}

function customTag({ tag, type }: CustomTag, at: string): CustomTagSpec {
  switch (type?.$case) {
    case "literal":
      return { tag, kind: "literal", value: type.value.value };
    case "environment":
      return { tag, kind: "environment", name: type.value.name, fallback: type.value.defaultValue };
    case "requestHeader":
      return { tag, kind: "header", name: type.value.name.toLowerCase(), fallback: type.value.defaultValue };
    case "metadata": {
      const { kind, metadataKey, defaultValue } = type.value;
      const of = kind?.kind?.$case;
      if (of !== undefined && of !== "request")
        return refuse(join(at, "metadata.kind"), `${of} is not supported by this proxy`);
      const path = metadataKey?.path.flatMap(({ segment }) => (segment === undefined ? [] : [segment.value])) ?? [];
      return { tag, kind: "metadata", namespace: metadataKey?.key ?? "", path, fallback: defaultValue };
    }
    case undefined:
      return refuse(at, "a type is required");
  }
}
