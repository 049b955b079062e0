import type { Upstream } from "../http/streams.ts";
import type { HeadPool } from "../http1/head.ts";
import { type Http2ClientOwner, Http2ClientSession } from "../http2/client-session.ts";
import type { Connection } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { Route4 } from "../listener/listener.ts";
import type { Breaker } from "./breaker.ts";
import { connectEndpoint, peerPrincipalOf } from "./connect.ts";
import type { Endpoint } from "./endpoint.ts";
import type { AdoptingPool, PoolUser } from "./request-pool.ts";
import { TlsSessions } from "./tls-sessions.ts";

/** What a connection that is still being made is taken to have room for. */
const EXPECTED_STREAMS = 100;

/**
 * HTTP/2 connections to one endpoint, each with many streams. The first with room takes a request; another one is made when none has.
 * A connection whose server says GOAWAY, or that carried its share of requests, takes no more and ends with its last stream.
 */
export class Http2Pool implements AdoptingPool, Http2ClientOwner {
  readonly heads: HeadPool;
  readonly #endpoint: Endpoint;
  readonly #breaker: Breaker;
  readonly #client: Route4 | undefined;
  /** Those that take new streams. */
  readonly #sessions: Http2ClientSession[] = [];
  readonly #all = new Set<Http2ClientSession>();
  readonly #waiting: PoolUser[] = [];
  readonly #tls = new TlsSessions();
  readonly #sweep: WheelTimer;
  peerPrincipal: string | undefined = undefined;
  #connecting = 0;
  #retired = false;
  #serving = false;

  /** @param client whom its connections are made for, where they tell. */
  constructor(endpoint: Endpoint, breaker: Breaker, client?: Route4) {
    this.#endpoint = endpoint;
    this.#breaker = breaker;
    this.#client = client;
    this.heads = endpoint.cluster.context.heads;
    this.#sweep = endpoint.cluster.context.io.wheel.timer(() => this.#closeStale());
  }

  get connectionCount(): number {
    return this.#all.size;
  }

  acquire(user: PoolUser): Upstream | undefined {
    const { cluster } = this.#endpoint;
    const { limits } = this.#breaker;
    if (this.#breaker.requestsFull) {
      cluster.counters.overflow();
      user.onPoolFailure("overflow", `max_requests ${limits.maxRequests}`);
      return undefined;
    }
    const session = this.#withRoom();
    if (session !== undefined && this.#waiting.length === 0) return this.#open(session);
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

  retire(): void {
    this.#retired = true;
    this.#sweep.cancel();
    for (const session of [...this.#all]) session.retire();
  }

  destroy(): void {
    this.retire();
    for (const session of [...this.#all]) session.connection.destroy();
  }

  // ------------------------------------------------------------------ sessions

  #withRoom(): Http2ClientSession | undefined {
    for (const session of [...this.#sessions]) if (this.#isWorn(session)) session.retire();
    for (const session of this.#sessions) if (session.hasRoom) return session;
    return undefined;
  }

  #isWorn(session: Http2ClientSession): boolean {
    const { spec, context } = this.#endpoint.cluster;
    if (spec.maxConnectionDurationMs === undefined) return false;
    return context.io.wheel.now() - session.bornMs >= spec.maxConnectionDurationMs;
  }

  #open(session: Http2ClientSession): Upstream {
    const stream = session.open();
    const limit = this.#endpoint.cluster.spec.maxRequestsPerConnection;
    if (limit > 0 && session.requests >= limit) session.retire();
    return stream;
  }

  roomFor(session: Http2ClientSession): void {
    this.#serve();
    if (session.active > 0) return;
    // Whoever waits is served by a retired pool too: it asked before.
    if (this.#retired) session.retire();
    else this.#watchIdle();
  }

  /** Gives those who wait their streams, as far as there is room. */
  #serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    while (this.#waiting.length > 0) {
      const session = this.#withRoom();
      if (session === undefined) break;
      this.#takeWaiting()?.onPoolReady(this.#open(session));
    }
    this.#serving = false;
    this.#connectIfNeeded();
  }

  #takeWaiting(): PoolUser | undefined {
    const next = this.#waiting.shift();
    if (next !== undefined) this.#breaker.addPending(-1);
    return next;
  }

  drained(session: Http2ClientSession): void {
    const at = this.#sessions.indexOf(session);
    if (at >= 0) this.#sessions.splice(at, 1);
    this.#connectIfNeeded();
  }

  gone(session: Http2ClientSession): void {
    this.drained(session);
    if (this.#all.delete(session)) this.#endpoint.cluster.connectionClosed(this.#breaker);
  }

  // ------------------------------------------------------------------ connecting

  #connectIfNeeded(): void {
    while (this.#connecting * EXPECTED_STREAMS < this.#waiting.length) {
      // One connection per endpoint is always allowed, or nothing could ever move.
      const free = !this.#breaker.connectionsFull;
      if (!free) this.#endpoint.cluster.counters.connectionOverflow();
      if (!free && this.#all.size + this.#connecting > 0) return;
      this.#connect();
    }
  }

  #connect(): void {
    const { cluster, dialAddress } = this.#endpoint;
    this.#connecting++;
    cluster.connectionOpened(this.#breaker);
    connectEndpoint(
      this.#endpoint,
      dialAddress,
      { sessions: this.#tls, speaks: "http2", client: this.#client },
      {
        ready: (connection) => {
          this.#connecting--;
          this.#welcome(connection);
        },
        failed: (reason, detail) => {
          this.#connecting--;
          cluster.connectionClosed(this.#breaker);
          cluster.counters.connectFail();
          // Everybody who would have shared the connection learns that there is none.
          for (let i = this.#waiting.length; i > 0; i--) this.#takeWaiting()?.onPoolFailure(reason, detail);
          this.#connectIfNeeded();
        },
      },
    );
  }

  /** A connection that was made, and is accounted for, by somebody else. */
  adopt(connection: Connection): void {
    this.#welcome(connection);
  }

  #welcome(connection: Connection): void {
    if (connection.secure) this.peerPrincipal = peerPrincipalOf(connection);
    const { maxConcurrentStreams: limit = Number.POSITIVE_INFINITY, keepAlive } =
      this.#endpoint.cluster.spec.http2 ?? {};
    const session = new Http2ClientSession(connection, this, limit, keepAlive);
    this.#all.add(session);
    this.#sessions.push(session);
    this.roomFor(session);
  }

  #watchIdle(): void {
    const { idleTimeoutMs } = this.#endpoint.cluster.spec;
    if (idleTimeoutMs > 0 && !this.#sweep.armed) this.#sweep.arm(idleTimeoutMs);
  }

  #closeStale(): void {
    const { idleTimeoutMs } = this.#endpoint.cluster.spec;
    const now = this.#endpoint.cluster.context.io.wheel.now();
    for (const session of [...this.#all]) {
      if (session.active === 0 && now - session.idleSince >= idleTimeoutMs) session.retire();
    }
    if (this.#all.size > 0) this.#sweep.arm(idleTimeoutMs);
  }
}
