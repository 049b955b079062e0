import type { TLSSocket } from "node:tls";
import type { ResetReason, Upstream } from "../http/streams.ts";
import type { Connection } from "../io/connection.ts";
import type { Route4 } from "../listener/listener.ts";
import type { Breaker } from "./breaker.ts";
import { connectEndpoint } from "./connect.ts";
import type { Endpoint } from "./endpoint.ts";
import type { AdoptingPool, PoolUser, RequestPool } from "./request-pool.ts";
import { TlsSessions } from "./tls-sessions.ts";

/** What it leads to. */
export interface AutoPools {
  readonly http1: AdoptingPool;
  readonly http2: () => AdoptingPool;
}

/**
 * For endpoints that say themselves what they speak: the first connection offers both by ALPN, and its pool serves the endpoint from
 * then on. Without TLS that is HTTP/1.
 * @see envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig
 */
export class AutoPool implements RequestPool {
  readonly #endpoint: Endpoint;
  readonly #breaker: Breaker;
  readonly #client: Route4 | undefined;
  readonly #http1: AdoptingPool;
  readonly #http2: () => AdoptingPool;
  readonly #waiting: PoolUser[] = [];
  #chosen: AdoptingPool | undefined = undefined;
  #asking: Connection | undefined = undefined;

  constructor(endpoint: Endpoint, breaker: Breaker, pools: AutoPools, client?: Route4) {
    const { http1, http2 } = pools;
    this.#endpoint = endpoint;
    this.#breaker = breaker;
    this.#client = client;
    this.#http1 = http1;
    this.#http2 = http2;
    if (endpoint.transport.kind === "raw") this.#chosen = http1;
  }

  get peerPrincipal(): string | undefined {
    return this.#chosen?.peerPrincipal;
  }

  get connectionCount(): number {
    return this.#asking === undefined ? 0 : 1;
  }

  acquire(user: PoolUser, fresh: boolean): Upstream | undefined {
    if (this.#chosen !== undefined) return this.#chosen.acquire(user, fresh);
    const { cluster } = this.#endpoint;
    const { maxPendingRequests } = this.#breaker.limits;
    if (this.#breaker.pendingFull) {
      cluster.counters.overflow();
      user.onPoolFailure("overflow", `max_pending_requests ${maxPendingRequests}`);
      return undefined;
    }
    this.#breaker.addPending(1);
    this.#waiting.push(user);
    this.#asking ??= this.#ask();
    return undefined;
  }

  cancel(user: PoolUser): void {
    const at = this.#waiting.indexOf(user);
    if (at < 0) {
      this.#chosen?.cancel(user);
      return;
    }
    this.#waiting.splice(at, 1);
    this.#breaker.addPending(-1);
  }

  #ask(): Connection | undefined {
    const { cluster, dialAddress } = this.#endpoint;
    cluster.connectionOpened(this.#breaker);
    return connectEndpoint(
      this.#endpoint,
      dialAddress,
      { sessions: new TlsSessions(), speaks: "auto", client: this.#client },
      {
        ready: (connection) => this.#learnt(connection),
        failed: (reason, detail) => this.#failed(reason, detail),
      },
    );
  }

  #learnt(connection: Connection): void {
    const { alpnProtocol } = connection.socket as TLSSocket;
    const chosen = alpnProtocol === "h2" || alpnProtocol === "istio-h2" ? this.#http2() : this.#http1;
    this.#asking = undefined;
    this.#chosen = chosen;
    chosen.adopt(connection);
    for (const user of this.#take()) {
      const upstream = chosen.acquire(user, false);
      if (upstream !== undefined) user.onPoolReady(upstream);
    }
  }

  #failed(reason: ResetReason, detail: string): void {
    const { cluster } = this.#endpoint;
    this.#asking = undefined;
    cluster.connectionClosed(this.#breaker);
    cluster.counters.connectFail();
    for (const user of this.#take()) user.onPoolFailure(reason, detail);
  }

  #take(): readonly PoolUser[] {
    this.#breaker.addPending(-this.#waiting.length);
    return this.#waiting.splice(0);
  }

  /** The pools it leads to are retired by their endpoint. */
  retire(): void {}

  destroy(): void {
    this.#asking?.destroy();
  }
}
