import type { MeshService, MeshServicePort } from "@lateen/mesh-model";
import { durationFromMs, packAny } from "@lateen/proto";
import {
  Cluster,
  Cluster_DiscoveryType,
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
} from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { OutlierDetection } from "@lateen/proto/envoy/config/cluster/v3/outlier_detection";
import type { Metadata } from "@lateen/proto/envoy/config/core/v3/base";
import type { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import type { DestinationPolicy } from "../world/rules.ts";
import {
  BLACK_HOLE_CLUSTER,
  configPath,
  INBOUND_PASSTHROUGH_CLUSTER,
  inboundCluster,
  meshSni,
  outboundCluster,
  PASSTHROUGH_CLUSTER,
} from "./names.ts";
import { adsSource, endingWith, exactly } from "./proto.ts";
import { isHttp2, portClass } from "./protocol.ts";
import { meshAlpn, meshClientTls, originatedTls, rawSocket } from "./tls.ts";
import { milliseconds, type PolicyBlocks, policyFor } from "./traffic-policy.ts";

const NO_LIMIT = 4_294_967_295;
const DNS_REFRESH_MS = 60_000;
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** Everything the clusters of one service port depend on. */
export interface ClusterContext {
  readonly service: MeshService;
  readonly port: MeshServicePort;
  readonly rule: DestinationPolicy | undefined;
  readonly identities: readonly string[];
  readonly autoMtls: boolean;
  readonly connectTimeoutMs: number;
  readonly client: { readonly http2: boolean; readonly router: boolean };
  /** Whether there are endpoints and all of them take mesh mTLS, for clusters that have no endpoints of their own. */
  readonly everyEndpointMtls: () => boolean;
  /** For DNS clusters: the addresses to resolve, already shaped. */
  readonly dnsEndpoints: (cluster: string, subset: string) => ClusterLoadAssignment;
}

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

/** How connections are secured: as the destination rule says, else mesh mTLS towards those endpoints that offer it. */
function transportFields(
  context: ClusterContext,
  policy: PolicyBlocks,
  subset: string,
  discovery: MeshService["resolution"],
): Parameters<typeof Cluster.fromPartial>[0] {
  const { service, port, client } = context;
  const tls = policy.tls;
  const kind = portClass(port.protocol, client);
  const alpn = meshAlpn(kind === "http" ? (isHttp2(port.protocol) ? "http2" : "http1") : "tcp");
  if (tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL") return { transportSocket: externalTls(service, port, tls) };
  if (tls?.mode === "DISABLE") return {};
  const names = tls?.subjectAltNames?.length ? tls.subjectAltNames : context.identities;
  const socket = meshClientTls({
    sni: tls?.sni || meshSni(service.host, port.number, subset),
    alpn,
    identities: names.map((name) => exactly(name)),
  });
  if (tls?.mode === "ISTIO_MUTUAL") return { transportSocket: socket };
  if (!context.autoMtls || service.meshExternal) return {};
  if (discovery === "passthrough") return context.everyEndpointMtls() ? { transportSocket: socket } : {};
  return {
    transportSocketMatches: [
      { name: "tlsMode-istio", match: { tlsMode: "istio" }, transportSocket: socket },
      { name: "tlsMode-disabled", match: {}, transportSocket: rawSocket() },
    ],
  };
}

function externalTls(service: MeshService, port: MeshServicePort, tls: NonNullable<PolicyBlocks["tls"]>) {
  const mutual = tls.mode === "MUTUAL";
  const trust = tls.caCertificates ? `file-root:${tls.caCertificates}` : "file-root:system";
  const host = service.host.startsWith("*") ? "" : service.host;
  const sni = tls.sni || host;
  const names = tls.subjectAltNames?.length ? tls.subjectAltNames : service.subjectAltNames;
  // Without names to check, the server must at least be the one that was asked for.
  const expected = names.length > 0 ? names : sni === "" ? [] : [sni];
  return originatedTls({
    sni,
    alpn: isHttp2(port.protocol) ? ["h2"] : [],
    certificate: mutual ? `file-cert:${tls.clientCertificate ?? ""}~${tls.privateKey ?? ""}` : undefined,
    trust: tls.insecureSkipVerify ? undefined : trust,
    names: expected.map((name) => ({
      type: name.includes("://") ? "uri" : "dns",
      match: name.startsWith("*.") ? endingWith(name.slice(1)) : exactly(name),
    })),
  });
}

function outlier(policy: NonNullable<PolicyBlocks["outlierDetection"]>): OutlierDetection {
  const consecutive5xx = policy.consecutive5xxErrors ?? policy.consecutiveErrors;
  const gateway = policy.consecutiveGatewayErrors;
  return OutlierDetection.fromPartial({
    enforcingSuccessRate: 0,
    ...(consecutive5xx === undefined
      ? {}
      : { consecutive5xx: Math.max(consecutive5xx, 1), enforcingConsecutive5xx: consecutive5xx > 0 ? 100 : 0 }),
    ...(gateway === undefined
      ? {}
      : {
          consecutiveGatewayFailure: Math.max(gateway, 1),
          enforcingConsecutiveGatewayFailure: gateway > 0 ? 100 : 0,
        }),
    ...(policy.interval === undefined ? {} : { interval: durationFromMs(milliseconds(policy.interval)) }),
    ...(policy.baseEjectionTime === undefined
      ? {}
      : { baseEjectionTime: durationFromMs(milliseconds(policy.baseEjectionTime)) }),
    ...(policy.maxEjectionPercent === undefined ? {} : { maxEjectionPercent: policy.maxEjectionPercent }),
    ...(policy.splitExternalLocalOriginErrors
      ? {
          splitExternalLocalOriginErrors: true,
          enforcingLocalOriginSuccessRate: 0,
          ...(policy.consecutiveLocalOriginFailures === undefined
            ? {}
            : {
                consecutiveLocalOriginFailure: Math.max(policy.consecutiveLocalOriginFailures, 1),
                enforcingConsecutiveLocalOriginFailure: policy.consecutiveLocalOriginFailures > 0 ? 100 : 0,
              }),
        }
      : {}),
  });
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

/** The cluster of one container port: connections go where they were sent to. */
export function inboundServiceCluster(options: {
  readonly port: number;
  readonly services: readonly MeshService[];
  readonly connectTimeoutMs: number;
  /** Stock Envoy binds a loopback address of its own, so that the kernel does not capture its connection again. */
  readonly bindLoopback: boolean;
}): Cluster {
  return Cluster.fromPartial({
    ...originalDestination(inboundCluster(options.port), options.connectTimeoutMs, options.bindLoopback),
    metadata: {
      filterMetadata: {
        istio: {
          services: options.services.map(({ host, name, namespace }) => ({ host, name, namespace })),
        },
      },
    },
  });
}

/** The clusters that every proxy has whatever the mesh: black hole and pass-through, outbound and (sidecars) inbound. */
export function fixedClusters(options: {
  readonly connectTimeoutMs: number;
  readonly inbound: boolean;
  readonly bindLoopback: boolean;
}): readonly Cluster[] {
  const { connectTimeoutMs: timeout, bindLoopback } = options;
  return [
    Cluster.fromPartial({
      name: BLACK_HOLE_CLUSTER,
      clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.STATIC },
      connectTimeout: durationFromMs(timeout),
    }),
    originalDestination(PASSTHROUGH_CLUSTER, timeout, false),
    ...(options.inbound ? [originalDestination(INBOUND_PASSTHROUGH_CLUSTER, timeout, bindLoopback)] : []),
  ];
}

function originalDestination(name: string, connectTimeoutMs: number, bindLoopback: boolean): Cluster {
  return Cluster.fromPartial({
    name,
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    connectTimeout: durationFromMs(connectTimeoutMs),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: {
      thresholds: [
        {
          maxConnections: NO_LIMIT,
          maxPendingRequests: NO_LIMIT,
          maxRequests: NO_LIMIT,
          maxRetries: NO_LIMIT,
          trackRemaining: true,
        },
      ],
    },
    ...(bindLoopback ? { upstreamBindConfig: { sourceAddress: socketAddressOf("127.0.0.6") } } : {}),
  });
}

function socketAddressOf(address: string) {
  return { address, portSpecifier: { $case: "portValue", value: 0 } as const };
}
