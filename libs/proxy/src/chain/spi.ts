import type { HeadView, PeerFacts } from "@lateen/traffic";

/**
 * The whole contract of an HTTP filter. Filters see no sockets, no slabs and no HTTP version. A filter object is made once per
 * (chain, configuration) and must keep per-request state only in `exchange.state`.
 */
export interface HttpFilter {
  /** The request head arrived. `wait` obliges the filter to call `exchange.resume()` or `exchange.localReply()` later. */
  onRequestHead?(exchange: Exchange): Verdict;
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
  /** The object and rule responsible, when known. */
  readonly because?: string;
}

/** How a filter enters the proxy: an explicit list of these is given to agent (decode) and worker (create). No registration by import. */
export interface HttpFilterFactory<Config = unknown> {
  /** Filter names (`envoy.filters.http.rbac`) it answers to. */
  readonly name: string;
  /** Full type URL of its configuration message and of its per-route message. */
  readonly configType: string;
  readonly routeConfigType?: string;
  /** Agent thread: message bytes → plain data; throws a text naming the field when it cannot be honoured (the resource is NACKed). */
  decodeConfig(bytes: Uint8Array): Config;
  decodeRouteConfig?(bytes: Uint8Array): unknown;
  /** Worker. `origin` is for messages. */
  create(config: Config, context: FilterContext): HttpFilter;
}
export interface FilterContext {
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly random: () => number;
}

/** Network (L4) filters judge a connection once, when it is accepted and after TLS. */
export interface NetworkFilter {
  onConnection(peer: PeerFacts): { readonly allowed: boolean; readonly details: string };
}
export interface NetworkFilterFactory<Config = unknown> {
  readonly name: string;
  readonly configType: string;
  decodeConfig(bytes: Uint8Array): Config;
  create(config: Config): NetworkFilter;
}
