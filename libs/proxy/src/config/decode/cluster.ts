import { isIP } from "node:net";
import type { CircuitBreakers } from "@lateen/proto/envoy/config/cluster/v3/circuit_breaker";
import {
  type Cluster,
  type Cluster_MaglevLbConfig,
  type Cluster_RingHashLbConfig,
  type Cluster_SlowStartConfig,
  Cluster_DiscoveryType as Discovery,
  Cluster_LbPolicy as LbPolicy,
} from "@lateen/proto/envoy/config/cluster/v3/cluster";
import type { OutlierDetection } from "@lateen/proto/envoy/config/cluster/v3/outlier_detection";
import { RoutingPriority } from "@lateen/proto/envoy/config/core/v3/base";
import type { HashAlgorithm } from "@lateen/traffic";
import type { BreakerLimits, ClusterSpec, OutlierSpec } from "../plan.ts";
import type { DecodeRun } from "./context.ts";
import { dnsRules } from "./dns.ts";
import { DYNAMIC_FORWARD_CLUSTER, dynamicHosts } from "./dns-cache.ts";
import { localities } from "./endpoints.ts";
import { millis, onlyFields, portNumber, refuse } from "./fields.ts";
import { healthCheck } from "./health-check.ts";
import { filterMetadata, originOf, stringEntries } from "./metadata.ts";
import { upstreamTransport } from "./transport.ts";
import { upstreamProtocol } from "./upstream-protocol.ts";

/** A cluster and, for EDS, the name its endpoints come under. */
export interface DecodedCluster {
  readonly spec: ClusterSpec;
  readonly edsName: string | undefined;
}

/** @see envoy.config.cluster.v3.Cluster */
export function clusterSpec(cluster: Cluster, run: DecodeRun): DecodedCluster {
  onlyFields(cluster, "", KNOWN);
  if (cluster.name === "") refuse("name", "required");
  const discovery = discoveryOf(cluster);
  const http = upstreamProtocol(cluster);
  const assignment = cluster.loadAssignment;
  if (discovery === "dynamicForward" && cluster.healthChecks.length > 0) {
    refuse("health_checks", "not supported by this proxy for hosts of requests");
  }
  if (discovery === "eds" && assignment !== undefined) refuse("load_assignment", "not allowed on an EDS cluster");
  const spec: ClusterSpec = {
    name: cluster.name,
    discovery,
    endpoints: assignment === undefined ? [] : localities(assignment, "load_assignment"),
    connectTimeoutMs: millis(cluster.connectTimeout, 5000, "connect_timeout"),
    ...dnsRules(cluster, discovery),
    ...dynamicHosts(cluster),
    ...balanceOf(cluster),
    panicPercent: cluster.commonLbConfig?.healthyPanicThreshold?.value ?? 50,
    transportMatches: cluster.transportSocketMatches.map((entry, index) => ({
      name: entry.name,
      match: stringEntries(entry.match),
      transport: upstreamTransport(entry.transportSocket, run, `transport_socket_matches[${index}].transport_socket`),
    })),
    transport: upstreamTransport(cluster.transportSocket, run, "transport_socket"),
    circuitBreakers: breakers(cluster.circuitBreakers, RoutingPriority.DEFAULT),
    ...(cluster.circuitBreakers?.thresholds.some(({ priority }) => priority === RoutingPriority.HIGH)
      ? { highCircuitBreakers: breakers(cluster.circuitBreakers, RoutingPriority.HIGH) }
      : {}),
    outlier: cluster.outlierDetection === undefined ? undefined : outlier(cluster.outlierDetection),
    ...healthCheck(cluster, discovery),
    ...http,
    tcpKeepaliveMs: keepalive(cluster),
    destinationService: serviceOf(cluster),
    ...sourcesOf(cluster),
    direction:
      cluster.name.startsWith("inbound|") || cluster.name.startsWith("InboundPassthrough") ? "inbound" : "outbound",
    origin: originOf(cluster.metadata),
  };
  checkAutoSni(spec);
  return { spec, edsName: discovery === "eds" ? cluster.edsClusterConfig?.serviceName || cluster.name : undefined };
}

/** Elsewhere a connection carries requests for any host, and would have to be kept apart by host. */
function checkAutoSni({ discovery, autoSni, transport, transportMatches }: ClusterSpec): void {
  const secure = [transport, ...transportMatches.map((entry) => entry.transport)].some(({ kind }) => kind === "tls");
  if (autoSni !== undefined && secure && discovery !== "dynamicForward") {
    refuse("upstream_http_protocol_options", "only supported by this proxy for hosts of requests");
  }
}

/** Honoured, or without influence on where a request goes and how it ends. */
const KNOWN: readonly (keyof Cluster & string)[] = [
  "transportSocketMatches",
  "name",
  "altStatName",
  "clusterDiscoveryType",
  "edsClusterConfig",
  "connectTimeout",
  "perConnectionBufferLimitBytes",
  "lbPolicy",
  "loadAssignment",
  "maxRequestsPerConnection",
  "circuitBreakers",
  "commonHttpProtocolOptions",
  "httpProtocolOptions",
  "http2ProtocolOptions",
  "protocolSelection",
  "typedExtensionProtocolOptions",
  "dnsRefreshRate",
  "dnsFailureRefreshRate",
  "respectDnsTtl",
  "dnsLookupFamily",
  "dnsResolvers",
  "dnsResolutionConfig",
  "waitForWarmOnInit",
  "outlierDetection",
  "healthChecks",
  "cleanupInterval",
  "upstreamBindConfig",
  "lbConfig",
  "commonLbConfig",
  "transportSocket",
  "metadata",
  "upstreamConnectionOptions",
  "closeConnectionsOnHostHealthFailure",
  "ignoreHealthOnHostRemoval",
  "trackTimeoutBudgets",
  "trackClusterStats",
  "connectionPoolPerDownstreamConnection",
];

/** @see envoy.config.core.v3.BindConfig */
function sourcesOf({ upstreamBindConfig: bind }: Cluster): Pick<ClusterSpec, "sourceAddresses"> {
  if (bind === undefined) return {};
  onlyFields(bind, "upstream_bind_config", ["sourceAddress", "extraSourceAddresses"]);
  const all = [bind.sourceAddress, ...bind.extraSourceAddresses.map(({ address }) => address)];
  const found = all.flatMap((source) => {
    if (source === undefined) return [];
    const port = source.portSpecifier;
    if (port?.$case === "namedPort" || (port?.value ?? 0) !== 0) {
      refuse("upstream_bind_config", "a source port is not supported by this proxy");
    }
    if (isIP(source.address) === 0) refuse("upstream_bind_config", `"${source.address}" is not an IP address`);
    return WILDCARDS.has(source.address) ? [] : [source.address];
  });
  return found.length > 0 ? { sourceAddresses: found } : {};
}
const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

function discoveryOf(cluster: Cluster): ClusterSpec["discovery"] {
  const type = cluster.clusterDiscoveryType;
  if (type?.$case === "clusterType") {
    if (type.value.name === DYNAMIC_FORWARD_CLUSTER) return "dynamicForward";
    return refuse("cluster_type", `${type.value.name} is not supported by this proxy`);
  }
  switch (type?.value ?? Discovery.STATIC) {
    case Discovery.STATIC:
      return "static";
    case Discovery.STRICT_DNS:
      return "strictDns";
    case Discovery.LOGICAL_DNS:
      return "logicalDns";
    case Discovery.EDS:
      return "eds";
    case Discovery.ORIGINAL_DST:
      return "originalDst";
    default:
      return refuse("type", `${type?.value} is not a discovery type`);
  }
}

function balanceOf(cluster: Cluster): Pick<ClusterSpec, "balance" | "choices" | "hash" | "slowStart" | "portOverride"> {
  const config = cluster.lbConfig;
  if (config?.$case === "originalDstLbConfig") {
    onlyFields(config.value, "original_dst_lb_config", ["upstreamPortOverride"]);
  }
  switch (cluster.lbPolicy) {
    case LbPolicy.ROUND_ROBIN:
      return {
        balance: "roundRobin",
        choices: 2,
        ...slowStart(config?.$case === "roundRobinLbConfig" ? config.value.slowStartConfig : undefined),
      };
    case LbPolicy.LEAST_REQUEST:
      return {
        balance: "leastRequest",
        choices: config?.$case === "leastRequestLbConfig" ? (config.value.choiceCount ?? 2) : 2,
        ...slowStart(config?.$case === "leastRequestLbConfig" ? config.value.slowStartConfig : undefined),
      };
    case LbPolicy.RANDOM:
      return { balance: "random", choices: 2 };
    case LbPolicy.CLUSTER_PROVIDED:
      return {
        balance: "clusterProvided",
        choices: 2,
        ...(config?.$case === "originalDstLbConfig" && config.value.upstreamPortOverride
          ? {
              portOverride: portNumber(
                config.value.upstreamPortOverride,
                "original_dst_lb_config.upstream_port_override",
              ),
            }
          : {}),
      };
    case LbPolicy.RING_HASH:
      return { balance: "hash", choices: 2, hash: ringHash(config?.$case === "ringHashLbConfig" ? config.value : {}) };
    case LbPolicy.MAGLEV:
      return { balance: "hash", choices: 2, hash: maglev(config?.$case === "maglevLbConfig" ? config.value : {}) };
    default:
      return refuse("lb_policy", `${cluster.lbPolicy} is not supported by this proxy`);
  }
}

/** Envoy's limits: more entries would cost more memory than balance is worth. */
const MOST_RING_ENTRIES = 8_388_608;
const MAGLEV_TABLE = 65_537;
const MOST_MAGLEV_ENTRIES = 5_000_011;

function ringHash(config: Partial<Cluster_RingHashLbConfig>): HashAlgorithm {
  if (config.hashFunction) refuse("ring_hash_lb_config.hash_function", "only XX_HASH is supported");
  const minimumSize = Number(config.minimumRingSize ?? 1024);
  const maximumSize = Number(config.maximumRingSize ?? MOST_RING_ENTRIES);
  if (minimumSize > maximumSize || maximumSize > MOST_RING_ENTRIES) refuse("ring_hash_lb_config", "sizes out of range");
  return { kind: "ringHash", minimumSize: Math.max(1, minimumSize), maximumSize };
}

function maglev(config: Partial<Cluster_MaglevLbConfig>): HashAlgorithm {
  const tableSize = Number(config.tableSize ?? MAGLEV_TABLE);
  if (tableSize < 2 || tableSize > MOST_MAGLEV_ENTRIES || !isPrime(tableSize)) {
    refuse("maglev_lb_config.table_size", `${tableSize} is not a prime number up to ${MOST_MAGLEV_ENTRIES}`);
  }
  return { kind: "maglev", tableSize };
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return true;
}

function slowStart(config: Cluster_SlowStartConfig | undefined): Pick<ClusterSpec, "slowStart"> {
  const windowMs = millis(config?.slowStartWindow, 0, "slow_start_config.slow_start_window");
  if (config === undefined || windowMs === 0) return {};
  const aggression = config.aggression?.defaultValue ?? 1;
  if (!(aggression > 0)) refuse("slow_start_config.aggression", "must be greater than 0");
  return { slowStart: { windowMs, aggression, minPercent: config.minWeightPercent?.value ?? 10 } };
}

/** Limits of a priority, the first entry for it; Envoy's defaults where unset. */
function breakers(settings: CircuitBreakers | undefined, priority: RoutingPriority): BreakerLimits {
  if (settings !== undefined) onlyFields(settings, "circuit_breakers", ["thresholds"]);
  const limits = settings?.thresholds.find((threshold) => threshold.priority === priority);
  if (limits !== undefined) {
    onlyFields(limits, "circuit_breakers.thresholds", [
      "priority",
      "maxConnections",
      "maxPendingRequests",
      "maxRequests",
      "maxRetries",
      "trackRemaining",
      "retryBudget",
    ]);
  }
  const budget = limits?.retryBudget;
  return {
    maxConnections: limits?.maxConnections ?? 1024,
    maxPendingRequests: limits?.maxPendingRequests ?? 1024,
    maxRequests: limits?.maxRequests ?? 1024,
    maxRetries: limits?.maxRetries ?? 3,
    ...(budget === undefined
      ? {}
      : { retryBudget: { percent: budget.budgetPercent?.value ?? 20, minimum: budget.minRetryConcurrency ?? 3 } }),
  };
}

/** Success-rate and failure-percentage ejection are off unless enforced; enforcing them is refused. */
function outlier(settings: OutlierDetection): OutlierSpec {
  onlyFields(settings, "outlier_detection", [
    "consecutive5xx",
    "interval",
    "baseEjectionTime",
    "maxEjectionPercent",
    "enforcingConsecutive5xx",
    "enforcingSuccessRate",
    "consecutiveGatewayFailure",
    "enforcingConsecutiveGatewayFailure",
    "splitExternalLocalOriginErrors",
    "consecutiveLocalOriginFailure",
    "enforcingConsecutiveLocalOriginFailure",
  ]);
  if ((settings.enforcingSuccessRate ?? 0) > 0)
    refuse("outlier_detection.enforcing_success_rate", "only 0 is supported");
  const enforced = (count: number | undefined, fallback: number, percent: number | undefined) =>
    percent === 0 ? 0 : (count ?? fallback);
  return {
    consecutive5xx: enforced(settings.consecutive5xx, 5, settings.enforcingConsecutive5xx),
    // Envoy counts gateway failures by default but enforces them only when asked to.
    consecutiveGatewayFailure: enforced(
      settings.consecutiveGatewayFailure,
      5,
      settings.enforcingConsecutiveGatewayFailure ?? 0,
    ),
    splitExternalLocalOriginErrors: settings.splitExternalLocalOriginErrors,
    consecutiveLocalOriginFailure: enforced(
      settings.consecutiveLocalOriginFailure,
      5,
      settings.enforcingConsecutiveLocalOriginFailure,
    ),
    intervalMs: millis(settings.interval, 10_000, "outlier_detection.interval"),
    baseEjectionMs: millis(settings.baseEjectionTime, 30_000, "outlier_detection.base_ejection_time"),
    maxEjectionPercent: settings.maxEjectionPercent ?? 10,
  };
}

function keepalive(cluster: Cluster): number | undefined {
  const settings = cluster.upstreamConnectionOptions?.tcpKeepalive;
  if (settings === undefined) return undefined;
  return (settings.keepaliveTime ?? 7200) * 1000;
}

/** The first entry of `istio` metadata's services list. */
function serviceOf(cluster: Cluster): ClusterSpec["destinationService"] {
  const services = filterMetadata(cluster.metadata, "istio").services;
  const first: unknown = Array.isArray(services) ? services[0] : undefined;
  if (typeof first !== "object" || first === null) return undefined;
  const { host = "", name = "", namespace = "" } = stringEntries(Object.fromEntries(Object.entries(first)));
  return { host, name, namespace };
}
