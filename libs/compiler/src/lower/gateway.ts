import { type Gateway, hostMatches, hostsIntersect, type MeshConfig, type MeshService } from "@lateen/mesh-model";
import { TrafficDirection } from "@lateen/proto/envoy/config/core/v3/base";
import type { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type { FilterChain } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import type { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { absoluteGateway, type BoundVirtualService } from "../world/rules.ts";
import { accessLogs } from "./access-log.ts";
import { httpConnectionManager, networkRbac, type RbacRules, type TcpTarget, tcpProxy } from "./filters.ts";
import type { RouteContext } from "./http-routes.ts";
import { filterChain, listener, tlsInspector } from "./listener-parts.ts";
import { l4Clusters } from "./outbound-listeners.ts";
import { serverProtocol } from "./protocol.ts";
import { clientMatches } from "./route-match.ts";
import { downstreamSocket, meshServerTls, ROOT_SECRET, type ServerTls, WORKLOAD_SECRET } from "./tls.ts";
import { type GatewayHost, gatewayRouteConfig } from "./virtual-hosts.ts";

export type GatewayServer = NonNullable<Gateway["spec"]["servers"]>[number];

/** A server of a Gateway with the port it really listens on. */
export interface PlacedServer {
  readonly gateway: Gateway;
  readonly server: GatewayServer;
  /** Listening port: the target port of the gateway's own service where there is one. */
  readonly listenPort: number;
}

type ServerClass = "http" | "https" | "passthrough" | "tcp" | "unsupported";

/** What a server does with a connection. */
export function serverClass(server: GatewayServer): ServerClass {
  const protocol = serverProtocol(server.port.protocol);
  const mode = server.tls?.mode ?? "SIMPLE";
  switch (protocol) {
    case "HTTP":
    case "HTTP2":
    case "GRPC":
    case "GRPCWeb":
      return "http";
    case "HTTPS":
      if (mode === "PASSTHROUGH") return "passthrough";
      return mode === "AUTO_PASSTHROUGH" ? "unsupported" : "https";
    case "TLS":
      if (mode === "PASSTHROUGH") return "passthrough";
      return mode === "AUTO_PASSTHROUGH" ? "unsupported" : "tcp";
    case "TCP":
    case "Mongo":
    case "Redis":
    case "MySQL":
      return "tcp";
    default:
      return "unsupported";
  }
}

export interface GatewayContext {
  readonly config: MeshConfig;
  readonly extensions: readonly string[];
  readonly client: { readonly http2: boolean };
  readonly http: RbacRules;
  readonly tcp: RbacRules;
  /** Visible virtual services, oldest first. */
  readonly virtualServices: readonly BoundVirtualService[];
  readonly service: (host: string) => MeshService | undefined;
  /** For routes; what depends on the server is set per server. */
  readonly route: Omit<RouteContext, "gateway" | "port" | "secure">;
}

/** Everything one listening port of a gateway needs. */
export interface GatewayPort {
  readonly listener: Listener;
  readonly routes: readonly RouteConfiguration[];
}

function nameOf(gateway: Gateway): string {
  return `${gateway.metadata.namespace}/${gateway.metadata.name}`;
}

/** Hosts of a server without their namespace part, lower case. */
function serverHosts(server: GatewayServer): readonly string[] {
  return server.hosts.map((host) => host.slice(host.indexOf("/") + 1).toLowerCase());
}

/** Whether a server takes virtual services of this namespace for this host: `ns/host`, `./host`, `*` + `/host`. */
function admits(placed: PlacedServer, bound: BoundVirtualService, host: string): boolean {
  return placed.server.hosts.some((entry) => {
    const slash = entry.indexOf("/");
    const namespace = slash < 0 ? "*" : entry.slice(0, slash);
    const wanted = namespace === "." ? placed.gateway.metadata.namespace : namespace;
    return (wanted === "*" || wanted === bound.namespace) && hostsIntersect(entry.slice(slash + 1), host);
  });
}

/** The narrower of two intersecting hosts. */
function narrower(a: string, b: string): string {
  return hostMatches(a, b) ? b : a;
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

/** What the first bytes on the port are. */
function listening({ server }: PlacedServer): "http" | "tls" | "tcp" {
  const kind = serverClass(server);
  if (kind === "http") return "http";
  return kind === "tcp" && server.tls === undefined ? "tcp" : "tls";
}

function httpPort(port: number, servers: readonly PlacedServer[], context: GatewayContext): GatewayPort {
  const name = `http.${port}`;
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
  const bind = servers.find((placed) => placed.server.bind)?.server.bind ?? "0.0.0.0";
  const sniffs = servers.some((placed) => listening(placed) === "tls");
  return listener({
    address: bind,
    port,
    direction: TrafficDirection.OUTBOUND,
    bind: true,
    filters: sniffs ? [tlsInspector()] : [],
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
    rbac: context.http,
    accessLog: accessLogs(context.config).http,
  });
}

function tcpFilters(target: TcpTarget, context: GatewayContext) {
  return [...networkRbac(context.tcp), tcpProxy(target, accessLogs(context.config).tcp)];
}

// ---------------------------------------------------------------- routes

function boundTo(placed: PlacedServer, context: GatewayContext): readonly BoundVirtualService[] {
  return context.virtualServices.filter((bound) => bound.gateways.includes(nameOf(placed.gateway)));
}

function routesFor(
  name: string,
  port: number,
  servers: readonly PlacedServer[],
  context: GatewayContext,
): RouteConfiguration {
  const hosts = new Map<string, { virtualServices: BoundVirtualService[]; httpsRedirect: boolean }>();
  const via = new Map<BoundVirtualService, PlacedServer>();
  for (const placed of servers) {
    const redirect = placed.server.tls?.httpsRedirect === true;
    for (const bound of boundTo(placed, context)) {
      if ((bound.spec.http ?? []).length === 0) continue;
      for (const host of bound.hosts) {
        for (const wanted of serverHosts(placed.server)) {
          if (!admits(placed, bound, host) || !hostsIntersect(wanted, host)) continue;
          const key = narrower(wanted, host);
          const entry = hosts.get(key) ?? { virtualServices: [], httpsRedirect: false };
          hosts.set(key, entry);
          entry.httpsRedirect ||= redirect;
          if (!entry.virtualServices.includes(bound)) entry.virtualServices.push(bound);
          if (!via.has(bound)) via.set(bound, placed);
        }
      }
    }
    if (redirect) {
      for (const host of serverHosts(placed.server)) {
        if (!hosts.has(host)) hosts.set(host, { virtualServices: [], httpsRedirect: true });
      }
    }
  }
  const list: GatewayHost[] = [...hosts].map(([host, entry]) => ({ host, ...entry }));
  return gatewayRouteConfig(name, port, list, (bound) => {
    const placed = via.get(bound) ?? servers[0];
    return {
      ...context.route,
      gateway: placed === undefined ? "" : nameOf(placed.gateway),
      port: placed?.server.port.number ?? port,
      secure: placed !== undefined && serverClass(placed.server) === "https",
    };
  });
}

function passthroughChains(placed: PlacedServer, taken: Set<string>, context: GatewayContext): readonly FilterChain[] {
  const chains: FilterChain[] = [];
  for (const bound of boundTo(placed, context)) {
    for (const rule of bound.spec.tls ?? []) {
      for (const match of rule.match) {
        if (!matches(match, placed, bound, context)) continue;
        const names = match.sniHosts
          .map((host) => host.toLowerCase())
          .filter((host) => admits(placed, bound, host) && !taken.has(host));
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

// ---------------------------------------------------------------- server TLS

function serverSocket({ server }: PlacedServer, http: boolean, context: GatewayContext) {
  const tls = server.tls ?? {};
  const alpn = http ? (context.client.http2 ? ["h2", "http/1.1"] : ["http/1.1"]) : [];
  if (tls.mode === "ISTIO_MUTUAL") {
    return meshServerTls([...alpn, "istio"], [context.config.trustDomain, ...context.config.trustDomainAliases]);
  }
  const mutual = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  const options: ServerTls = {
    alpn,
    certificate: certificateSecret(tls),
    trust: mutual ? trustSecret(tls) : undefined,
    requireClient: tls.mode === "MUTUAL",
    names: [],
    minVersion: tls.minProtocolVersion ?? "TLSV1_2",
    maxVersion: tls.maxProtocolVersion ?? "TLS_AUTO",
    ciphers: tls.cipherSuites ?? [],
  };
  return downstreamSocket(options);
}

type Tls = NonNullable<GatewayServer["tls"]>;

/** SDS name of the server certificate: `kubernetes://<credentialName>` or `file-cert:<cert>~<key>`. */
export function certificateSecret(tls: Tls): string {
  if (tls.credentialName) return `kubernetes://${tls.credentialName}`;
  if (tls.serverCertificate) return `file-cert:${tls.serverCertificate}~${tls.privateKey ?? ""}`;
  return WORKLOAD_SECRET;
}

/** SDS name of the roots that client certificates must chain to. */
export function trustSecret(tls: Tls): string {
  if (tls.credentialName) return `kubernetes://${tls.credentialName}-cacert`;
  return tls.caCertificates ? `file-root:${tls.caCertificates}` : ROOT_SECRET;
}
