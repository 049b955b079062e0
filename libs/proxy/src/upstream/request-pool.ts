import type { ResetReason, Upstream } from "../http/streams.ts";
import type { Connection } from "../io/connection.ts";

/** Whoever waits for something that carries its request. Exactly one of the two is called, unless it cancels first. */
export interface PoolUser {
  onPoolReady(upstream: Upstream): void;
  onPoolFailure(reason: ResetReason, detail: string): void;
}

/** What carries requests to one endpoint. */
export interface RequestPool {
  /** URI SAN of the peer on the latest TLS connection. */
  readonly peerPrincipal: string | undefined;
  readonly connectionCount: number;
  /**
   * Something that carries a request at once, or undefined: then `user` is told later. May report failure before it returns.
   * `fresh` asks for what was not used before (a reused connection has just failed).
   */
  acquire(user: PoolUser, fresh: boolean): Upstream | undefined;
  cancel(user: PoolUser): void;
  /** Closes what is idle and lets the rest finish; nothing new is asked of a retired pool. */
  retire(): void;
  /** Breaks everything, for shutdown. */
  destroy(): void;
}

/** A pool that can be given a connection somebody else made. */
export interface AdoptingPool extends RequestPool {
  adopt(connection: Connection): void;
}
