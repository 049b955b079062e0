import { compileRouteTable, type FormatOperator, type RouteMatch, type RouteTable } from "@lateen/traffic";
import { compileOperator, type OperatorValue } from "../access-log/operators.ts";
import type { AccessLog } from "../access-log/sinks.ts";
import type { HttpFilter } from "../chain/spi.ts";
import type { HttpConnectionManagerSpec } from "../config/plan.ts";
import { isNotable, refusedRecord, requestRecord } from "../explain/make-record.ts";
import type { Downstream } from "../http/streams.ts";
import type { HeadPool, Http1Head } from "../http1/head.ts";
import { ServerConnection, type ServerOwner } from "../http1/server-connection.ts";
import { type Http2ServerOwner, Http2ServerSession } from "../http2/server-session.ts";
import type { Connection } from "../io/connection.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import { Tracer } from "../tracing/tracer.ts";
import type { ChainFacts, HttpTerminal, WorkerContext } from "../worker/state.ts";
import { HttpExchange } from "./exchange.ts";
import type { ExchangeHost } from "./exchange-host.ts";
import { RefusedLog } from "./exchange-log.ts";
import type { ExchangeState } from "./exchange-state.ts";
import { FilterSet } from "./filter-set.ts";
import { GradualDrain } from "./gradual-drain.ts";
import type { HeadRules } from "./request-head.ts";
import { uuidSource } from "./uuid.ts";

const SERVICE_TIME = "x-envoy-upstream-service-time: ";
/** Times for which lines are kept. */
const KEPT_LINES = 256;

/**
 * The HTTP side of one filter chain: makes an exchange of every request. One instance per chain in force; when the chain is
 * replaced, `drain` lets its connections end with their next response.
 */
export class HttpConnectionManager implements HttpTerminal, ExchangeHost {
  readonly spec: HttpConnectionManagerSpec;
  readonly chain: ChainFacts;
  readonly context: WorkerContext;
  readonly rules: HeadRules;
  readonly filters: readonly HttpFilter[];
  readonly bodyWatchers: boolean;
  readonly #chainFilters: FilterSet;
  readonly log: AccessLog;
  readonly tracer: Tracer | undefined;
  readonly serverLine: string;
  readonly routes: () => RouteTable | undefined;
  readonly #connections = new Map<ServerConnection | Http2ServerSession, ManagedOwner>();
  readonly #operators = new Map<FormatOperator, OperatorValue>();
  readonly #counters: ManagerCounters;
  #exchanges = 0;
  #draining = false;
  #dateSecond = 0;
  #dateLine = "";
  /** Lines of responses that took so many milliseconds, without and with the `server` line. */
  readonly #service: string[] = [];
  readonly #serverAndService: string[] = [];

  /** @throws LateenError LTN5101 for an access log, LTN5102 for a filter this worker does not have; what its filters throw. */
  constructor(spec: HttpConnectionManagerSpec, chain: ChainFacts, context: WorkerContext) {
    const { role } = context.bootstrap;
    this.spec = spec;
    this.chain = chain;
    this.context = context;
    this.rules = {
      spec,
      trustsClient: role === "sidecar" && chain.direction === "outbound",
      uuid: uuidSource(),
    };
    this.#chainFilters = new FilterSet(spec, chain, context);
    this.filters = this.#chainFilters.byDefault;
    this.bodyWatchers = this.#chainFilters.watchBodies;
    this.log = context.logs.http(spec.accessLogs);
    this.tracer = spec.tracing === undefined ? undefined : new Tracer(spec.tracing, chain, context);
    // What passes through gets no name here either.
    this.serverLine = spec.serverHeader === "passThrough" ? "" : `server: ${spec.serverName}\r\n`;
    this.routes = routesOf(spec, context);
    this.#counters = new ManagerCounters(context, spec.statPrefix);
  }

  filtersFor(match: RouteMatch | undefined): readonly HttpFilter[] {
    return this.#chainFilters.of(match);
  }

  get active(): number {
    return this.#connections.size;
  }

  /** Exchanges under way, those on connections of others included. */
  get activeExchanges(): number {
    return this.#exchanges;
  }

  get draining(): boolean {
    return this.#draining || this.context.draining || (this.#leaving?.ends() ?? false);
  }

  serve(connection: Connection, info: ConnectionInfo): void {
    const owner = new ManagedOwner(this, info);
    const http2 = this.spec.codec === "http2";
    const server = http2 ? new Http2ServerSession(connection, owner) : new ServerConnection(connection, owner);
    this.#connections.set(server, owner);
    this.#counters.connection();
  }

  /** A connection of ours turned out to speak HTTP/2. */
  becomeHttp2(server: ServerConnection, owner: ManagedOwner): void {
    this.#connections.delete(server);
    this.#connections.set(new Http2ServerSession(server.connection, owner), owner);
  }

  handOver(to: (info: ConnectionInfo) => HttpTerminal | undefined): void {
    for (const [server, owner] of [...this.#connections]) {
      const next = to(owner.info);
      // A codec that was agreed on stays.
      if (!(next instanceof HttpConnectionManager) || next.draining || next.spec.codec !== this.spec.codec) continue;
      this.closed(server);
      owner.manager = next;
      next.#connections.set(server, owner);
      next.#counters.connection();
    }
  }

  begin(server: Downstream, head: Http1Head, info: ConnectionInfo): void {
    const { underscores } = this.spec;
    if (underscores === "drop") head.dropUnderscored();
    else if (underscores === "reject" && head.hasUnderscores) {
      this.#refuseUnderscores(server, head, info);
      return;
    }
    this.#exchanges++;
    this.#counters.request();
    const exchange = new HttpExchange(this, server, head, info);
    server.stream = exchange;
    exchange.begin();
  }

  /** As if the codec had not understood it: nothing of the request is judged or passed on. */
  #refuseUnderscores(server: Downstream, head: Http1Head, info: ConnectionInfo): void {
    const http1 = server instanceof ServerConnection;
    this.context.heads.give(head);
    if (http1) {
      server.refuse(400, "http1.unexpected_underscore");
      return;
    }
    this.refused(info, { status: 400, details: "http2.unexpected_underscore", protocol: "HTTP/2" });
    server.abort();
  }

  drain(overMs = 0): void {
    this.#leaving?.stop();
    this.#leaving = undefined;
    if (overMs > 0) {
      const { io, random } = this.context;
      this.#leaving = new GradualDrain(io.wheel, random, overMs, (share) => this.#closeIdle(share));
      return;
    }
    this.#draining = true;
    this.#closeIdle(1);
  }
  #leaving: GradualDrain | undefined = undefined;

  /** @param share of the connections that are asked to end, 0–1. */
  #closeIdle(share: number): void {
    const { random } = this.context;
    for (const server of [...this.#connections.keys()]) if (share >= 1 || random() < share) server.closeIfIdle();
  }

  destroy(): void {
    this.#leaving?.stop();
    for (const server of [...this.#connections.keys()]) server.connection.destroy();
  }

  closed(server: ServerConnection | Http2ServerSession): void {
    if (this.#connections.delete(server)) this.#counters.connectionGone();
  }

  ended(exchange: ExchangeState): void {
    this.#exchanges--;
    this.#counters.response(exchange.responseCode);
    const { recent } = this.context;
    const notable = isNotable(exchange);
    if ((notable || recent.keepsAll) && recent.enabled) recent.add(requestRecord(exchange), notable);
  }

  /** A request of `info`'s connection that never became an exchange. */
  refused(info: ConnectionInfo, outcome: ConstructorParameters<typeof RefusedLog>[3]): void {
    this.#counters.malformed();
    const { recent, clock } = this.context;
    if (this.log.empty && !recent.enabled) return;
    const facts = new RefusedLog(info, this.chain.direction, clock.now(), outcome);
    if (!this.log.empty) this.log.write(facts);
    if (recent.enabled) recent.add(refusedRecord(facts, this.chain), true);
  }

  serviceLines(withServer: boolean, ms: number): string {
    if (this.spec.suppressEnvoyHeaders) return withServer ? this.serverLine : "";
    if (ms >= KEPT_LINES) return `${withServer ? this.serverLine : ""}${SERVICE_TIME}${ms}\r\n`;
    const kept = withServer ? this.#serverAndService : this.#service;
    kept[ms] ??= `${withServer ? this.serverLine : ""}${SERVICE_TIME}${ms}\r\n`;
    return kept[ms];
  }

  dateLine(): string {
    const second = Math.floor(this.context.clock.now() / 1000);
    if (second !== this.#dateSecond) {
      this.#dateSecond = second;
      this.#dateLine = `date: ${new Date(second * 1000).toUTCString()}\r\n`;
    }
    return this.#dateLine;
  }

  operator(operator: FormatOperator): OperatorValue {
    const known = this.#operators.get(operator);
    if (known !== undefined) return known;
    const { self } = this.context.bootstrap;
    const compiled = compileOperator(operator, { hostname: "", variables: {}, localPrincipal: self.principal });
    const value = typeof compiled === "string" ? () => undefined : compiled;
    this.#operators.set(operator, value);
    return value;
  }
}

/** What the codec of one connection asks of the manager. */
class ManagedOwner implements ServerOwner, Http2ServerOwner {
  /** Changes when the connection is handed over. */
  manager: HttpConnectionManager;
  readonly info: ConnectionInfo;
  readonly heads: HeadPool;
  /** What the client was told stays. */
  readonly maxConcurrentStreams: number;

  constructor(manager: HttpConnectionManager, info: ConnectionInfo) {
    this.manager = manager;
    this.info = info;
    this.heads = manager.context.heads;
    this.maxConcurrentStreams = maxStreams(manager.spec);
  }

  get acceptHttp10(): boolean {
    return this.manager.spec.acceptHttp10;
  }

  get idleTimeoutMs(): number {
    return this.manager.spec.idleTimeoutMs;
  }

  get draining(): boolean {
    return this.manager.draining;
  }

  begin(server: Downstream, head: Http1Head): void {
    this.manager.begin(server, head, this.info);
  }

  refused(server: ServerConnection | undefined, status: number, details: string): void {
    this.manager.refused(this.info, { status, details, protocol: server === undefined ? "HTTP/2" : "HTTP/1.1" });
  }

  get becomeHttp2(): ((server: ServerConnection) => void) | undefined {
    const manager = this.manager;
    return manager.spec.codec === "http1" ? undefined : (server) => manager.becomeHttp2(server, this);
  }

  closed(server: ServerConnection | Http2ServerSession): void {
    this.manager.closed(server);
  }

  localHeaders(): string {
    return this.manager.dateLine() + this.manager.serverLine;
  }
}

/** Envoy's advice for an edge; inside the mesh clients keep long streams open and are known. */
const EDGE_STREAMS = 100;
const MESH_STREAMS = 1024;

function maxStreams(spec: HttpConnectionManagerSpec): number {
  return spec.maxConcurrentStreams ?? (spec.useRemoteAddress ? EDGE_STREAMS : MESH_STREAMS);
}

function routesOf(spec: HttpConnectionManagerSpec, context: WorkerContext): () => RouteTable | undefined {
  if ("inline" in spec.routes) {
    const table = compileRouteTable(spec.routes.inline);
    return () => table;
  }
  const { rds } = spec.routes;
  return () => context.plan.routes(rds);
}

/** Envoy's counters of a connection manager. */
class ManagerCounters {
  readonly #stats: WorkerContext["stats"];
  readonly #connections: number;
  readonly #activeConnections: number;
  readonly #requests: number;
  readonly #malformed: number;
  readonly #classes: readonly number[];

  constructor({ stats }: WorkerContext, statPrefix: string) {
    const labels = { envoy_http_conn_manager_prefix: statPrefix };
    this.#stats = stats;
    this.#connections = stats.counter("envoy_http_downstream_cx_total", labels);
    this.#activeConnections = stats.gauge("envoy_http_downstream_cx_active", labels);
    this.#requests = stats.counter("envoy_http_downstream_rq_total", labels);
    this.#malformed = stats.counter("envoy_http_downstream_cx_protocol_error", labels);
    this.#classes = ["1", "2", "3", "4", "5"].map((digit) =>
      stats.counter("envoy_http_downstream_rq_xx", { ...labels, envoy_response_code_class: digit }),
    );
  }

  connection(): void {
    this.#stats.add(this.#connections, 1);
    this.#stats.add(this.#activeConnections, 1);
  }
  connectionGone(): void {
    this.#stats.add(this.#activeConnections, -1);
  }
  request(): void {
    this.#stats.add(this.#requests, 1);
  }
  response(status: number): void {
    const slot = this.#classes[Math.floor(status / 100) - 1];
    if (slot !== undefined) this.#stats.add(slot, 1);
  }
  malformed(): void {
    this.#stats.add(this.#malformed, 1);
  }
}
