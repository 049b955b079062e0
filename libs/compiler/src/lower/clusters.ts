import type { MeshService } from "@lateen/mesh-model";
import { durationFromMs, packAny } from "@lateen/proto";
import {
  Cluster,
  Cluster_CommonLbConfig,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
} from "@lateen/proto/envoy/config/cluster/v3/cluster";
import type { Metadata, TransportSocket } from "@lateen/proto/envoy/config/core/v3/base";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import type { ClusterContext } from "./cluster-context.ts";
import { transportFields, type UpstreamProtocol } from "./cluster-tls.ts";
import { commonOptions, HTTP_OPTIONS, http2Options, poolFields } from "./connection-pools.ts";
import { dynamicDnsDiscovery } from "./dynamic-dns.ts";
import { http1Options } from "./header-case.ts";
import { balancer, localitySetting, zoneAwareSetting } from "./load-balancing.ts";
import { configPath, outboundCluster } from "./names.ts";
import { outlier } from "./outliers.ts";
import { adsSource } from "./proto.ts";
import { isHttp2, portClass } from "./protocol.ts";
import { behindProxyLine, rawSocket } from "./tls.ts";
import { milliseconds, type PolicyBlocks, policyFor } from "./traffic-policy.ts";

const DNS_REFRESH_MS = 60_000;

/** The clusters of a service port: one, and one for every subset. */
export function serviceClusters(context: ClusterContext): readonly Cluster[] {
  return ["", ...(context.rule?.subsets ?? []).map((subset) => subset.name)].map((subset) => {
    const policy = policyFor(context.rule, context.port.number, subset, context.config.defaultTrafficPolicy);
    return serviceCluster(context, subset, policy);
  });
}

function serviceCluster(context: ClusterContext, subset: string, policy: PolicyBlocks): Cluster {
  const { service, port } = context;
  const name = outboundCluster(service.host, port.number, subset);
  const discovery = discoveryOf(service, policy, context.client.router);
  const cluster = Cluster.fromPartial({
    name,
    ...discoveryFields(context, discovery, policy, { name, subset }),
    connectTimeout: durationFromMs(connectTimeoutMs(context, policy)),
    ...poolFields(policy, context.config.tcpKeepalive),
    metadata: clusterMetadata(context, subset),
    typedExtensionProtocolOptions: protocolOptions(context, policy),
    ...transportSockets(context, policy, subset, discovery),
  });
  const zoneAware = zoneAwareSetting(policy);
  const weighs =
    zoneAware === undefined &&
    discovery !== "passthrough" &&
    localitySetting(policy, context.config, service) !== undefined;
  if (weighs) {
    cluster.commonLbConfig = Cluster_CommonLbConfig.fromPartial({
      localityConfigSpecifier: { $case: "localityWeightedLbConfig", value: {} },
    });
  }
  // Whether Envoy can, it finds out itself: it has to know how many clients each zone has.
  if (zoneAware !== undefined && discovery !== "passthrough" && !context.client.lateen) {
    const { minClusterSize } = zoneAware;
    const value = {
      routingEnabled: { value: 100 },
      ...(minClusterSize === undefined ? {} : { minClusterSize: BigInt(minClusterSize) }),
    };
    cluster.commonLbConfig = Cluster_CommonLbConfig.fromPartial({
      localityConfigSpecifier: { $case: "zoneAwareLbConfig", value },
    });
  }
  // Endpoints that are not ready are endpoints like others there: no share of them means panic.
  if (service.publishNotReadyAddresses) {
    cluster.commonLbConfig = Cluster_CommonLbConfig.fromPartial({
      ...cluster.commonLbConfig,
      healthyPanicThreshold: { value: 0 },
    });
  }
  const { outlierDetection } = policy;
  if (outlierDetection !== undefined) {
    cluster.outlierDetection = outlier(outlierDetection);
    // Istio: without a minimum of healthy endpoints, ejection never leads to panic routing.
    cluster.commonLbConfig = Cluster_CommonLbConfig.fromPartial({
      ...cluster.commonLbConfig,
      healthyPanicThreshold: { value: outlierDetection.minHealthPercent ?? 0 },
    });
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
  policy: PolicyBlocks,
  { name, subset }: { readonly name: string; readonly subset: string },
): Parameters<typeof Cluster.fromPartial>[0] {
  switch (discovery) {
    case "passthrough":
      return {
        clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      };
    case "dynamicDns":
      return { clusterDiscoveryType: dynamicDnsDiscovery(), lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED };
    case "dns":
    case "dnsRoundRobin":
    case "alias": {
      const type = discovery === "dnsRoundRobin" ? Cluster_DiscoveryType.LOGICAL_DNS : Cluster_DiscoveryType.STRICT_DNS;
      return {
        clusterDiscoveryType: { $case: "type", value: type },
        ...balancer(policy),
        loadAssignment: context.dnsEndpoints(name, subset),
        dnsLookupFamily: Cluster_DnsLookupFamily.V4_ONLY,
        dnsRefreshRate: durationFromMs(context.config.dnsRefreshRateMs ?? DNS_REFRESH_MS),
        respectDnsTtl: true,
      };
    }
    case "clientSide":
      return {
        clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.EDS },
        ...balancer(policy),
        edsClusterConfig: { edsConfig: adsSource(), serviceName: name },
      };
  }
}

function connectTimeoutMs(context: ClusterContext, policy: PolicyBlocks): number {
  const own = policy.connectionPool?.tcp?.connectTimeout;
  return own === undefined ? context.config.connectTimeoutMs : milliseconds(own);
}

/** Upstream protocol and HTTP connection settings. Nothing for plain HTTP/1 and TCP without settings: Envoy's default. */
function protocolOptions(context: ClusterContext, policy: PolicyBlocks): Cluster["typedExtensionProtocolOptions"] {
  const common = commonOptions(policy.connectionPool);
  const upstream = upstreamProtocol(context, policy);
  const dynamic = context.service.resolution === "dynamicDns";
  const httpProtocolOptions = http1Options(context.client.preserveCase);
  const plain = Object.keys(common).length === 0 && !dynamic && !context.client.preserveCase;
  if (upstream === "http1" && plain) return {};
  const http2ProtocolOptions = http2Options(policy.connectionPool);
  const options = HttpProtocolOptions.fromPartial({
    ...(Object.keys(common).length > 0 ? { commonHttpProtocolOptions: common } : {}),
    // Whatever host is asked for is the one that has to answer; Envoy takes no such cluster without it.
    ...(dynamic ? { upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: true } } : {}),
    upstreamProtocolOptions:
      upstream === "follow"
        ? { $case: "useDownstreamProtocolConfig", value: { httpProtocolOptions, http2ProtocolOptions } }
        : {
            $case: "explicitHttpConfig",
            value: {
              protocolConfig:
                upstream === "http2"
                  ? { $case: "http2ProtocolOptions", value: http2ProtocolOptions }
                  : { $case: "httpProtocolOptions", value: httpProtocolOptions },
            },
          },
  });
  return { [HTTP_OPTIONS]: packAny(HttpProtocolOptions, options) };
}

function upstreamProtocol(context: ClusterContext, policy: PolicyBlocks): UpstreamProtocol {
  const { client, port } = context;
  const kind = portClass(port.protocol, client);
  const http = policy.connectionPool?.http;
  if (kind === "http" && isHttp2(port.protocol)) return "http2";
  if (!client.http2) return "http1";
  if (kind === "auto") return "follow";
  if (kind !== "http") return "http1";
  if (http?.useClientProtocol) return "follow";
  const wanted = http?.h2UpgradePolicy ?? "DEFAULT";
  const upgrades = wanted === "UPGRADE" || (wanted === "DEFAULT" && context.config.upgradeToHttp2 === true);
  return upgrades ? "http2" : "http1";
}

/** How connections are secured, behind a PROXY line when that is asked for. */
function transportSockets(
  context: ClusterContext,
  policy: PolicyBlocks,
  subset: string,
  discovery: MeshService["resolution"],
): Parameters<typeof Cluster.fromPartial>[0] {
  const fields = transportFields(context, policy, subset, {
    discovery,
    upstream: upstreamProtocol(context, policy),
  });
  const version = policy.proxyProtocol?.version ?? "V1";
  if (policy.proxyProtocol === undefined) return fields;
  const matches = fields.transportSocketMatches ?? [];
  return {
    ...(matches.length > 0
      ? {
          transportSocketMatches: matches.map((entry) => ({
            ...entry,
            transportSocket: behindProxyLine(entry.transportSocket as TransportSocket, version),
          })),
        }
      : {
          transportSocket: behindProxyLine(
            (fields.transportSocket as TransportSocket | undefined) ?? rawSocket(),
            version,
          ),
        }),
  };
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
