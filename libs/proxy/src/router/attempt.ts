import type { BodyLength, ClientStream, ResetReason, Upstream } from "../http/streams.ts";
import type { Http1Head } from "../http1/head.ts";
import type { Connection } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { Route4 } from "../listener/listener.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import type { PoolUser, RequestPool } from "../upstream/request-pool.ts";

/** Whoever made the attempt: an exchange, or a mirror. After `attemptEnd` or `attemptFailed` nothing more is called. */
export interface AttemptOwner {
  /** What carries the request is there: write it. */
  attemptReady(attempt: Attempt, client: Upstream): void;
  attemptInterim(head: Http1Head): void;
  /** Answers whether the head is kept. */
  attemptResponse(attempt: Attempt, head: Http1Head, length: BodyLength): boolean;
  attemptBody(bytes: Buffer, start: number, end: number): void;
  /** See {@link ClientStream.spliceTarget}. */
  attemptSpliceTarget?(): Connection | undefined;
  attemptSpliced?(bytes: number): void;
  attemptEnd(trailers: string): void;
  attemptDrain(): void;
  attemptTunnelEnd(): void;
  attemptFailed(attempt: Attempt, reason: ResetReason | "perTryTimeout", detail: string): void;
}

export interface AttemptOptions {
  readonly isHead: boolean;
  readonly upgrade: boolean;
  /** The client speaks HTTP/2, for clusters that follow it. */
  readonly http2: boolean;
  /** Milliseconds from the connection on; 0 = none. */
  readonly perTryTimeoutMs: number;
  /** Not over a connection that was used before. */
  readonly fresh: boolean;
  /** Whose request it is, for connections that tell; undefined: this proxy's own. */
  readonly client?: Route4;
  /** Priority HIGH. */
  readonly high?: boolean;
}

/**
 * One try to get a response from one endpoint: waits for a connection, carries the exchange over it, and keeps the accounts of
 * cluster and endpoint: load, circuit breakers, outliers.
 */
export class Attempt implements ClientStream, PoolUser {
  readonly endpoint: Endpoint;
  readonly #owner: AttemptOwner;
  readonly #options: AttemptOptions;
  client: Upstream | undefined = undefined;
  /** The connection had carried requests before. */
  reused = false;
  /** A byte of a response has arrived. */
  responded = false;
  startedMs = 0;
  #over = false;
  #counted = false;
  #timer: WheelTimer | undefined = undefined;

  constructor(endpoint: Endpoint, owner: AttemptOwner, options: AttemptOptions) {
    this.endpoint = endpoint;
    this.#owner = owner;
    this.#options = options;
  }

  /** May call the owner before it returns. */
  start(): void {
    this.endpoint.active++;
    const { http2, upgrade } = this.#options;
    this.#pool = this.endpoint.poolFor(http2, upgrade, this.#options);
    const client = this.#pool.acquire(this, this.#options.fresh);
    if (client !== undefined) this.onPoolReady(client);
  }

  #pool: RequestPool | undefined = undefined;

  get over(): boolean {
    return this.#over;
  }

  onPoolReady(client: Upstream): void {
    const { cluster } = this.endpoint;
    this.client = client;
    this.reused = client.requests > 0;
    this.#counted = true;
    cluster.breakerOf(this.#options.high === true).addRequests(1);
    cluster.counters.request();
    client.begin(this, this.#options.isHead, this.#options.upgrade);
    this.startedMs = cluster.context.io.wheel.now();
    if (this.#options.perTryTimeoutMs > 0) {
      this.#timer = cluster.context.io.wheel.timer(() => this.#onPerTryTimeout());
      this.#timer.arm(this.#options.perTryTimeoutMs);
    }
    this.#owner.attemptReady(this, client);
  }

  onPoolFailure(reason: ResetReason, detail: string): void {
    if (reason !== "overflow") this.endpoint.cluster.record(this.endpoint, 0);
    this.#release();
    this.#owner.attemptFailed(this, reason, detail);
  }

  onInterim(head: Http1Head): void {
    this.#owner.attemptInterim(head);
  }

  onResponseHead(head: Http1Head, length: BodyLength): boolean {
    this.responded = true;
    this.#timer?.cancel();
    const { cluster } = this.endpoint;
    cluster.counters.response(head.status);
    cluster.record(this.endpoint, head.status);
    return this.#owner.attemptResponse(this, head, length);
  }

  onResponseBody(bytes: Buffer, start: number, end: number): void {
    this.#owner.attemptBody(bytes, start, end);
  }

  spliceTarget(): Connection | undefined {
    return this.#owner.attemptSpliceTarget?.();
  }

  onResponseSpliced(bytes: number): void {
    this.#owner.attemptSpliced?.(bytes);
  }

  onResponseEnd(trailers: string): void {
    this.#release();
    this.#owner.attemptEnd(trailers);
  }

  onUpstreamDrain(): void {
    this.#owner.attemptDrain();
  }

  onUpstreamTunnelEnd(): void {
    this.#owner.attemptTunnelEnd();
  }

  onUpstreamReset(reason: ResetReason, detail: string): void {
    if (this.#over) return;
    if (!this.responded) this.endpoint.cluster.record(this.endpoint, 0);
    this.#release();
    this.#owner.attemptFailed(this, reason, detail);
  }

  /** Stops or resumes reading the response because the client is slow. */
  throttle(on: boolean): void {
    if (!this.#over) this.client?.throttle(on, this);
  }

  /** Gives up without telling the owner. The connection is lost unless it was not there yet. */
  cancel(): void {
    if (this.#over) return;
    this.#release();
    if (this.client === undefined) this.#pool?.cancel(this);
    else this.client.cancel();
  }

  #onPerTryTimeout(): void {
    if (this.#over || this.responded) return;
    const { cluster } = this.endpoint;
    cluster.counters.timeout();
    cluster.record(this.endpoint, 504);
    this.cancel();
    this.#owner.attemptFailed(this, "perTryTimeout", "");
  }

  #release(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    this.endpoint.active--;
    if (this.#counted) this.endpoint.cluster.breakerOf(this.#options.high === true).addRequests(-1);
  }
}
