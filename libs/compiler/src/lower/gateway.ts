import { TrafficDirection } from "@lateen/proto/envoy/config/core/v3/base";
import type { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type { FilterChain } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import type { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { absoluteGateway, type BoundVirtualService } from "../world/virtual-services.ts";
import { accessLogs } from "./access-log.ts";
import { sniOf, targetsOf } from "./auto-passthrough.ts";
import { httpConnectionManager, networkRbac, type TcpTarget, tcpProxy } from "./filters.ts";
import { admits, boundTo, nameOf, routesFor, serverHosts } from "./gateway-routes.ts";
import { type GatewayContext, type PlacedServer, serverClass } from "./gateway-server.ts";
import { serverSocket } from "./gateway-tls.ts";
import { l4Clusters } from "./l4-routes.ts";
import { filterChain, listener, proxyProtocolFilter, tlsInspector } from "./listener-parts.ts";
import { clientMatches } from "./route-match.ts";
import { ALPN_MESH_HTTP, ALPN_MESH_TCP, outdatedTls } from "./tls.ts";

/** Everything one listening port of a gateway needs. */
export interface GatewayPort {
  readonly listener: Listener;
  readonly routes: readonly RouteConfiguration[];
}

/**
 * Merges the servers of one listening port. All plain HTTP servers share a listener and the route configuration `http.<port>`;
 * TLS servers get one chain each, told apart by SNI; of plain TCP servers the first (oldest Gateway) is taken, as of anything
 * that conflicts. Undefined when nothing is left to listen for.
 */
export function gatewayPort(
  port: number,
  servers: readonly PlacedServer[],
  context: GatewayContext,
): GatewayPort | undefined {
  const usable = servers.filter((placed) => serverClass(placed.server) !== "unsupported");
  const [first] = usable;
  if (first === undefined) return undefined;
  const same = usable.filter((placed) => listening(placed) === listening(first));
  switch (listening(first)) {
    case "http":
      return httpPort(port, same, context);
    case "tls":
      return tlsPort(port, same, context);
    case "tcp":
      return tcpPort(port, first, context);
  }
}

/** The address that a server is bound to; empty: all. Servers of other addresses on the same port have a listener of their own. */
export function bindOf(placed: PlacedServer | undefined): string {
  const bind = placed?.server.bind ?? "";
  return bind === "0.0.0.0" ? "" : bind;
}

/** What the first bytes on the port are. */
function listening({ server }: PlacedServer): "http" | "tls" | "tcp" {
  const kind = serverClass(server);
  if (kind === "http") return "http";
  return kind === "tcp" && server.tls === undefined ? "tcp" : "tls";
}

function httpPort(port: number, servers: readonly PlacedServer[], context: GatewayContext): GatewayPort {
  const bind = bindOf(servers[0]);
  const name = bind === "" ? `http.${port}` : `http.${port}.${bind}`;
  const chain = filterChain({ name: "", filters: [manager(name, context)] });
  return {
    listener: gatewayListener(port, servers, [chain], context),
    routes: [routesFor(name, port, servers, context)],
  };
}

function tcpPort(port: number, placed: PlacedServer, context: GatewayContext): GatewayPort | undefined {
  const target = tcpTarget(placed, context);
  if (target === undefined) return undefined;
  const chain = filterChain({ name: "", filters: tcpFilters(target, context) });
  return { listener: gatewayListener(port, [placed], [chain], context), routes: [] };
}

function tlsPort(port: number, servers: readonly PlacedServer[], context: GatewayContext): GatewayPort | undefined {
  const chains: FilterChain[] = [];
  const routes: RouteConfiguration[] = [];
  /** Server names that have a chain: the next server does not get them. */
  const taken = new Set<string>();
  for (const placed of servers) {
    if (serverClass(placed.server) === "passthrough") {
      chains.push(...passthroughChains(placed, taken, context));
      continue;
    }
    if (serverClass(placed.server) === "autoPassthrough") {
      chains.push(...autoPassthroughChains(placed, taken, context));
      continue;
    }
    const made = terminatedServer(placed, taken, context);
    if (made?.chain !== undefined) chains.push(made.chain);
    if (made?.routes !== undefined) routes.push(made.routes);
  }
  return chains.length === 0 ? undefined : { listener: gatewayListener(port, servers, chains, context), routes };
}

/** A server that ends TLS itself: HTTPS with routes of its own, or TLS forwarded as plain bytes. */
function terminatedServer(
  placed: PlacedServer,
  taken: Set<string>,
  context: GatewayContext,
): { readonly chain: FilterChain; readonly routes?: RouteConfiguration } | undefined {
  const { server } = placed;
  const http = serverClass(server) === "https";
  // A server whose clients cannot be checked as asked must not take them.
  if (context.client.lateen && (pinsCertificates(server) || outdatedTls(server.tls))) return undefined;
  const target = http ? undefined : tcpTarget(placed, context);
  const serverNames = serverHosts(server).filter((host) => !taken.has(host));
  if (serverNames.length === 0 || (!http && target === undefined)) return undefined;
  for (const host of serverNames) taken.add(host);
  const match = serverNames.includes("*") ? {} : { serverNames };
  const socket = serverSocket(placed, http, context);
  if (target !== undefined) {
    return { chain: filterChain({ name: "", match, socket, filters: tcpFilters(target, context) }) };
  }
  const name = secureRouteName(placed);
  return {
    chain: filterChain({ name: "", match, socket, filters: [manager(name, context)] }),
    routes: routesFor(name, server.port.number, [placed], context),
  };
}

/** Whether client certificates are checked by digest, which our own proxy does not do. */
export function pinsCertificates({ tls }: PlacedServer["server"]): boolean {
  const mutual = tls?.mode === "MUTUAL" || tls?.mode === "OPTIONAL_MUTUAL";
  return mutual && ((tls.verifyCertificateSpki ?? []).length > 0 || (tls.verifyCertificateHash ?? []).length > 0);
}

/** `https.<port>.<portName>.<gateway>.<namespace>` */
function secureRouteName({ gateway, server }: PlacedServer): string {
  const { name, namespace } = gateway.metadata;
  return `https.${server.port.number}.${server.port.name ?? ""}.${name}.${namespace}`;
}

function gatewayListener(
  port: number,
  servers: readonly PlacedServer[],
  chains: readonly FilterChain[],
  context: GatewayContext,
): Listener {
  const bind = bindOf(servers[0]) || "0.0.0.0";
  const balanced = context.config.defaultConfig.gatewayTopology?.proxyProtocol;
  const sniffs = servers.some((placed) => listening(placed) === "tls");
  return listener({
    address: bind,
    port,
    direction: TrafficDirection.OUTBOUND,
    bind: true,
    filters: [...(balanced === undefined ? [] : [proxyProtocolFilter()]), ...(sniffs ? [tlsInspector()] : [])],
    chains,
    detectionTimeoutMs: context.config.protocolDetectionTimeoutMs,
  });
}

function manager(routes: string, context: GatewayContext) {
  return httpConnectionManager({
    place: "gateway",
    statPrefix: `outbound_0.0.0.0_${routes}`,
    routes,
    config: context.config,
    extensions: context.extensions,
    dynamicDns: context.dynamicDns,
    rbac: context.http,
    tokens: context.tokens,
    accessLog: accessLogs(context.config).http,
  });
}

function tcpFilters(target: TcpTarget, context: GatewayContext) {
  return [...networkRbac(context.tcp), tcpProxy(target, accessLogs(context.config).tcp)];
}

function passthroughChains(placed: PlacedServer, taken: Set<string>, context: GatewayContext): readonly FilterChain[] {
  const chains: FilterChain[] = [];
  for (const bound of boundTo(placed, context)) {
    for (const rule of bound.spec.tls ?? []) {
      for (const match of rule.match) {
        if (!matches(match, placed, bound, context)) continue;
        const names = [...new Set(match.sniHosts.map((host) => host.toLowerCase()))].filter(
          (host) => admits(placed, bound, host) && !taken.has(host),
        );
        if (names.length === 0) continue;
        for (const host of names) taken.add(host);
        const clusters = l4Clusters(rule.route ?? [], bound.namespace, {
          ...context.route,
          port: placed.server.port.number,
        });
        chains.push(
          filterChain({
            name: "",
            match: names.includes("*") ? { transport: "tls" } : { serverNames: names },
            filters: tcpFilters({ clusters }, context),
          }),
        );
      }
    }
  }
  return chains;
}

/** Mesh mTLS goes on to the destination its SNI names; no virtual service has a say. */
function autoPassthroughChains(
  placed: PlacedServer,
  taken: Set<string>,
  context: GatewayContext,
): readonly FilterChain[] {
  return targetsOf(placed, context.sniTargets).flatMap((target) => {
    const name = sniOf(target);
    if (taken.has(name)) return [];
    taken.add(name);
    const filters = tcpFilters({ clusters: [{ name, weight: 1 }] }, context);
    return [
      filterChain({ name: "", match: { serverNames: [name], alpn: [...ALPN_MESH_HTTP, ...ALPN_MESH_TCP] }, filters }),
    ];
  });
}

function tcpTarget(placed: PlacedServer, context: GatewayContext): TcpTarget | undefined {
  for (const bound of boundTo(placed, context)) {
    if (!bound.hosts.some((host) => admits(placed, bound, host))) continue;
    for (const rule of bound.spec.tcp ?? []) {
      const list = rule.match ?? [];
      if (list.length > 0 && !list.some((match) => matches(match, placed, bound, context))) continue;
      return {
        clusters: l4Clusters(rule.route ?? [], bound.namespace, { ...context.route, port: placed.server.port.number }),
      };
    }
  }
  return undefined;
}

function matches(
  match: Parameters<typeof clientMatches>[0],
  placed: PlacedServer,
  bound: BoundVirtualService,
  context: GatewayContext,
): boolean {
  const { namespace, labels } = context.route;
  const at = { gateway: nameOf(placed.gateway), port: placed.server.port.number, namespace, labels };
  return clientMatches(match, at, (gateway) => absoluteGateway(gateway, bound.namespace));
}
