import type { MeshConfig } from "@lateen/mesh-model";
import { durationFromMs, packAny } from "@lateen/proto";
import type { AccessLog } from "@lateen/proto/envoy/config/accesslog/v3/accesslog";
import type { Filter } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import type { RBAC } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import type { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { Cors } from "@lateen/proto/envoy/extensions/filters/http/cors/v3/cors";
import { FilterConfig } from "@lateen/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy";
import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { JwtAuthentication } from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import { RBAC as HttpRbac } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { Router } from "@lateen/proto/envoy/extensions/filters/http/router/v3/router";
import {
  HttpConnectionManager,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  type HttpFilter,
} from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { RBAC as NetworkRbac } from "@lateen/proto/envoy/extensions/filters/network/rbac/v3/rbac";
import { TcpProxy } from "@lateen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import { Config as PeerMetadata } from "@lateen/proto/istio/peer_metadata/peer_metadata";
import { PluginConfig } from "@lateen/proto/istio/stats/stats";
import type { ObservedConfig } from "./access-log.ts";
import { JWT_FILTER } from "./claims.ts";
import { CORS_FILTER } from "./cors.ts";
import { DYNAMIC_DNS_FILTER, dynamicDnsFilter } from "./dynamic-dns.ts";
import { type CustomRules, customFilters } from "./ext-authz.ts";
import { FAULT_FILTER } from "./faults.ts";
import { http1Options, preservesCase } from "./header-case.ts";
import { metricsConfig, STATS_FILTER } from "./metrics.ts";
import { adsSource, typed } from "./proto.ts";

/** Name of the terminal filter of HTTP chains. */
export const HTTP_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";
/** Name of the terminal filter of other chains. */
export const TCP_PROXY = "envoy.filters.network.tcp_proxy";

/** Policies of a workload as the filters take them: deny before allow; undefined: that side has nothing to say. */
export interface RbacRules {
  readonly deny: RBAC | undefined;
  readonly allow: RBAC | undefined;
  /** What a service outside is asked about, before everything else; HTTP only. */
  readonly custom?: CustomRules | undefined;
  /** What policies of a dry run would do. */
  readonly shadow?: { readonly deny: RBAC | undefined; readonly allow: RBAC | undefined };
}

/** Rules of one filter, deny before allow; prefixes are Istio's. */
function rbacFilters({ deny, allow, shadow }: RbacRules) {
  const sides = [
    { rules: deny, shadowRules: shadow?.deny, shadowRulesStatPrefix: "istio_dry_run_deny_" },
    { rules: allow, shadowRules: shadow?.allow, shadowRulesStatPrefix: "istio_dry_run_allow_" },
  ];
  return sides.flatMap(({ rules, shadowRules, shadowRulesStatPrefix }) => {
    if (rules === undefined && shadowRules === undefined) return [];
    return [
      {
        ...(rules === undefined ? {} : { rules }),
        ...(shadowRules === undefined ? {} : { shadowRules, shadowRulesStatPrefix }),
      },
    ];
  });
}

/** What decides on an HTTP chain. `place` decides which filters it has. */
export interface HttpChainOptions {
  readonly place: "inbound" | "outbound" | "gateway";
  readonly statPrefix: string;
  /** Name for RDS, or the table itself. */
  readonly routes: string | RouteConfiguration;
  readonly config: ObservedConfig;
  readonly extensions: readonly string[];
  readonly rbac: RbacRules;
  /** How tokens are verified; undefined: they are not. */
  readonly tokens?: JwtAuthentication | undefined;
  readonly accessLog: readonly AccessLog[];
  /** Some destination is found by the host of each request. */
  readonly dynamicDns?: boolean;
}

/** The HTTP connection manager of a chain, with the filters of its place in order. */
export function httpConnectionManager(options: HttpChainOptions): Filter {
  const { place, config } = options;
  const none = durationFromMs(0);
  const headers = config.defaultConfig.proxyHeaders ?? {};
  const manager = HttpConnectionManager.fromPartial({
    statPrefix: options.statPrefix,
    routeSpecifier:
      typeof options.routes === "string"
        ? { $case: "rds", value: { configSource: adsSource(), routeConfigName: options.routes } }
        : { $case: "routeConfig", value: options.routes },
    httpFilters: httpFilters(options),
    ...serverHeader(options),
    ...(headers.requestId?.disabled ? { generateRequestId: false } : {}),
    appendXForwardedPort: headers.xForwardedPort?.enabled ?? false,
    streamIdleTimeout: none,
    accessLog: [...options.accessLog],
    useRemoteAddress: place === "gateway",
    ...(place === "gateway" ? { xffNumTrustedHops: config.defaultConfig.gatewayTopology?.numTrustedProxies ?? 0 } : {}),
    ...clientCertDetails(place, config.defaultConfig),
    upgradeConfigs: [{ upgradeType: "websocket" }],
    ...(preservesCase(config.defaultConfig) ? { httpProtocolOptions: http1Options(true) } : {}),
    ...normalization(config.pathNormalization),
    ...(config.tracing === undefined ? {} : { tracing: config.tracing }),
  });
  return { name: HTTP_CONNECTION_MANAGER, configType: typed(HttpConnectionManager, manager) };
}

type ManagerFields = Parameters<typeof HttpConnectionManager.fromPartial>[0];

/** Istio leaves Envoy's own name on what a client's sidecar answers. */
function serverHeader({ place, config }: HttpChainOptions): ManagerFields {
  const { disabled, value } = config.defaultConfig.proxyHeaders?.server ?? {};
  if (disabled) return { serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH };
  const serverName = value || (place === "outbound" ? "" : "istio-envoy");
  return serverName === "" ? {} : { serverName };
}

/** What becomes of the header that names the clients before us. */
function clientCertDetails(
  place: HttpChainOptions["place"],
  { proxyHeaders = {}, gatewayTopology = {} }: MeshConfig["defaultConfig"],
): ManagerFields {
  const details = HttpConnectionManager_ForwardClientCertDetails;
  switch (place) {
    case "inbound":
      return {
        forwardClientCertDetails: details[written(proxyHeaders.forwardedClientCert) ?? "APPEND_FORWARD"],
        setCurrentClientCertDetails: proxyHeaders.setCurrentClientCertDetails ?? {
          subject: true,
          dns: true,
          uri: true,
        },
      };
    case "gateway":
      return {
        forwardClientCertDetails: details[written(gatewayTopology.forwardClientCertDetails) ?? "SANITIZE_SET"],
        setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true },
      };
    case "outbound":
      return {};
  }
}

function written<T extends string>(mode: T | undefined): Exclude<T, "UNDEFINED"> | undefined {
  return mode === "UNDEFINED" ? undefined : (mode as Exclude<T, "UNDEFINED"> | undefined);
}

function normalization(mode: MeshConfig["pathNormalization"]): ManagerFields {
  const slashes = HttpConnectionManager_PathWithEscapedSlashesAction;
  switch (mode) {
    case "NONE":
      return { pathWithEscapedSlashesAction: slashes.KEEP_UNCHANGED };
    case "BASE":
      return { normalizePath: true, pathWithEscapedSlashesAction: slashes.KEEP_UNCHANGED };
    case "MERGE_SLASHES":
      return { normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: slashes.KEEP_UNCHANGED };
    case "DECODE_AND_MERGE_SLASHES":
      return { normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: slashes.UNESCAPE_AND_FORWARD };
  }
}

/**
 * Order: peer metadata (proxies of this project), services that authorise, tokens, RBAC deny then allow (inbound and gateways), fault and CORS (outbound and
 * gateways), statistics, router.
 */
function httpFilters(options: HttpChainOptions): HttpFilter[] {
  const { place, extensions, rbac, tokens } = options;
  const suppressEnvoyHeaders = options.config.defaultConfig.proxyHeaders?.envoyDebugHeaders?.disabled ?? false;
  const filters: HttpFilter[] = [];
  if (extensions.includes("istio.peer_metadata")) filters.push(peerMetadata(place));
  if (place !== "outbound") {
    if (rbac.custom !== undefined) filters.push(...customFilters(rbac.custom));
    if (tokens !== undefined) filters.push(filter(JWT_FILTER, JwtAuthentication, tokens));
    for (const fields of rbacFilters(rbac)) {
      filters.push(filter("envoy.filters.http.rbac", HttpRbac, HttpRbac.fromPartial(fields)));
    }
  }
  if (place !== "inbound") {
    filters.push(filter(FAULT_FILTER, HTTPFault, HTTPFault.fromPartial({})));
    filters.push(filter(CORS_FILTER, Cors, Cors.fromPartial({})));
  }
  if (options.dynamicDns) filters.push(filter(DYNAMIC_DNS_FILTER, FilterConfig, dynamicDnsFilter()));
  if (extensions.includes(STATS_FILTER) && options.config.metrics !== "off") {
    filters.push(filter(STATS_FILTER, PluginConfig, metricsConfig(options.config.metrics)));
  }
  filters.push(filter("envoy.filters.http.router", Router, Router.fromPartial({ suppressEnvoyHeaders })));
  return filters;
}

function filter<T>(
  name: string,
  type: { readonly $type: string; encode(message: T): { finish(): Uint8Array } },
  message: T,
): HttpFilter {
  return { name, configType: typed(type, message), isOptional: false, disabled: false };
}

/** Servers learn who calls from headers, which they strip; clients tell it to mesh upstreams only. */
function peerMetadata(place: HttpChainOptions["place"]): HttpFilter {
  const headers = { $case: "istioHeaders", value: {} } as const;
  const outward = { $case: "istioHeaders", value: { skipExternalClusters: true } } as const;
  const config = PeerMetadata.fromPartial(
    place === "inbound"
      ? { downstreamDiscovery: [{ methodSpecifier: headers }], downstreamPropagation: [{ methodSpecifier: headers }] }
      : { upstreamDiscovery: [{ methodSpecifier: headers }], upstreamPropagation: [{ methodSpecifier: outward }] },
  );
  return filter("istio.peer_metadata", PeerMetadata, config);
}

/** How plain connections to a destination are treated. Without an idle timeout Envoy's own of one hour holds. */
export interface TcpPolicy {
  readonly idleTimeoutMs?: number | undefined;
  /** Connections are closed when they are this old. */
  readonly maxDurationMs?: number | undefined;
  /** Connections of one client address go to one endpoint. */
  readonly hashSourceIp?: boolean;
  /** The upstream is an HTTP proxy that is to connect to `host:port`. */
  readonly tunnel?: { readonly hostname: string; readonly post: boolean } | undefined;
}

/** Where bytes go; weights are relative. */
export interface TcpTarget extends TcpPolicy {
  readonly clusters: readonly { readonly name: string; readonly weight: number }[];
}

/** Forwards bytes to one cluster or, by weight, to several. */
export function tcpProxy(target: TcpTarget, accessLog: readonly AccessLog[], statPrefix?: string): Filter {
  const [first] = target.clusters;
  const proxy = TcpProxy.fromPartial({
    statPrefix: statPrefix ?? first?.name ?? "",
    clusterSpecifier:
      target.clusters.length === 1 && first !== undefined
        ? { $case: "cluster", value: first.name }
        : { $case: "weightedClusters", value: { clusters: [...target.clusters] } },
    ...(target.idleTimeoutMs === undefined ? {} : { idleTimeout: durationFromMs(target.idleTimeoutMs) }),
    ...(target.maxDurationMs === undefined
      ? {}
      : { maxDownstreamConnectionDuration: durationFromMs(target.maxDurationMs) }),
    ...(target.hashSourceIp ? { hashPolicy: [{ policySpecifier: { $case: "sourceIp", value: {} } }] } : {}),
    ...(target.tunnel === undefined
      ? {}
      : { tunnelingConfig: { hostname: target.tunnel.hostname, usePost: target.tunnel.post } }),
    accessLog: [...accessLog],
  });
  return { name: TCP_PROXY, configType: typed(TcpProxy, proxy) };
}

/** Network-level RBAC, deny then allow, to stand before a TCP proxy. */
export function networkRbac(rules: RbacRules): Filter[] {
  return rbacFilters(rules).map((fields) => ({
    name: "envoy.filters.network.rbac",
    configType: {
      $case: "typedConfig",
      value: packAny(NetworkRbac, NetworkRbac.fromPartial({ ...fields, statPrefix: "tcp." })),
    } as const,
  }));
}
