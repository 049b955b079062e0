import type { FormatOperator, HeadView, PeerFacts, RouteMatch } from "@lateen/traffic";
import type { ConnectionLogFacts } from "../access-log/facts.ts";
import type { ClusterSpec, EndpointSpec, WorkloadFacts } from "../config/plan.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { HostOutcome } from "../upstream/dynamic-hosts.ts";
import type { SelfFacts } from "../worker/protocol.ts";

/**
 * The whole contract of an HTTP filter. Filters see no sockets, no slabs and no HTTP version. A filter object is made once per
 * (chain, configuration) and must keep per-request state only in `exchange.state`.
 */
export interface HttpFilter {
  /** The request head arrived. `wait` obliges the filter to call `exchange.resume()` or `exchange.localReply()` later. */
  onRequestHead?(exchange: Exchange): Verdict;
  /**
   * An endpoint was chosen for the next attempt (`exchange.summary.endpoint`) and the request head is not yet written. Runs again
   * for every retry: edits must be such that repeating them is harmless. Not called for mirrors.
   */
  onUpstream?(exchange: Exchange): void;
  /** Bytes of the request's body came from the client; borrowed. For looking only: what is forwarded does not change. */
  onRequestBody?(exchange: Exchange, bytes: Buffer, start: number, end: number): void;
  /** The response head arrived (also for local replies); edits through `exchange.responseEdits`. */
  onResponseHead?(exchange: Exchange): void;
  /** Bytes of the response's body, as the upstream sent them; borrowed. For looking only. */
  onResponseBody?(exchange: Exchange, bytes: Buffer, start: number, end: number): void;
  /** The exchange ended, in whatever way. Called exactly once. */
  onDone?(exchange: Exchange): void;
}
export type Verdict = "continue" | "wait" | "replied";

/** What filters may see and do. Valid until `onDone` returns; head bytes are borrowed until the callback returns unless `retain()`ed by the engine (it does so when a filter waits). */
export interface Exchange {
  readonly request: HeadView;
  readonly response: HeadView | undefined;
  readonly requestEdits: HeadEdits;
  readonly responseEdits: HeadEdits;
  readonly peer: PeerFacts;
  readonly direction: "inbound" | "outbound" | "unspecified";
  /** Configuration of the named filter for the chosen cluster, route or virtual host (in this order), or undefined. */
  routeConfig(filter: string): unknown;
  /** The same of all levels, the most specific first. */
  routeConfigs(filter: string): readonly unknown[];
  /** Text of a `%…%` command operator; empty when unset. */
  readonly resolve: (operator: FormatOperator) => string;
  /** What is known of the downstream connection. */
  readonly info: ConnectionInfo;
  /** Epoch milliseconds. */
  readonly startTimeMs: number;
  /** Stands for the downstream connection; the same for all its requests. */
  readonly connection: object;
  /** The route's or the virtual host's rate-limit actions and other facts of the table; undefined without a route. */
  readonly route: RouteMatch | undefined;
  /** Request id that logs and upstreams see. */
  readonly requestId: string;
  /** `http` or `https`, as the client asked for. */
  readonly scheme: "http" | "https";
  /** `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`. */
  readonly protocol: string;
  /**
   * Collects the request's body while this filter waits (call it before answering `wait`); `done` gets it when it is complete or when
   * `maxBytes` have come. What was collected is forwarded after `resume`.
   */
  readBody(maxBytes: number, done: (body: CollectedBody) => void): void;
  /** The request goes on with this length instead of the framing it came with; only with the whole body collected. */
  setRequestLength(bytes: number): void;
  /** In `onResponseHead`: bytes of the response's body; `unknown` until its end, `none` when it has none by definition. */
  readonly responseLength: number | "unknown" | "none";
  /** Only in `onResponseHead`: the response's body goes through what `make` answers; its length is unknown from then on. */
  transformResponse(make: (sink: BodyTransformSink) => BodyTransform): void;
  /** What filters tell each other, logs and route matches, by namespace (Envoy's dynamic metadata). */
  metadata(namespace: string): Readonly<Record<string, unknown>> | undefined;
  /** Adds to a namespace; equal keys are replaced. */
  setMetadata(namespace: string, values: Readonly<Record<string, unknown>>): void;
  /** Chooses cluster and route again, for filters that changed what routes look at. */
  rematch(): void;
  /** Per-request state of this filter; undefined at first. */
  state(filter: object): unknown;
  setState(filter: object, value: unknown): void;
  /** Ends a `wait`. */
  resume(): void;
  localReply(reply: LocalReply): void;
  /** Runs after `ms` on the worker's coarse timer wheel unless the exchange ends first. */
  after(ms: number, callback: () => void): void;
  /** Adds a response flag such as `DI`. */
  addFlag(flag: string): void;
  /** What is known so far; complete in `onDone`. The same object for the whole exchange. */
  readonly summary: ExchangeSummary;
  /** The exchange as access logs read it: complete in `onDone`. The same object for the whole exchange. */
  readonly facts: ConnectionLogFacts;
  /** Workload at the other end of the downstream connection, set by the filter that learns it; undefined: unknown. */
  peerWorkload: WorkloadFacts | undefined;
}

/** A request body, or its beginning. */
export interface CollectedBody {
  readonly bytes: Buffer;
  /** Nothing is missing. */
  readonly complete: boolean;
}

/** Changes a body on its way. Its output goes to the sink it was made with, at once or later. */
export interface BodyTransform {
  /** Bytes are borrowed. */
  write(bytes: Buffer, start: number, end: number): void;
  end(): void;
  /** It takes bytes faster than it can change them; `drain` of the sink follows. */
  readonly congested: boolean;
  /** Nobody wants the rest. */
  destroy(): void;
}
export interface BodyTransformSink {
  data(bytes: Buffer): void;
  drain(): void;
  end(): void;
  /** The body cannot be completed. */
  fail(error: unknown): void;
}

/** The facts of an exchange that metrics and logs report. Fields change as the exchange goes on; reading one makes no object. */
export interface ExchangeSummary {
  /** Status sent to the client; 0 when none was. */
  readonly responseCode: number;
  /** Flags in the order they were raised, joined with `,`; empty when there is none. */
  readonly responseFlags: string;
  /** RESPONSE_CODE_DETAILS; empty when unknown. */
  readonly responseDetails: string;
  /** From the first byte of the request to the last of the response. */
  readonly durationMs: number;
  /** Head, body and trailers as they were on the downstream connection. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** `grpc-status` of the response's trailers or head; -1 when there is none. */
  readonly grpcStatus: number;
  /** The cluster that the route chose, also when a filter answered before an endpoint was; undefined without a route. */
  readonly cluster: ClusterSpec | undefined;
  /** The endpoint of the last attempt. */
  readonly endpoint: EndpointSpec | undefined;
  /** That endpoint is spoken to over TLS with this workload's own certificate. */
  readonly upstreamMutualTls: boolean;
  /** URI SAN of that endpoint's verified certificate, once connected. */
  readonly upstreamPrincipal: string | undefined;
}

/** Edits are recorded and applied once when the head is serialised. Names are lower case. */
export interface HeadEdits {
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  /** Requests only: `set`, and filters after this one and conditions of routes find the header. False: there is no room for one more. */
  publish(name: string, value: string): boolean;
  remove(name: string): void;
  /** Value of a header as it will be sent: an edit wins over what arrived. */
  textOf(name: string): string | undefined;
  /** Requests only: replaces path and query. */
  path(value: string): void;
  /** Requests only. */
  authority(value: string): void;
}

/** A response made by the proxy itself. Bodies, flags and details are Envoy's; the one table is chain/replies.ts. */
export interface LocalReply {
  readonly status: number;
  readonly body: string;
  /** Response flag (`FI`, `NR`, `UH` …) or empty. */
  readonly flag: string;
  /** RESPONSE_CODE_DETAILS. */
  readonly details: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** What a gRPC client is told; default: what stands for the status (`grpcStatusOf`). */
  readonly grpcStatus?: number;
  /** Why an upstream could not be reached, for the access log; clients are not told. */
  readonly transportFailure?: string;
  /** The object and rule responsible, when known. */
  readonly because?: string;
  /** Rules of which one had to apply, and none did. */
  readonly candidates?: readonly string[];
}

/**
 * The part of a filter that workers run. Filters export it apart from the decoding part, so that the data path's bundle carries no
 * protobuf code.
 */
export interface HttpFilterRuntime<Config = unknown> {
  /** Filter names (`envoy.filters.http.rbac`) it answers to. */
  readonly name: string;
  /** Worker. `config` is what `decodeConfig` made, after structured clone. */
  create(config: Config, context: FilterContext): HttpFilter;
}

/** How a filter enters the proxy: an explicit list of these is given to agent (decode) and worker (create). No registration by import. */
export interface HttpFilterFactory<Config = unknown> extends HttpFilterRuntime<Config> {
  /** Full type URL of its configuration message and of its per-route message. */
  readonly configType: string;
  readonly routeConfigType?: string;
  /** Agent thread: message bytes → plain data; throws a text naming the field when it cannot be honoured (the resource is NACKed). */
  decodeConfig(bytes: Uint8Array): Config;
  decodeRouteConfig?(bytes: Uint8Array): unknown;
}
export interface FilterContext {
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly random: () => number;
  /** Who this proxy is. */
  readonly self: SelfFacts;
  /** The worker's counters; stats/slots.ts is one. */
  readonly stats: FilterStats;
  /** What all filters of one name share in this worker, made at first use. */
  shared<T>(name: string, make: () => T): T;
  /** Name the filter has in this chain: what configuration of routes is found under. */
  readonly configName: string;
  /** Monotonic milliseconds. */
  now(): number;
  /** Epoch milliseconds. */
  wallNow(): number;
  /** This proxy is about to end. */
  draining(): boolean;
  /** A number in memory that all workers share, found by what it stands for; starts at 0. */
  cell(identity: string): SharedCell;
  /** Runs once after `ms` on the worker's coarse timer wheel, for work that is no request's. Answers how to cancel it. */
  after(ms: number, callback: () => void): () => void;
  /** Asks a cluster on the filter's own behalf. `done` is called once, later, unless the call is cancelled. */
  call(request: SideRequest, done: (outcome: SideOutcome) => void): SideCall;
  /**
   * Makes the host of a request known to a cluster whose endpoints are the hosts of requests. `done` is called later, unless the
   * outcome is known at once; a function gives up waiting. Undefined: the cluster is of another kind, or there is none.
   */
  requireHost(
    cluster: string,
    authority: string,
    done: (outcome: HostOutcome) => void,
  ): HostOutcome | (() => void) | undefined;
  /** Health of a cluster now: endpoints that may be used, of all; undefined: there is no such cluster. */
  clusterHealth(name: string): { readonly healthy: number; readonly total: number } | undefined;
}

/** One of them may be changed by another worker at any time: use `exchange` to change it. */
export interface SharedCell {
  load(): number;
  /** Puts `next` where `expected` is; answers what was there. Whole numbers up to 2⁵³. */
  exchange(expected: number, next: number): number;
}

/** A request that a filter makes itself. Heads that could not be sent soundly fail the call. */
export interface SideRequest {
  readonly cluster: string;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  /** HTTP/2 whatever the client speaks, with trailers. */
  readonly grpc: boolean;
  /** Milliseconds for all of it; 0 = none. */
  readonly timeoutMs: number;
  /** A longer response fails the call. */
  readonly maxResponseBytes: number;
}
export type SideOutcome =
  | {
      readonly kind: "response";
      readonly status: number;
      /** Lower-case names. */
      readonly headers: readonly (readonly [name: string, value: string])[];
      readonly body: Buffer;
      readonly trailers: readonly (readonly [name: string, value: string])[];
    }
  | {
      readonly kind: "failed";
      readonly reason: "noCluster" | "noEndpoint" | "timeout" | "reset" | "tooLarge" | "badRequest";
      readonly detail: string;
    };
export interface SideCall {
  /** Gives the call up; `done` is not called any more. */
  cancel(): void;
}

/** Counters in slots: a series is looked up once, counting is an addition in shared memory. */
export interface FilterStats {
  counter(name: string, labels: Readonly<Record<string, string>>): number;
  histogram(name: string, labels: Readonly<Record<string, string>>): number;
  add(slot: number, amount: number): void;
  observe(slot: number, value: number): void;
}

/** Network (L4) filters judge a connection once, when it is accepted and after TLS. */
export interface NetworkFilter {
  onConnection(peer: PeerFacts): NetworkVerdict;
}
/** What a network filter says of a connection. */
export interface NetworkVerdict {
  readonly allowed: boolean;
  /** CONNECTION_TERMINATION_DETAILS of a refusal. */
  readonly details: string;
  /** The policy that refused. */
  readonly because?: string;
  /** Rules of which one had to apply, and none did. */
  readonly candidates?: readonly string[];
}
/** The part that workers run. */
export interface NetworkFilterRuntime<Config = unknown> {
  readonly name: string;
  create(config: Config, stats: FilterStats): NetworkFilter;
}
export interface NetworkFilterFactory<Config = unknown> extends NetworkFilterRuntime<Config> {
  readonly configType: string;
  decodeConfig(bytes: Uint8Array): Config;
}
