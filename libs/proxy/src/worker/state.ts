import type { Clock } from "@lateen/kernel";
import type { RouteTable } from "@lateen/traffic";
import type { LogSinks } from "../access-log/sinks.ts";
import type { HttpFilterRuntime, NetworkFilterRuntime } from "../chain/spi.ts";
import type { HttpConnectionManagerSpec } from "../config/plan.ts";
import type { BrokenConnections } from "../explain/broken-connections.ts";
import type { RecentRequests } from "../explain/recent-requests.ts";
import type { Downstream } from "../http/streams.ts";
import type { HeadPool, Http1Head } from "../http1/head.ts";
import type { Connection } from "../io/connection.ts";
import type { IoLoop } from "../io/io-loop.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { SharedCells } from "../stats/shared-cells.ts";
import type { Slots } from "../stats/slots.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { WorkerBootstrap } from "./protocol.ts";

/** What everything on one worker's data path shares. Made once per worker. */
export interface WorkerContext {
  readonly io: IoLoop;
  readonly heads: HeadPool;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly bootstrap: WorkerBootstrap;
  readonly plan: PlanView;
  readonly filters: ReadonlyMap<string, HttpFilterRuntime>;
  readonly networkFilters: ReadonlyMap<string, NetworkFilterRuntime>;
  readonly stats: Slots;
  readonly cells: SharedCells;
  readonly logs: LogSinks;
  /** What decided about the latest requests. */
  readonly recent: RecentRequests;
  /** What decided about connections that came to nothing. */
  readonly broken: BrokenConnections;
  /** Ids for connections that come in. */
  readonly nextConnectionId: () => number;
  /** What filters of one name share, by name; starts empty. */
  readonly shared: Map<string, unknown>;
  /** True from the moment the worker was told to drain: responses then end their connections. */
  readonly draining: boolean;
}

/** The plan in force. Always the current one: what must stay stable for a request is kept by the request. */
export interface PlanView {
  cluster(name: string): Cluster | undefined;
  routes(name: string): RouteTable | undefined;
  /** Addresses of a name of the mesh (lower case, no port); undefined: not a mesh name. */
  resolveName(host: string): readonly string[] | undefined;
}

/** What a chain's terminal filter knows of the chain it ends. */
export interface ChainFacts {
  readonly listener: string;
  readonly chain: string;
  readonly direction: "inbound" | "outbound" | "unspecified";
}

/** The terminal filter of one filter chain: TcpProxy, HttpConnectionManager. */
export interface Terminal {
  /**
   * Takes a connection whose chain, network filters and TLS are done: sets its handler before it returns. Reads flow; bytes that
   * inspection has read already reach the handler right after.
   */
  serve(connection: Connection, info: ConnectionInfo): void;
  /** Connections it serves now. */
  readonly active: number;
  /**
   * The chain is out of force, or the worker drains: connections between requests close, others end with their response. With `overMs`
   * above 0 not all at once: the share of those that are asked to go grows evenly to the whole.
   */
  drain(overMs?: number): void;
  /** Breaks what is left. */
  destroy(): void;
}

/** An HTTP terminal, which the explicit proxy also drives per request. */
export interface HttpTerminal extends Terminal {
  readonly spec: HttpConnectionManagerSpec;
  /**
   * Gives connections to the terminals that `to` answers for them: their next requests are those terminals'. Requests under way end as
   * they began.
   */
  handOver(to: (info: ConnectionInfo) => HttpTerminal | undefined): void;
  /** One request of a connection that someone else owns. The head is the terminal's until the exchange ends. */
  begin(server: Downstream, head: Http1Head, info: ConnectionInfo): void;
}
