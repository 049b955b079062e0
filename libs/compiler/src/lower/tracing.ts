import type { ExtensionProvider } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { OpenTelemetryConfig } from "@lateen/proto/envoy/config/trace/v3/opentelemetry";
import { ZipkinConfig, ZipkinConfig_CollectorEndpointVersion } from "@lateen/proto/envoy/config/trace/v3/zipkin";
import { HttpConnectionManager_Tracing } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import type { CustomTag } from "@lateen/proto/envoy/type/tracing/v3/custom_tag";
import type { TracingUse } from "../world/telemetry.ts";
import { providerHost } from "./access-log.ts";
import { outboundCluster } from "./names.ts";
import { typed } from "./proto.ts";

/** Who is traced, for tags and as the name of the service. */
export interface TracedWorkload {
  readonly namespace: string;
  readonly meshId: string;
  readonly service: string;
  readonly revision: string;
}

/** Istio's share of requests that are traced unless told otherwise. */
const DEFAULT_SAMPLING = 1;

/** Service and port of a tracing provider; undefined: it is of another kind. */
export function collectorOf(provider: ExtensionProvider): { readonly host: string; readonly port: number } | undefined {
  const target = provider.zipkin ?? provider.opentelemetry;
  return target && { host: providerHost(target.service), port: target.port };
}

/** How a connection manager traces. */
export function tracing(
  use: TracingUse,
  provider: ExtensionProvider,
  workload: TracedWorkload,
): HttpConnectionManager_Tracing | undefined {
  const config = providerConfig(provider, workload);
  if (config === undefined) return undefined;
  const share = use.silent ? 0 : 100;
  return HttpConnectionManager_Tracing.fromPartial({
    clientSampling: { value: share },
    randomSampling: { value: use.silent ? 0 : (use.samplingPercent ?? DEFAULT_SAMPLING) },
    overallSampling: { value: share },
    maxPathTagLength: (provider.zipkin ?? provider.opentelemetry)?.maxTagLength ?? 256,
    customTags: [...(use.istioTags ? istioTags(workload) : []), ...customTags(use.customTags)],
    provider: config,
  });
}

function providerConfig({ zipkin, opentelemetry }: ExtensionProvider, workload: TracedWorkload) {
  if (zipkin !== undefined) {
    const message = ZipkinConfig.fromPartial({
      collectorCluster: outboundCluster(providerHost(zipkin.service), zipkin.port),
      collectorEndpoint: zipkin.path,
      collectorHostname: providerHost(zipkin.service),
      collectorEndpointVersion: ZipkinConfig_CollectorEndpointVersion.HTTP_JSON,
      traceId128bit: !zipkin.enable64bitTraceId,
      sharedSpanContext: false,
    });
    return { name: "envoy.tracers.zipkin", configType: typed(ZipkinConfig, message) };
  }
  if (opentelemetry === undefined) return undefined;
  const { service, port, http } = opentelemetry;
  const cluster = outboundCluster(providerHost(service), port);
  const message = OpenTelemetryConfig.fromPartial({
    serviceName: `${workload.service}.${workload.namespace}`,
    ...(http === undefined
      ? {
          grpcService: {
            targetSpecifier: { $case: "envoyGrpc", value: { clusterName: cluster, authority: providerHost(service) } },
          },
        }
      : {
          httpService: {
            httpUri: {
              uri: `http://${providerHost(service)}:${port}${http.path}`,
              httpUpstreamType: { $case: "cluster", value: cluster },
              timeout: durationFromMs(http.timeoutMs),
            },
            requestHeadersToAdd: Object.entries(http.headers).map(([key, value]) => ({ header: { key, value } })),
          },
        }),
  });
  return { name: "envoy.tracers.opentelemetry", configType: typed(OpenTelemetryConfig, message) };
}

function istioTags({ namespace, meshId, service, revision }: TracedWorkload): CustomTag[] {
  const tags = {
    "istio.canonical_revision": revision,
    "istio.canonical_service": service,
    "istio.mesh_id": meshId,
    "istio.namespace": namespace,
  };
  return Object.entries(tags).map(([tag, value]) => ({ tag, type: { $case: "literal", value: { value } } }));
}

function customTags(tags: TracingUse["customTags"]): CustomTag[] {
  return Object.entries(tags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([tag, { literal, environment, header }]): CustomTag[] => {
      if (literal !== undefined) return [{ tag, type: { $case: "literal", value: { value: literal.value } } }];
      if (environment !== undefined) {
        const { name, defaultValue = "" } = environment;
        return [{ tag, type: { $case: "environment", value: { name, defaultValue } } }];
      }
      if (header === undefined) return [];
      const { name, defaultValue = "" } = header;
      return [{ tag, type: { $case: "requestHeader", value: { name: name.toLowerCase(), defaultValue } } }];
    });
}
