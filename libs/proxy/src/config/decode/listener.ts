import { typeUrl } from "@lateen/proto";
import { TrafficDirection } from "@lateen/proto/envoy/config/core/v3/base";
import { ProxyProtocolConfig_Version } from "@lateen/proto/envoy/config/core/v3/proxy_protocol";
import type { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type {
  FilterChain,
  FilterChainMatch,
  ListenerFilter,
  ListenerFilterChainMatchPredicate,
} from "@lateen/proto/envoy/config/listener/v3/listener_components";
import { ProxyProtocol } from "@lateen/proto/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { TcpProxy } from "@lateen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import { PluginConfig } from "@lateen/proto/istio/stats/stats";
import type { FilterChainMatchSpec } from "@lateen/traffic";
import type { FilterChainSpec, ListenerSpec, TcpProxySpec } from "../plan.ts";
import { accessLogs } from "./access-log.ts";
import { decodeBytes, typedConfig } from "./any.ts";
import type { DecodeRun } from "./context.ts";
import { join, millis, onlyFields, portNumber, refuse } from "./fields.ts";
import { connectionManager } from "./http-connection-manager.ts";
import { cidr } from "./matchers.ts";
import { filterMetadata, originOf, stringEntries } from "./metadata.ts";
import { metricsSpec } from "./metrics.ts";
import { guarded } from "./per-filter-config.ts";
import { downstreamTransport } from "./transport.ts";

/** Honoured, or about buffers, queues and statistics only. */
const KNOWN: readonly (keyof Listener & string)[] = [
  "name",
  "address",
  "statPrefix",
  "filterChains",
  "useOriginalDst",
  "defaultFilterChain",
  "perConnectionBufferLimitBytes",
  "metadata",
  "deprecatedV1",
  "drainType",
  "listenerFilters",
  "listenerFiltersTimeout",
  "continueOnListenerFiltersTimeout",
  "trafficDirection",
  "connectionBalanceConfig",
  "reusePort",
  "enableReusePort",
  "tcpBacklogSize",
  "maxConnectionsToAcceptPerSocketEvent",
  "bindToPort",
  "ignoreGlobalConnLimit",
  "bypassOverloadManager",
];

/** @see envoy.config.listener.v3.Listener */
export function listenerSpec(listener: Listener, run: DecodeRun): ListenerSpec {
  onlyFields(listener, "", KNOWN);
  if (listener.name === "") refuse("name", "required");
  const address = listener.address?.address;
  if (address?.$case !== "socketAddress") {
    return refuse("address", `${address?.$case ?? "no address"} is not supported by this proxy`);
  }
  if (address.value.protocol !== 0) refuse("address.socket_address.protocol", "UDP is not supported by this proxy");
  const port = address.value.portSpecifier;
  const fallback = listener.defaultFilterChain;
  if (listener.filterChains.length === 0 && fallback === undefined) refuse("filter_chains", "at least one is required");
  return {
    name: listener.name,
    address: address.value.address,
    port: portNumber(port?.$case === "portValue" ? port.value : Number.NaN, "address.socket_address.port_value"),
    bindToPort: listener.bindToPort ?? listener.deprecatedV1?.bindToPort ?? true,
    useOriginalDst: listener.useOriginalDst ?? false,
    direction: directionOf(listener.trafficDirection),
    ...listenerFilters(listener),
    chains: listener.filterChains.map((chain, index) =>
      filterChain(chain, run, `filter_chains[${chain.name || index}]`),
    ),
    defaultChain: fallback === undefined ? undefined : filterChain(fallback, run, "default_filter_chain"),
    origin: originOf(listener.metadata),
    ...peerAuthentication(listener),
  };
}

/** What our own control plane notes of mutual TLS: `lateen.mtls`, objects by port and under the empty name. */
function peerAuthentication({ metadata }: Listener): Pick<ListenerSpec, "peerAuthentication"> {
  const noted = filterMetadata(metadata, "lateen").mtls;
  if (typeof noted !== "object" || noted === null) return {};
  const { "": others, ...ports } = stringEntries(noted as Readonly<Record<string, unknown>>);
  return { peerAuthentication: { ports, others } };
}

function directionOf(direction: number): ListenerSpec["direction"] {
  if (direction === TrafficDirection.INBOUND) return "inbound";
  return direction === TrafficDirection.OUTBOUND ? "outbound" : "unspecified";
}

const TLS_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
const HTTP_INSPECTOR = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";
const ORIGINAL_DST = "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
type ListenerFilterKind = "tls" | "http" | "originalDst" | "proxyProtocol";
/** By type, and by the well-known name where no config is given. */
const LISTENER_FILTERS: Readonly<Record<string, ListenerFilterKind>> = {
  [`type.googleapis.com/${TLS_INSPECTOR}`]: "tls",
  [`type.googleapis.com/${HTTP_INSPECTOR}`]: "http",
  [`type.googleapis.com/${ORIGINAL_DST}`]: "originalDst",
  [typeUrl(ProxyProtocol)]: "proxyProtocol",
  "envoy.filters.listener.proxy_protocol": "proxyProtocol",
  "envoy.filters.listener.tls_inspector": "tls",
  "envoy.filters.listener.http_inspector": "http",
  "envoy.filters.listener.original_dst": "originalDst",
};

function listenerFilters(
  listener: Listener,
): Pick<ListenerSpec, "inspectors" | "restoresDestination" | "proxyProtocol"> {
  let proxyProtocol: ListenerSpec["proxyProtocol"];
  const found = new Map<ListenerFilterKind, readonly number[]>();
  for (const [index, filter] of listener.listenerFilters.entries()) {
    const at = `listener_filters[${filter.name || index}]`;
    const kind = inspectorKind(filter, at);
    if (kind === "proxyProtocol") proxyProtocol = proxyProtocolOf(filter, at);
    found.set(kind, disabledPorts(filter.filterDisabled, join(at, "filter_disabled")));
  }
  return {
    inspectors: {
      tls: found.has("tls"),
      http: found.has("http"),
      httpDisabledPorts: found.get("http") ?? [],
      tlsDisabledPorts: found.get("tls") ?? [],
      timeoutMs: millis(listener.listenerFiltersTimeout, 15_000, "listener_filters_timeout"),
      continueOnTimeout: listener.continueOnListenerFiltersTimeout,
    },
    ...(found.has("originalDst") || listener.useOriginalDst === true ? { restoresDestination: true } : {}),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
  };
}

/** @see envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol */
function proxyProtocolOf(filter: ListenerFilter, at: string): NonNullable<ListenerSpec["proxyProtocol"]> {
  if (filter.filterDisabled !== undefined) refuse(join(at, "filter_disabled"), "is not supported for this filter");
  const config = typedConfig(filter.configType, at);
  const message = ProxyProtocol.decode(config?.value ?? new Uint8Array());
  onlyFields(message, at, ["allowRequestsWithoutProxyProtocol", "disallowedVersions", "statPrefix"]);
  return {
    optional: message.allowRequestsWithoutProxyProtocol,
    refusedVersions: message.disallowedVersions.map((version) => (version === ProxyProtocolConfig_Version.V1 ? 1 : 2)),
  };
}

function inspectorKind(filter: ListenerFilter, at: string): ListenerFilterKind {
  const type = typedConfig(filter.configType, at)?.typeUrl;
  const kind = LISTENER_FILTERS[type ?? filter.name];
  return kind ?? refuse(at, `listener filter ${type ?? filter.name} is not supported by this proxy`);
}

/** Most ports one predicate may name; a wider range is refused rather than spelled out. */
const MAX_DISABLED_PORTS = 4096;

function disabledPorts(predicate: ListenerFilterChainMatchPredicate | undefined, at: string): readonly number[] {
  const rule = predicate?.rule;
  switch (rule?.$case) {
    case undefined:
      return [];
    case "destinationPortRange": {
      const { start, end } = rule.value;
      if (end - start > MAX_DISABLED_PORTS) refuse(at, `a range of ${end - start} ports is too wide`);
      return Array.from({ length: Math.max(0, end - start) }, (_, offset) => start + offset);
    }
    case "orMatch":
      return rule.value.rules.flatMap((inner) => disabledPorts(inner, at));
    default:
      return refuse(at, `${rule?.$case} is not supported by this proxy`);
  }
}

function filterChain(chain: FilterChain, run: DecodeRun, at: string): FilterChainSpec {
  onlyFields(chain, at, [
    "filterChainMatch",
    "filters",
    "metadata",
    "transportSocket",
    "transportSocketConnectTimeout",
    "name",
  ]);
  const last = chain.filters.at(-1);
  if (last === undefined) return refuse(join(at, "filters"), "at least one is required");
  return {
    name: chain.name,
    match: chainMatch(chain.filterChainMatch, join(at, "filter_chain_match")),
    transport: downstreamTransport(chain.transportSocket, run, join(at, "transport_socket")),
    networkFilters: chain.filters.slice(0, -1).flatMap((filter) => {
      const path = join(at, `filters[${filter.name}]`);
      const config = typedConfig(filter.configType, path);
      if (config?.typeUrl === METRICS_TYPE) return [];
      const factory = run.networkFilters.find((entry) => entry.configType === config?.typeUrl);
      if (factory === undefined || config === undefined) {
        return refuse(path, `network filter ${config?.typeUrl ?? filter.name} is not supported by this proxy`);
      }
      return [{ name: factory.name, config: guarded(() => factory.decodeConfig(config.value), path) }];
    }),
    terminal: measured(terminal(last, run, join(at, `filters[${last.name}]`)), chain, at),
  };
}

/** The metrics filter is no step of its own here: the proxy of connections counts, as that filter says. */
function measured(last: FilterChainSpec["terminal"], chain: FilterChain, at: string): FilterChainSpec["terminal"] {
  for (const filter of chain.filters) {
    const path = join(at, `filters[${filter.name}]`);
    const config = typedConfig(filter.configType, path);
    if (config?.typeUrl !== METRICS_TYPE) continue;
    if (last.kind !== "tcp") return refuse(path, "is supported before a TCP proxy only");
    return { ...last, metrics: metricsSpec(config.value, path) };
  }
  return last;
}
const METRICS_TYPE = typeUrl(PluginConfig);

function terminal(filter: FilterChain["filters"][number], run: DecodeRun, at: string): FilterChainSpec["terminal"] {
  const config = typedConfig(filter.configType, at);
  switch (config?.typeUrl) {
    case typeUrl(HttpConnectionManager):
      return connectionManager(decodeBytes(config.value, HttpConnectionManager, at), run, at);
    case typeUrl(TcpProxy):
      return tcpProxy(decodeBytes(config.value, TcpProxy, at), run, at);
    default:
      return refuse(at, `terminal filter ${config?.typeUrl ?? filter.name} is not supported by this proxy`);
  }
}

/** @see envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy */
function tcpProxy(proxy: TcpProxy, run: DecodeRun, at: string): TcpProxySpec {
  onlyFields(proxy, at, [
    "statPrefix",
    "clusterSpecifier",
    "idleTimeout",
    "accessLog",
    "maxConnectAttempts",
    "accessLogFlushInterval",
    "accessLogOptions",
    "hashPolicy",
    "maxDownstreamConnectionDuration",
  ]);
  const specifier = proxy.clusterSpecifier;
  if (specifier === undefined) return refuse(join(at, "cluster_specifier"), "required");
  return {
    kind: "tcp",
    statPrefix: proxy.statPrefix,
    clusters:
      specifier.$case === "cluster"
        ? [{ cluster: specifier.value, weight: 1 }]
        : specifier.value.clusters.map((entry) => ({ cluster: entry.name, weight: entry.weight })),
    idleTimeoutMs: millis(proxy.idleTimeout, 3_600_000, join(at, "idle_timeout")),
    maxConnectAttempts: proxy.maxConnectAttempts ?? 1,
    ...(proxy.maxDownstreamConnectionDuration === undefined
      ? {}
      : {
          maxDurationMs: millis(
            proxy.maxDownstreamConnectionDuration,
            0,
            join(at, "max_downstream_connection_duration"),
          ),
        }),
    hashSourceIp: hashesSource(proxy, at),
    accessLogs: accessLogs(proxy.accessLog, run, at),
  };
}

function hashesSource(proxy: TcpProxy, at: string): boolean {
  for (const { policySpecifier } of proxy.hashPolicy) {
    if (policySpecifier?.$case !== "sourceIp") refuse(join(at, "hash_policy"), "only source_ip is supported");
  }
  return proxy.hashPolicy.length > 0;
}

/** @see envoy.config.listener.v3.FilterChainMatch */
function chainMatch(match: FilterChainMatch | undefined, at: string): FilterChainMatchSpec {
  if (match !== undefined) {
    onlyFields(match, at, [
      "destinationPort",
      "prefixRanges",
      "sourcePrefixRanges",
      "directSourcePrefixRanges",
      "serverNames",
      "transportProtocol",
      "applicationProtocols",
    ]);
  }
  return {
    destinationPort: match?.destinationPort,
    destinationPrefixes: match?.prefixRanges.map(cidr) ?? [],
    sourcePrefixes: [...(match?.sourcePrefixRanges ?? []), ...(match?.directSourcePrefixRanges ?? [])].map(cidr),
    serverNames: match?.serverNames.map((name) => name.toLowerCase()) ?? [],
    transportProtocol: match?.transportProtocol ?? "",
    applicationProtocols: match?.applicationProtocols ?? [],
  };
}
