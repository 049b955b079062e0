import type { CompiledWeightedCluster, DynamicMetadata, FormatOperator, PeerFacts, RouteMatch } from "@lateen/traffic";
import { grpcStatusOf } from "../chain/replies.ts";
import type { ExchangeSummary, LocalReply } from "../chain/spi.ts";
import type { ClusterSpec, EndpointSpec, WorkloadFacts } from "../config/plan.ts";
import type { BodyLength, Downstream } from "../http/streams.ts";
import { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { ExchangeHost } from "./exchange-host.ts";
import { ExchangeLog } from "./exchange-log.ts";
import type { Forward } from "./forward.ts";
import { isGrpcType } from "./grpc-type.ts";

/**
 * What is known of one exchange, apart from its course: heads, edits, route, figures. Filters, header operators and access logs
 * read it; nothing here writes to a connection.
 */
export class ExchangeState implements ExchangeSummary {
  readonly host: ExchangeHost;
  readonly server: Downstream;
  readonly head: Http1Head;
  readonly info: ConnectionInfo;
  readonly requestEdits: EditList;
  readonly responseEdits = new EditList();
  /** Epoch milliseconds, and the monotonic ones of the same moment. */
  readonly startTimeMs: number;
  readonly startedMs: number;
  response: Http1Head | undefined = undefined;
  remoteAddress = "";
  requestId = "";
  peerWorkload: WorkloadFacts | undefined = undefined;
  /** Body bytes from and to the client. */
  bytesReceived = 0;
  bytesSent = 0;
  responseCode = 0;
  responseDetails = "";
  responseFlags = "";
  transportFailure = "";
  /** The proxy's own answer; undefined: none was made. */
  reply: LocalReply | undefined = undefined;
  responseTrailers = "";
  /** Milliseconds after the start; undefined: not yet. */
  requestEndMs: number | undefined = undefined;
  responseStartMs: number | undefined = undefined;
  /** Whole milliseconds that the upstream took; -1: no response of one. */
  serviceMs = -1;
  /** 0 until the end. */
  durationMs = 0;
  /** Of the response that is about to be sent. */
  responseLength: BodyLength = "none";
  match: RouteMatch | undefined = undefined;
  weighted: CompiledWeightedCluster | undefined = undefined;
  target: Cluster | undefined = undefined;
  forward: Forward | undefined = undefined;
  dynamicMetadata: DynamicMetadata | undefined = undefined;
  #states: Map<object, unknown> | undefined = undefined;
  #timers: WheelTimer[] | undefined = undefined;
  #log: ExchangeLog | undefined = undefined;

  constructor(host: ExchangeHost, server: Downstream, head: Http1Head, info: ConnectionInfo) {
    const { wheel } = host.context.io;
    this.host = host;
    this.server = server;
    this.head = head;
    this.info = info;
    this.requestEdits = new EditList(head);
    this.startTimeMs = wheel.wallNow();
    this.startedMs = wheel.now();
  }

  /** Milliseconds since the head arrived. */
  elapsed(): number {
    return this.host.context.io.wheel.now() - this.startedMs;
  }

  /** The exchange as logs and operators read it. */
  get log(): ExchangeLog {
    this.#log ??= new ExchangeLog(this);
    return this.#log;
  }

  /** Text of a `%…%` operator in a header edit. */
  get resolve(): (operator: FormatOperator) => string {
    return (operator) => String(this.host.operator(operator)(this.log) ?? "");
  }

  // ------------------------------------------------------------------ for filters

  get request(): Http1Head {
    return this.head;
  }

  get facts(): ExchangeLog {
    return this.log;
  }

  get summary(): ExchangeSummary {
    return this;
  }

  get direction(): "inbound" | "outbound" | "unspecified" {
    return this.host.chain.direction;
  }

  get peer(): PeerFacts {
    const { info } = this;
    return {
      principal: info.peer?.principal,
      sourceAddress: info.sourceAddress,
      remoteAddress: this.remoteAddress,
      destinationAddress: info.destinationAddress,
      destinationPort: info.destinationPort,
      serverName: info.serverName,
      metadata: this.dynamicMetadata,
    };
  }

  routeConfig(filter: string): unknown {
    return this.weighted?.spec.filterConfig?.[filter] ?? this.match?.route.filterConfig(filter, this.match.virtualHost);
  }

  routeConfigs(filter: string): readonly unknown[] {
    const { match, weighted } = this;
    if (match === undefined) return [];
    return [
      weighted?.spec.filterConfig?.[filter],
      match.route.spec.filterConfig[filter],
      match.virtualHost.spec.filterConfig[filter],
    ].filter((config) => config !== undefined);
  }

  get connection(): object {
    return this.server.connection;
  }

  get route(): RouteMatch | undefined {
    return this.match;
  }

  get scheme(): "http" | "https" {
    return this.secure ? "https" : "http";
  }

  get protocol(): string {
    return this.log.protocol;
  }

  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined {
    const values = this.dynamicMetadata?.[namespace];
    return typeof values === "object" && values !== null ? (values as Readonly<Record<string, unknown>>) : undefined;
  }

  setMetadata(namespace: string, values: Readonly<Record<string, unknown>>): void {
    this.dynamicMetadata = { ...this.dynamicMetadata, [namespace]: { ...this.metadata(namespace), ...values } };
  }

  state(filter: object): unknown {
    return this.#states?.get(filter);
  }

  setState(filter: object, value: unknown): void {
    this.#states ??= new Map();
    this.#states.set(filter, value);
  }

  setRequestLength(bytes: number): void {
    const { head } = this;
    if (!head.chunked && head.contentLength >= 0) return;
    head.dropKnown(K["content-length"]);
    head.chunked = false;
    head.contentLength = bytes;
    this.requestEdits.add("content-length", String(bytes));
  }

  addFlag(flag: string): void {
    if (this.responseFlags === "") this.responseFlags = flag;
    else if (!this.responseFlags.split(",").includes(flag)) this.responseFlags += `,${flag}`;
  }

  /** A timer that ends with the exchange at the latest. */
  protected ownTimer(callback: () => void): WheelTimer {
    const timer = this.host.context.io.wheel.timer(callback);
    this.#timers ??= [];
    this.#timers.push(timer);
    return timer;
  }

  protected cancelTimers(): void {
    if (this.#timers !== undefined) for (const timer of this.#timers) timer.cancel();
  }

  // ------------------------------------------------------------------ figures

  /** What the client asked for by scheme: the connection's, and over HTTP/2 what it says itself. */
  get secure(): boolean {
    return this.info.secure || this.head.secureTarget;
  }

  get isGrpc(): boolean {
    return isGrpcType(this.head);
  }

  get grpcStatus(): number {
    const text =
      /^grpc-status:[ \t]*([0-9]+)/im.exec(this.responseTrailers)?.[1] ?? this.responseEdits.textOf("grpc-status");
    if (text !== undefined && /^[0-9]+$/.test(text)) return Number(text);
    // What a gRPC client makes of an answer that does not say.
    return this.isGrpc && this.responseCode > 0 ? grpcStatusOf(this.responseCode) : -1;
  }

  get requestBytes(): number {
    return this.head.length + this.bytesReceived;
  }

  get responseBytes(): number {
    return (this.response?.length ?? 0) + this.bytesSent + this.responseTrailers.length;
  }

  get clusterName(): string {
    // As Envoy: a cluster that is not there has no name.
    return this.target === undefined ? "" : (this.weighted?.cluster ?? "");
  }

  get cluster(): ClusterSpec | undefined {
    return this.target?.spec;
  }

  get endpoint(): EndpointSpec | undefined {
    return this.forward?.endpoint?.spec;
  }

  get upstreamMutualTls(): boolean {
    return this.forward?.endpoint?.mutualTls ?? false;
  }

  get upstreamPrincipal(): string | undefined {
    return this.forward?.endpoint?.peerPrincipal;
  }

  /** Adds what the route, its virtual host and its table change of answers. */
  editAnswer(): void {
    const edits = this.weighted?.responseEdits;
    if (edits !== undefined && !edits.empty) edits.apply(this.responseEdits, this.resolve);
  }
}
