import type { HeadView, PeerFacts } from "@lateen/traffic";
import type { ClusterSpec, EndpointSpec, WorkloadFacts } from "../config/plan.ts";

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
  /** The response head arrived (also for local replies); edits through `exchange.responseEdits`. */
  onResponseHead?(exchange: Exchange): void;
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
  /** Configuration of the named filter for the chosen route or virtual host (route wins), or undefined. */
  routeConfig(filter: string): unknown;
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
  /** Workload at the other end of the downstream connection, set by the filter that learns it; undefined: unknown. */
  peerWorkload: WorkloadFacts | undefined;
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
  remove(name: string): void;
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
  readonly self: WorkloadFacts & { readonly principal: string; readonly nodeId: string };
  /** The worker's counters; stats/slots.ts is one. */
  readonly stats: FilterStats;
  /** What all filters of one name share in this worker, made at first use. */
  shared<T>(name: string, make: () => T): T;
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
  onConnection(peer: PeerFacts): { readonly allowed: boolean; readonly details: string };
}
/** The part that workers run. */
export interface NetworkFilterRuntime<Config = unknown> {
  readonly name: string;
  create(config: Config): NetworkFilter;
}
export interface NetworkFilterFactory<Config = unknown> extends NetworkFilterRuntime<Config> {
  readonly configType: string;
  decodeConfig(bytes: Uint8Array): Config;
}
