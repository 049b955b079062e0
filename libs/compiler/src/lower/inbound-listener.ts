import type { MeshService, Sidecar } from "@lateen/mesh-model";
import { TrafficDirection } from "@lateen/proto/envoy/config/core/v3/base";
import type { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type { Filter, FilterChain } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import type { JwtAuthentication } from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import type { MtlsMode } from "../world/policies.ts";
import { accessLogs, type ObservedConfig } from "./access-log.ts";
import { httpConnectionManager, networkRbac, type RbacRules, tcpProxy } from "./filters.ts";
import {
  type ChainMatch,
  filterChain,
  httpInspector,
  listener,
  originalDstFilter,
  tlsInspector,
} from "./listener-parts.ts";
import {
  BLACK_HOLE_CLUSTER,
  INBOUND_PASSTHROUGH_CLUSTER,
  INBOUND_PORT,
  inboundCluster,
  VIRTUAL_INBOUND,
} from "./names.ts";
import type { PortClass } from "./protocol.ts";
import {
  ALPN_HTTP,
  ALPN_MESH_HTTP,
  ALPN_MESH_TCP,
  downstreamSocket,
  meshServerTls,
  outdatedTls,
  serverLimits,
} from "./tls.ts";
import { inboundRouteConfig } from "./virtual-hosts.ts";

/** A container port that is served. */
export interface InboundPort {
  readonly port: number;
  readonly protocol: PortClass;
  readonly mode: MtlsMode;
  /** Services behind it, oldest first; none for a declared container port without a service. */
  readonly services: readonly { readonly service: MeshService; readonly servicePort: number }[];
  /** What a Sidecar's ingress listener says of the port. */
  readonly ingress?: IngressListener | undefined;
  /** Limits of connections to the application. */
  readonly pool?: ConnectionPool | undefined;
}

export type ConnectionPool = NonNullable<Sidecar["spec"]["inboundConnectionPool"]>;

/** An ingress listener of a Sidecar. */
export interface IngressListener {
  /** Address of a listener of its own; undefined: captured connections to the pod. */
  readonly bind: { readonly address: string; readonly toPort: boolean } | undefined;
  /** Where the application is; undefined: where the connection was made to. */
  readonly endpoint: InboundEndpoint | undefined;
  /** TLS that is ended here where mTLS of the mesh is off. */
  readonly tls?: IngressTls | undefined;
}

export type IngressTls = NonNullable<NonNullable<Sidecar["spec"]["ingress"]>[number]["tls"]>;

export type InboundEndpoint =
  | { readonly kind: "loopback" | "pod"; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** What the inbound listener depends on besides its ports. */
export interface InboundContext {
  readonly config: ObservedConfig;
  readonly client: { readonly http2: boolean; readonly lateen: boolean };
  readonly extensions: readonly string[];
  readonly http: RbacRules;
  readonly tcp: RbacRules;
  readonly tokens?: JwtAuthentication | undefined;
  /** Mode of ports that nothing declares. */
  readonly mode: MtlsMode;
  /** Objects that demand mutual TLS, by port, and under the empty name; for our own proxies, which can say so. */
  readonly demandedBy?: Readonly<Record<string, string>>;
}

/** What one chain does with a connection. */
type ChainKind = "http" | "tcp";
interface Row {
  readonly kind: ChainKind;
  readonly match: ChainMatch;
  readonly mtls: boolean;
}

/**
 * The filter-chain matrix of a port by mTLS mode and declared protocol. TLS that was not meant for the mesh is never terminated:
 * it is passed on as bytes where plaintext is allowed, refused (no chain) elsewhere.
 */
export function chainRows(mode: MtlsMode, protocol: PortClass): readonly Row[] {
  const known = protocol === "tls" ? "tcp" : protocol;
  const istio = [...ALPN_MESH_HTTP, ...ALPN_MESH_TCP];
  const tls = (alpn: readonly string[] = []): ChainMatch => ({
    transport: "tls",
    ...(alpn.length > 0 ? { alpn } : {}),
  });
  const raw = (alpn: readonly string[] = []): ChainMatch => ({
    transport: "raw_buffer",
    ...(alpn.length > 0 ? { alpn } : {}),
  });
  const row = (kind: ChainKind, match: ChainMatch, mtls: boolean): Row => ({ kind, match, mtls });
  switch (mode) {
    case "STRICT":
      if (known === "auto") return [row("http", tls(ALPN_MESH_HTTP), true), row("tcp", tls(), true)];
      return [row(known, tls(), true)];
    case "PERMISSIVE":
      if (known === "auto") {
        return [
          row("http", tls(ALPN_MESH_HTTP), true),
          row("http", raw(ALPN_HTTP), false),
          row("tcp", tls(ALPN_MESH_TCP), true),
          row("tcp", raw(), false),
          row("tcp", tls(), false),
        ];
      }
      if (known === "http") return [row("http", tls(istio), true), row("http", raw(), false)];
      return [row("tcp", tls(istio), true), row("tcp", tls(), false), row("tcp", raw(), false)];
    case "DISABLE":
      if (known === "auto")
        return [row("http", raw(ALPN_HTTP), false), row("tcp", raw(), false), row("tcp", tls(), false)];
      if (known === "http") return [row("http", raw(), false)];
      return [row("tcp", {}, false)];
  }
}

/** The listener on 15006 that all inbound connections arrive at. */
export function virtualInbound(all: readonly InboundPort[], context: InboundContext): Listener {
  const { config } = context;
  const ports = all.filter((port) => port.ingress?.bind === undefined);
  const logs = accessLogs(config);
  const blackhole = filterChain({
    name: "virtualInbound-blackhole",
    match: { port: INBOUND_PORT },
    filters: [tcpProxy({ clusters: [{ name: BLACK_HOLE_CLUSTER, weight: 1 }] }, logs.tcp)],
  });
  return listener({
    name: VIRTUAL_INBOUND,
    address: "0.0.0.0",
    port: INBOUND_PORT,
    direction: TrafficDirection.INBOUND,
    bind: true,
    filters: [
      originalDstFilter(),
      tlsInspector(
        ports
          .filter((port) => port.mode === "DISABLE" && isOpaque(port.protocol) && ownTls(port) === undefined)
          .map((port) => port.port),
      ),
      httpInspector(ports.filter((port) => port.protocol !== "auto").map((port) => port.port)),
    ],
    chains: [blackhole, ...ports.flatMap((port) => portChains(port, context)), ...passthroughChains(context)],
    detectionTimeoutMs: config.protocolDetectionTimeoutMs,
    demandedBy: context.demandedBy,
  });
}

/** Listeners of ingress ports that have an address of their own. */
export function boundInbound(ports: readonly InboundPort[], context: InboundContext): readonly Listener[] {
  return ports.flatMap((port) => {
    const bind = port.ingress?.bind;
    if (bind === undefined) return [];
    const inspects = port.mode !== "DISABLE" || !isOpaque(port.protocol) || ownTls(port) !== undefined;
    return [
      listener({
        address: bind.address,
        port: port.port,
        direction: TrafficDirection.INBOUND,
        bind: bind.toPort,
        filters: [...(inspects ? [tlsInspector()] : []), ...(port.protocol === "auto" ? [httpInspector()] : [])],
        // Its connections are all for this port: nothing is left to match it by.
        chains: portChains(port, context, {}),
        detectionTimeoutMs: context.config.protocolDetectionTimeoutMs,
        demandedBy: context.demandedBy,
      }),
    ];
  });
}

/** Rows of a port whose own TLS is ended here: it takes nothing else. */
function ownTlsRows(protocol: PortClass): readonly Row[] {
  const tls: ChainMatch = { transport: "tls" };
  if (protocol === "auto") {
    return [
      { kind: "http", match: { ...tls, alpn: [...ALPN_HTTP] }, mtls: false },
      { kind: "tcp", match: tls, mtls: false },
    ];
  }
  return [{ kind: protocol === "http" ? "http" : "tcp", match: tls, mtls: false }];
}

/** Own TLS counts where mTLS of the mesh is off. */
function ownTls({ mode, ingress }: InboundPort): IngressTls | undefined {
  return mode === "DISABLE" ? ingress?.tls : undefined;
}

function isOpaque(protocol: PortClass): boolean {
  return protocol === "tcp" || protocol === "tls";
}

function portChains(
  port: InboundPort,
  context: InboundContext,
  at: ChainMatch = { port: port.port },
): readonly FilterChain[] {
  const name = `0.0.0.0_${port.port}`;
  const cluster = inboundCluster(port.port);
  const [first] = port.services;
  const operation = first === undefined ? `:${port.port}/*` : `${first.service.host}:${first.servicePort}/*`;
  const tls = ownTls(port);
  if (context.client.lateen && outdatedTls(tls)) {
    const nowhere = tcpProxy({ clusters: [{ name: BLACK_HOLE_CLUSTER, weight: 1 }] }, accessLogs(context.config).tcp);
    return [filterChain({ name, match: at, filters: [nowhere] })];
  }
  return (tls === undefined ? chainRows(port.mode, port.protocol) : ownTlsRows(port.protocol)).map((row) =>
    filterChain({
      name,
      match: { ...at, ...row.match },
      socket: tls === undefined ? serverSocket(row, context) : ingressSocket(tls, row.kind, context),
      filters:
        row.kind === "http"
          ? [
              httpChain(
                `inbound_${name}`,
                inboundRouteConfig(cluster, first?.servicePort ?? port.port, cluster, operation),
                context,
              ),
            ]
          : tcpChain(cluster, context),
    }),
  );
}

/** Ports that no service and no container declares: to the application, under the workload's mode and policies. */
function passthroughChains(context: InboundContext): readonly FilterChain[] {
  const cluster = INBOUND_PASSTHROUGH_CLUSTER;
  return chainRows(context.mode, "auto").map((row) =>
    filterChain({
      name: row.kind === "http" ? "virtualInbound-catchall-http" : VIRTUAL_INBOUND,
      match: row.match,
      socket: serverSocket(row, context),
      filters:
        row.kind === "http"
          ? [httpChain(cluster, inboundRouteConfig(cluster, 0, cluster, ":0/*"), context)]
          : tcpChain(cluster, context),
    }),
  );
}

function serverSocket(row: Row, context: InboundContext) {
  if (!row.mtls) return undefined;
  const { config, client } = context;
  return meshServerTls(
    serverAlpn(row.kind, client),
    [config.trustDomain, ...config.trustDomainAliases],
    config.meshMTLS,
  );
}

/** TLS of a Sidecar's ingress listener, from files of the workload. */
function ingressSocket(tls: IngressTls, kind: ChainKind, { client, config }: InboundContext) {
  const mutual = tls.mode === "MUTUAL";
  return downstreamSocket({
    alpn: kind === "http" ? (client.http2 ? ["h2", "http/1.1"] : ["http/1.1"]) : [],
    certificate: `file-cert:${tls.serverCertificate ?? ""}~${tls.privateKey ?? ""}`,
    trust: mutual ? `file-root:${tls.caCertificates ?? ""}` : undefined,
    requireClient: mutual,
    names: [],
    ...(mutual
      ? {
          altNames: tls.subjectAltNames ?? [],
          crl: tls.caCrl || undefined,
        }
      : {}),
    ...serverLimits(tls, config.tlsDefaults),
  });
}

/**
 * What the server side picks from. Our own proxy accepts `istio` as well: its TLS library ends a handshake in which no offered
 * protocol is known, and a client that took the port for opaque offers nothing else.
 */
function serverAlpn(kind: ChainKind, client: InboundContext["client"]): readonly string[] {
  if (!client.lateen) return kind === "http" ? ["h2", "http/1.1"] : ["istio", "h2", "http/1.1"];
  if (kind === "tcp") return ["istio", "http/1.1"];
  return client.http2 ? ["h2", "http/1.1", "istio"] : ["http/1.1", "istio"];
}

function httpChain(statPrefix: string, routes: ReturnType<typeof inboundRouteConfig>, context: InboundContext): Filter {
  return httpConnectionManager({
    place: "inbound",
    statPrefix,
    routes,
    config: context.config,
    extensions: context.extensions,
    rbac: context.http,
    tokens: context.tokens,
    accessLog: accessLogs(context.config).http,
  });
}

function tcpChain(cluster: string, context: InboundContext): readonly Filter[] {
  const proxy = tcpProxy({ clusters: [{ name: cluster, weight: 1 }] }, accessLogs(context.config).tcp);
  return [...networkRbac(context.tcp), proxy];
}
