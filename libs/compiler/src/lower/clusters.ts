import type { MeshService } from "@lateen/mesh-model";
import { durationFromMs, packAny } from "@lateen/proto";
import {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
} from "@lateen/proto/envoy/config/cluster/v3/cluster";
import type { Metadata } from "@lateen/proto/envoy/config/core/v3/base";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import type { ClusterContext } from "./cluster-context.ts";
import { transportFields } from "./cluster-tls.ts";
import { configPath, outboundCluster } from "./names.ts";
import { outlier } from "./outliers.ts";
import { NO_LIMIT } from "./own-clusters.ts";
import { adsSource } from "./proto.ts";
import { isHttp2, portClass } from "./protocol.ts";
import { milliseconds, type PolicyBlocks, policyFor } from "./traffic-policy.ts";

const DNS_REFRESH_MS = 60_000;

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** The clusters of a service port: one, and one for every subset. */
export function serviceClusters(context: ClusterContext): readonly Cluster[] {
  return ["", ...(context.rule?.subsets ?? []).map((subset) => subset.name)].map((subset) =>
    serviceCluster(context, subset),
  );
}

function serviceCluster(context: ClusterContext, subset: string): Cluster {
  const { service, port } = context;
  const name = outboundCluster(service.host, port.number, subset);
  const policy = policyFor(context.rule, port.number, subset);
  const discovery = discoveryOf(service, policy, context.client.router);
  const cluster = Cluster.fromPartial({
    name,
    ...discoveryFields(context, discovery, name, subset),
    connectTimeout: durationFromMs(connectTimeoutMs(context, policy)),
    ...poolFields(policy),
    metadata: clusterMetadata(context, subset),
    typedExtensionProtocolOptions: protocolOptions(context, policy),
    ...transportFields(context, policy, subset, discovery),
  });
  const { outlierDetection } = policy;
  if (outlierDetection !== undefined) {
    cluster.outlierDetection = outlier(outlierDetection);
    // Istio: without a minimum of healthy endpoints, ejection never leads to panic routing.
    cluster.commonLbConfig = {
      ...cluster.commonLbConfig,
      healthyPanicThreshold: { value: outlierDetection.minHealthPercent ?? 0 },
    } as NonNullable<Cluster["commonLbConfig"]>;
  }
  return cluster;
}

/** How a cluster finds its endpoints. Gateways know no original destination, so they get endpoints even of headless services. */
export function discoveryOf(service: MeshService, policy: PolicyBlocks, router: boolean): MeshService["resolution"] {
  const passthrough = service.resolution === "passthrough" || policy.loadBalancer?.simple === "PASSTHROUGH";
  if (!passthrough) return service.resolution;
  return router ? "clientSide" : "passthrough";
}

function discoveryFields(
  context: ClusterContext,
  discovery: MeshService["resolution"],
  name: string,
  subset: string,
): Parameters<typeof Cluster.fromPartial>[0] {
  const lbPolicy = balancer(policyFor(context.rule, context.port.number, subset));
  switch (discovery) {
    case "passthrough":
      return {
        clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      };
    case "dns":
    case "dnsRoundRobin":
    case "alias": {
      const type = discovery === "dnsRoundRobin" ? Cluster_DiscoveryType.LOGICAL_DNS : Cluster_DiscoveryType.STRICT_DNS;
      return {
        clusterDiscoveryType: { $case: "type", value: type },
        lbPolicy,
        loadAssignment: context.dnsEndpoints(name, subset),
        dnsLookupFamily: Cluster_DnsLookupFamily.V4_ONLY,
        dnsRefreshRate: durationFromMs(DNS_REFRESH_MS),
        respectDnsTtl: true,
      };
    }
    case "clientSide":
      return {
        clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.EDS },
        lbPolicy,
        edsClusterConfig: { edsConfig: adsSource(), serviceName: name },
      };
  }
}

function balancer(policy: PolicyBlocks): Cluster_LbPolicy {
  switch (policy.loadBalancer?.simple) {
    case "ROUND_ROBIN":
      return Cluster_LbPolicy.ROUND_ROBIN;
    case "RANDOM":
      return Cluster_LbPolicy.RANDOM;
    default:
      return Cluster_LbPolicy.LEAST_REQUEST;
  }
}

function connectTimeoutMs(context: ClusterContext, policy: PolicyBlocks): number {
  const own = policy.connectionPool?.tcp?.connectTimeout;
  return own === undefined ? context.connectTimeoutMs : milliseconds(own);
}

function poolFields(policy: PolicyBlocks): Parameters<typeof Cluster.fromPartial>[0] {
  const { tcp, http } = policy.connectionPool ?? {};
  const keepalive = tcp?.tcpKeepalive;
  return {
    circuitBreakers: {
      thresholds: [
        {
          maxConnections: tcp?.maxConnections ?? NO_LIMIT,
          maxPendingRequests: http?.http1MaxPendingRequests ?? NO_LIMIT,
          maxRequests: http?.http2MaxRequests ?? NO_LIMIT,
          maxRetries: http?.maxRetries ?? NO_LIMIT,
          trackRemaining: true,
        },
      ],
    },
    ...(keepalive === undefined
      ? {}
      : {
          upstreamConnectionOptions: {
            tcpKeepalive: {
              keepaliveProbes: keepalive.probes,
              keepaliveTime: seconds(keepalive.time),
              keepaliveInterval: seconds(keepalive.interval),
            },
          },
        }),
  };
}

function seconds(duration: string | undefined): number | undefined {
  return duration === undefined ? undefined : Math.round(milliseconds(duration) / 1000);
}

/** Upstream protocol and HTTP connection settings. Nothing for plain HTTP/1 and TCP without settings: Envoy's default. */
function protocolOptions(context: ClusterContext, policy: PolicyBlocks): Cluster["typedExtensionProtocolOptions"] {
  const { client, port } = context;
  const kind = portClass(port.protocol, client);
  const http = policy.connectionPool?.http;
  const common = {
    ...(http?.idleTimeout === undefined ? {} : { idleTimeout: durationFromMs(milliseconds(http.idleTimeout)) }),
    ...(http?.maxRequestsPerConnection ? { maxRequestsPerConnection: http.maxRequestsPerConnection } : {}),
  };
  const http2 = kind === "http" && isHttp2(port.protocol);
  const follow = kind === "auto" && client.http2;
  if (!http2 && !follow && Object.keys(common).length === 0) return {};
  const options = HttpProtocolOptions.fromPartial({
    ...(Object.keys(common).length > 0 ? { commonHttpProtocolOptions: common } : {}),
    upstreamProtocolOptions: follow
      ? { $case: "useDownstreamProtocolConfig", value: { httpProtocolOptions: {}, http2ProtocolOptions: {} } }
      : {
          $case: "explicitHttpConfig",
          value: {
            protocolConfig: http2
              ? { $case: "http2ProtocolOptions", value: {} }
              : { $case: "httpProtocolOptions", value: {} },
          },
        },
  });
  return { [HTTP_OPTIONS]: packAny(HttpProtocolOptions, options) };
}

function clusterMetadata(context: ClusterContext, subset: string): Metadata {
  const { service, port, rule } = context;
  return {
    filterMetadata: {
      istio: {
        ...(rule === undefined ? {} : { config: configPath("destination-rule", rule.namespace, rule.name) }),
        default_original_port: port.number,
        services: [{ host: service.host, name: service.name, namespace: service.namespace }],
        ...(subset === "" ? {} : { subset }),
      },
    },
    typedFilterMetadata: {},
  };
}
