import { type Clock, seededRandom, systemClock } from "@lateen/kernel";
import {
  compileRouteTable,
  type ForwardSpec,
  NO_HEADER_EDITS,
  type RouteActionSpec,
  type RouteSpec,
  type RouteTableSpec,
  type VirtualHostSpec,
} from "@lateen/traffic";
import { LogChunks } from "../../access-log/log-chunks.ts";
import { LogSinks } from "../../access-log/sinks.ts";
import type { HttpFilterRuntime } from "../../chain/spi.ts";
import type { ClusterSpec, HttpConnectionManagerSpec } from "../../config/plan.ts";
import { BrokenConnections } from "../../explain/broken-connections.ts";
import { RecentRequests } from "../../explain/recent-requests.ts";
import { HeadPool } from "../../http1/head.ts";
import type { Connection } from "../../io/connection.ts";
import { IoLoop } from "../../io/io-loop.ts";
import { type ListeningSocket, listen } from "../../io/sockets.ts";
import { testBackend } from "../../io/testing/backend.ts";
import { connectionIds } from "../../listener/connection-ids.ts";
import type { ConnectionInfo } from "../../listener/connection-info.ts";
import { ClusterCounters } from "../../stats/cluster-counters.ts";
import { SharedCells } from "../../stats/shared-cells.ts";
import { Slots } from "../../stats/slots.ts";
import { TlsContexts } from "../../tls/contexts.ts";
import { Cluster, type UpstreamContext } from "../../upstream/cluster.ts";
import type { FromWorker } from "../../worker/protocol.ts";
import type { ChainFacts, WorkerContext } from "../../worker/state.ts";
import { HttpConnectionManager } from "../connection-manager.ts";

const SELF = {
  workload: "web",
  namespace: "default",
  app: "web",
  version: "v1",
  canonicalService: "web",
  canonicalRevision: "v1",
  cluster: "local",
  principal: "spiffe://cluster.local/ns/default/sa/web",
  nodeId: "sidecar~127.0.0.1~web.default~default.svc.cluster.local",
};

export function managerSpec(overrides: Partial<HttpConnectionManagerSpec> = {}): HttpConnectionManagerSpec {
  return {
    kind: "http",
    statPrefix: "test",
    routes: { rds: "r" },
    httpFilters: [],
    serverName: "lateen-test",
    serverHeader: "passThrough",
    useRemoteAddress: false,
    xffTrustedHops: 0,
    forwardClientCert: "sanitize",
    setClientCertDetails: { subject: false, uri: false, dns: false, cert: false },
    streamIdleTimeoutMs: 0,
    requestTimeoutMs: 0,
    idleTimeoutMs: 0,
    drainTimeoutMs: 0,
    normalizePath: true,
    mergeSlashes: false,
    escapedSlashes: "keep",
    acceptHttp10: false,
    generateRequestId: true,
    preserveExternalRequestId: false,
    alwaysSetRequestIdInResponse: false,
    stripPortMode: "none",
    upgrades: [],
    accessLogs: [],
    ...overrides,
  };
}

export function clusterSpec(name: string, ports: readonly number[], overrides: Partial<ClusterSpec> = {}): ClusterSpec {
  const endpoints = ports.map((port) => ({
    address: "127.0.0.1",
    port,
    weight: 1,
    healthy: true,
    transportSocketMatch: {},
    workload: undefined,
  }));
  return {
    name,
    discovery: "static",
    endpoints: [{ region: "", zone: "", subZone: "", weight: undefined, priority: 0, endpoints }],
    connectTimeoutMs: 1000,
    balance: "roundRobin",
    choices: 2,
    panicPercent: 50,
    transportMatches: [],
    transport: { kind: "raw" },
    circuitBreakers: { maxConnections: 1000, maxPendingRequests: 1000, maxRequests: 1000, maxRetries: 1000 },
    outlier: undefined,
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    tcpKeepaliveMs: undefined,
    destinationService: undefined,
    direction: "outbound",
    origin: undefined,
    ...overrides,
  };
}

export function forwardTo(cluster: string, overrides: Partial<ForwardSpec> = {}): RouteActionSpec {
  return {
    kind: "forward",
    clusters: [
      {
        cluster,
        weight: 1,
        requestHeaders: NO_HEADER_EDITS,
        responseHeaders: NO_HEADER_EDITS,
        hostRewrite: undefined,
      },
    ],
    timeoutMs: 0,
    idleTimeoutMs: undefined,
    retry: undefined,
    rewrite: { prefix: undefined, regex: undefined, host: undefined },
    mirrors: [],
    upgrades: [],
    clusterNotFoundStatus: 503,
    ...overrides,
  };
}

export function routeSpec(prefix: string, action: RouteActionSpec, overrides: Partial<RouteSpec> = {}): RouteSpec {
  return {
    name: `route ${prefix}`,
    match: { path: { kind: "prefix", value: prefix, ignoreCase: false }, headers: [], query: [], fraction: 1 },
    action,
    requestHeaders: NO_HEADER_EDITS,
    responseHeaders: NO_HEADER_EDITS,
    filterConfig: {},
    origin: undefined,
    decorator: undefined,
    ...overrides,
  };
}

export function hostSpec(
  domains: readonly string[],
  routes: readonly RouteSpec[],
  overrides: Partial<VirtualHostSpec> = {},
): VirtualHostSpec {
  return {
    name: domains[0] ?? "",
    domains,
    routes,
    requestHeaders: NO_HEADER_EDITS,
    responseHeaders: NO_HEADER_EDITS,
    includeAttemptCount: false,
    requireTls: false,
    filterConfig: {},
    ...overrides,
  };
}

export function tableSpec(
  virtualHosts: readonly VirtualHostSpec[],
  overrides: Partial<RouteTableSpec> = {},
): RouteTableSpec {
  return {
    name: "r",
    virtualHosts,
    ignorePortInHostMatching: true,
    requestHeaders: NO_HEADER_EDITS,
    responseHeaders: NO_HEADER_EDITS,
    maxDirectResponseBytes: 4096,
    ...overrides,
  };
}

export interface RigOptions {
  readonly spec?: Partial<HttpConnectionManagerSpec>;
  readonly hosts: readonly VirtualHostSpec[];
  readonly clusters?: readonly ClusterSpec[];
  readonly direction?: ChainFacts["direction"];
  readonly role?: "sidecar" | "gateway";
  readonly filters?: readonly HttpFilterRuntime[];
  readonly clock?: Clock;
  readonly info?: Partial<ConnectionInfo>;
  readonly random?: () => number;
}

/** A connection manager behind a listening socket on a free port. */
export interface Rig {
  readonly port: number;
  readonly manager: HttpConnectionManager;
  readonly context: WorkerContext & { draining: boolean };
  /** Access-log lines and records handed over; call after `flushLogs`. */
  readonly posted: FromWorker[];
  /** All access-log text so far. */
  logText(): string;
  cluster(name: string): Cluster;
  /** Bytes read from all clients so far. */
  bytesRead(): number;
  close(): void;
}

export async function startRig(options: RigOptions): Promise<Rig> {
  const clock = options.clock ?? systemClock();
  const io = new IoLoop(clock, testBackend);
  const heads = new HeadPool();
  const seeded = seededRandom(1);
  const random = options.random ?? (() => seeded.next());
  const stats = new Slots(new SharedArrayBuffer(8 * 65_536), () => {});
  const upstream: UpstreamContext = {
    io,
    heads,
    tls: new TlsContexts(),
    random,
    mapDestination: (host, port) => ({ host, port }),
    lookup: async () => ({ addresses: [], ttlMs: undefined }),
    counters: (name) => new ClusterCounters(stats, name),
  };
  const clusters = new Map((options.clusters ?? []).map((spec) => [spec.name, new Cluster(spec, upstream)]));
  const table = compileRouteTable(tableSpec(options.hosts));
  const posted: FromWorker[] = [];
  const chunks = new LogChunks();
  const environment = { hostname: "test-host", variables: {}, localPrincipal: SELF.principal };
  const context: WorkerContext & { draining: boolean } = {
    io,
    heads,
    clock,
    random,
    bootstrap: {
      self: SELF,
      role: options.role ?? "sidecar",
      capture: { mode: "none" },
      bindMap: [],
      bindAddress: "127.0.0.1",
      lowPortOffset: 0,
      index: 0,
      workers: 1,
      limits: { maxConnections: 1000 },
      stats: { values: stats.values.buffer as SharedArrayBuffer },
    },
    plan: { cluster: (name) => clusters.get(name), routes: () => table, resolveName: () => undefined },
    filters: new Map((options.filters ?? []).map((filter) => [filter.name, filter])),
    networkFilters: new Map(),
    stats,
    cells: new SharedCells(),
    logs: new LogSinks({ wheel: io.wheel, environment, chunks, post: (message) => posted.push(message) }),
    recent: new RecentRequests(16, () => io.wheel.now()),
    broken: new BrokenConnections(16),
    nextConnectionId: connectionIds(() => 0),
    shared: new Map(),
    draining: false,
  };
  const chain: ChainFacts = { listener: "test", chain: "test", direction: options.direction ?? "outbound" };
  const manager = new HttpConnectionManager(managerSpec(options.spec), chain, context);
  const accepted: Connection[] = [];
  const socket = await listenFor(io, manager, options.info ?? {}, accepted);
  return {
    port: socket.port,
    manager,
    context,
    posted,
    logText() {
      context.logs.flush();
      return posted
        .flatMap((m) => (m.type === "log" ? [chunks.bytes(m.chunk, m.length).toString("utf8")] : []))
        .join("");
    },
    cluster: (name) => clusters.get(name) ?? raise(`no cluster ${name}`),
    bytesRead: () => accepted.reduce((sum, connection) => sum + connection.bytesRead, 0),
    close() {
      socket.close();
      manager.destroy();
      for (const cluster of clusters.values()) cluster.destroy();
      io.close();
    },
  };
}

function listenFor(
  io: IoLoop,
  manager: HttpConnectionManager,
  overrides: Partial<ConnectionInfo>,
  accepted: Connection[],
): Promise<ListeningSocket> {
  return listen(io, {
    address: "127.0.0.1",
    port: 0,
    reusePort: false,
    onConnection(connection) {
      accepted.push(connection);
      const { remoteAddress = "", remotePort = 0, localAddress = "", localPort = 0 } = connection.socket;
      manager.serve(connection, {
        sourceAddress: remoteAddress,
        sourcePort: remotePort,
        destinationAddress: localAddress,
        destinationPort: localPort,
        serverName: "",
        secure: false,
        peer: undefined,
        ...overrides,
      });
      connection.resume();
    },
  });
}

function raise(message: string): never {
  throw new Error(message);
}
