import { ClientConnection, type ClientOwner } from "../http1/client-connection.ts";
import type { HeadPool } from "../http1/head.ts";
import type { Connection } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { Route4 } from "../listener/listener.ts";
import type { Breaker } from "./breaker.ts";
import { connectEndpoint, peerPrincipalOf } from "./connect.ts";
import type { Endpoint } from "./endpoint.ts";
import type { AdoptingPool, PoolUser } from "./request-pool.ts";
import { TlsSessions } from "./tls-sessions.ts";

/**
 * HTTP/1 connections to one endpoint. Idle ones are used last in, first out; a request without one waits (bounded by the
 * cluster's circuit breakers) for a new connection or for one that becomes free, whichever is first.
 */
export class EndpointPool implements AdoptingPool, ClientOwner {
  readonly heads: HeadPool;
  readonly #endpoint: Endpoint;
  readonly #breaker: Breaker;
  readonly #client: Route4 | undefined;
  readonly #idle: ClientConnection[] = [];
  readonly #idleSince: number[] = [];
  /** With the moment each was made. */
  readonly #all = new Map<ClientConnection, number>();
  readonly #waiting: PoolUser[] = [];
  readonly #sweep: WheelTimer;
  /** URI SAN of the peer on the latest TLS connection. */
  peerPrincipal: string | undefined = undefined;
  #connecting = 0;
  readonly #tls = new TlsSessions();
  #retired = false;

  /** @param client whom its connections are made for, where they tell. */
  constructor(endpoint: Endpoint, breaker: Breaker, client?: Route4) {
    this.#endpoint = endpoint;
    this.#breaker = breaker;
    this.#client = client;
    this.heads = endpoint.cluster.context.heads;
    this.#sweep = endpoint.cluster.context.io.wheel.timer(() => this.#closeStale());
  }

  /**
   * A connection at once, or undefined: then `user` is told later. May report failure before it returns.
   * `fresh` asks for a new connection (a reused one has just failed).
   */
  acquire(user: PoolUser, fresh = false): ClientConnection | undefined {
    const cluster = this.#endpoint.cluster;
    const { limits } = this.#breaker;
    if (this.#breaker.requestsFull) {
      cluster.counters.overflow();
      user.onPoolFailure("overflow", `max_requests ${limits.maxRequests}`);
      return undefined;
    }
    for (let client = fresh ? undefined : this.#idle.pop(); client; client = this.#idle.pop()) {
      this.#idleSince.pop();
      if (client.connection.closed) continue;
      if (!this.#aged(client)) return client;
      client.connection.destroy();
    }
    if (this.#breaker.pendingFull) {
      cluster.counters.overflow();
      user.onPoolFailure("overflow", `max_pending_requests ${limits.maxPendingRequests}`);
      return undefined;
    }
    this.#breaker.addPending(1);
    this.#waiting.push(user);
    this.#connectIfNeeded();
    return undefined;
  }

  cancel(user: PoolUser): void {
    const at = this.#waiting.indexOf(user);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    this.#breaker.addPending(-1);
  }

  /** Closes what is idle and lets the rest finish; nothing new is asked of a retired pool. */
  retire(): void {
    this.#retired = true;
    this.#sweep.cancel();
    for (const client of this.#idle.splice(0)) client.connection.destroy();
    this.#idleSince.length = 0;
  }

  /** Breaks everything, for shutdown. */
  destroy(): void {
    this.retire();
    for (const client of [...this.#all.keys()]) client.connection.destroy();
  }

  get connectionCount(): number {
    return this.#all.size;
  }

  idle(client: ClientConnection): void {
    const limit = this.#endpoint.cluster.spec.maxRequestsPerConnection;
    const worn = (limit > 0 && client.requests >= limit) || this.#aged(client);
    // Whoever waits is served by a retired pool too: it asked before.
    const next = worn ? undefined : this.#takeWaiting();
    if (next !== undefined) {
      next.onPoolReady(client);
      return;
    }
    if (worn || this.#retired) {
      client.connection.destroy();
      return;
    }
    this.#idle.push(client);
    const { idleTimeoutMs } = this.#endpoint.cluster.spec;
    const { wheel } = this.#endpoint.cluster.context.io;
    this.#idleSince.push(idleTimeoutMs > 0 ? wheel.now() : 0);
    if (idleTimeoutMs > 0 && !this.#sweep.armed) this.#sweep.arm(idleTimeoutMs);
  }

  gone(client: ClientConnection): void {
    if (!this.#all.delete(client)) return;
    this.#endpoint.cluster.connectionClosed(this.#breaker);
    const at = this.#idle.indexOf(client);
    if (at >= 0) {
      this.#idle.splice(at, 1);
      this.#idleSince.splice(at, 1);
    }
    this.#connectIfNeeded();
  }

  #aged(client: ClientConnection): boolean {
    const { spec, context } = this.#endpoint.cluster;
    if (spec.maxConnectionDurationMs === undefined) return false;
    const born = this.#all.get(client);
    if (born === undefined) return false;
    return context.io.wheel.now() - born >= spec.maxConnectionDurationMs;
  }

  #takeWaiting(): PoolUser | undefined {
    const next = this.#waiting.shift();
    if (next !== undefined) this.#breaker.addPending(-1);
    return next;
  }

  #connectIfNeeded(): void {
    while (this.#connecting < this.#waiting.length) {
      // One connection per endpoint is always allowed, or nothing could ever move.
      const free = !this.#breaker.connectionsFull;
      if (!free) this.#endpoint.cluster.counters.connectionOverflow();
      if (!free && this.#all.size + this.#connecting > 0) return;
      this.#connect();
    }
  }

  /** A connection that is made and accounted for. */
  adopt(connection: Connection): void {
    if (connection.secure) this.peerPrincipal = peerPrincipalOf(connection);
    const client = new ClientConnection(connection, this);
    this.#all.set(client, this.#endpoint.cluster.context.io.wheel.now());
    this.idle(client);
  }

  #connect(): void {
    this.#connecting++;
    this.#endpoint.cluster.connectionOpened(this.#breaker);
    connectEndpoint(
      this.#endpoint,
      this.#endpoint.dialAddress,
      { sessions: this.#tls, speaks: "http1", client: this.#client },
      {
        ready: (connection) => {
          this.#connecting--;
          this.adopt(connection);
        },
        failed: (reason, detail) => {
          this.#connecting--;
          this.#endpoint.cluster.connectionClosed(this.#breaker);
          this.#endpoint.cluster.counters.connectFail();
          this.#takeWaiting()?.onPoolFailure(reason, detail);
          this.#connectIfNeeded();
        },
      },
    );
  }

  #closeStale(): void {
    const limit = this.#endpoint.cluster.spec.idleTimeoutMs;
    const now = this.#endpoint.cluster.context.io.wheel.now();
    while (this.#idle.length > 0 && now - (this.#idleSince[0] ?? now) >= limit) {
      this.#idleSince.shift();
      this.#idle.shift()?.connection.destroy();
    }
    const oldest = this.#idleSince[0];
    if (oldest !== undefined) this.#sweep.arm(Math.max(10, limit - (now - oldest)));
  }
}
