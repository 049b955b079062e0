import { type AttemptOutcome, backoffMs, type RetrySpec, retryDecision } from "@lateen/traffic";
import { replies } from "../chain/replies.ts";
import type { LocalReply } from "../chain/spi.ts";
import type { AttemptFailure } from "../explain/request-record.ts";
import type { BodyLength, ResetReason, Upstream } from "../http/streams.ts";
import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { Connection } from "../io/connection.ts";
import type { LentTimer, TimerUser, WheelTimer } from "../io/timer-wheel.ts";
import type { ConnectionInfo } from "../listener/connection-info.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import { Attempt, type AttemptOwner } from "./attempt.ts";
import type { Mirror } from "./mirror.ts";
import { RequestBody } from "./request-body.ts";
import { type Forwarding, tellExpectedTimeout } from "./steering.ts";

/** The exchange that is forwarded. Exactly one of `forwardEnd` and `forwardFailed` ends it. */
export interface ForwardOwner {
  /** An endpoint was chosen and connected; edits of the request still count. */
  beforeAttempt(): void;
  forwardInterim(head: Http1Head): void;
  /** The head is the owner's now. `serviceMs` is the time the upstream took. */
  forwardResponse(head: Http1Head, length: BodyLength, serviceMs: number): void;
  forwardBody(bytes: Buffer, start: number, end: number): void;
  /** See {@link ClientStream.spliceTarget}. */
  spliceTarget(): Connection | undefined;
  forwardSpliced(bytes: number): void;
  forwardEnd(trailers: string): void;
  forwardTunnelEnd(): void;
  /** What to tell the client, if it has got nothing yet. */
  forwardFailed(reply: LocalReply): void;
  /** Flag of a response that was passed on although a retry was wanted. */
  addFlag(flag: string): void;
  /** The upstream is slow, or no longer. */
  throttleClient(on: boolean): void;
}

export interface ForwardOptions {
  readonly head: Http1Head;
  readonly requestEdits: EditList;
  readonly cluster: Cluster;
  /** The endpoint for the next attempt, avoiding `tried` where the cluster can. */
  readonly pick: (tried: readonly Endpoint[]) => Endpoint | undefined;
  readonly forwarding: Forwarding;
  readonly isHead: boolean;
  readonly upgrade: string | undefined;
  /** The client speaks HTTP/2, for clusters that follow it. */
  readonly http2: boolean;
  /** The client asked for `https`. */
  readonly secure: boolean;
  /** Whose request it is. */
  readonly info: ConnectionInfo;
  /** Priority HIGH. */
  readonly high: boolean;
  /** Tell the upstream which attempt this is. */
  readonly attemptCount: boolean;
  /** When the request began, monotonic milliseconds. */
  readonly startedMs: number;
}

/** Failed attempts that are remembered of one request. */
const MOST_FAILURES = 16;

/**
 * The upstream side of one exchange: attempts with their retries and timeouts, and the request body, which is held back until an
 * attempt takes it and kept for the next one while it is small.
 */
export class Forward implements AttemptOwner, TimerUser {
  readonly #owner: ForwardOwner;
  readonly #options: ForwardOptions;
  readonly #random: () => number;
  /** Attempts made so far. */
  attempts = 0;
  endpoint: Endpoint | undefined = undefined;
  /** What carries the latest attempt. */
  client: Upstream | undefined = undefined;
  mirrors: readonly Mirror[] = [];
  /** Attempts that came to nothing; undefined: none did. */
  failures: AttemptFailure[] | undefined = undefined;
  #body: RequestBody | undefined = undefined;
  #requestComplete = false;
  #requestCompleteMs = 0;
  #trailers = "";
  #attempt: Attempt | undefined = undefined;
  /** The attempt has its head written and takes body. */
  #streaming = false;
  #responded = false;
  #over = false;
  #tried: Endpoint[] | undefined = undefined;
  #retrying = false;
  #reconnected = false;
  #routeTimer: LentTimer | undefined = undefined;
  #backoffTimer: WheelTimer | undefined = undefined;

  constructor(owner: ForwardOwner, options: ForwardOptions) {
    this.#owner = owner;
    this.#options = options;
    this.#random = options.cluster.context.random;
  }

  /** The time and the retries it has. */
  get forwarding(): Forwarding {
    return this.#options.forwarding;
  }

  start(): void {
    this.#startAttempt(false);
  }

  // ------------------------------------------------------------------ request

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    for (const mirror of this.mirrors) mirror.writeBody(bytes, start, end);
    this.#body ??= new RequestBody(this.#options.forwarding.retry !== undefined);
    if (this.#streaming) {
      this.#body.passed(bytes, start, end);
      this.writeBody(bytes, start, end);
      return;
    }
    this.#body.hold(bytes, start, end);
    this.#owner.throttleClient(true);
  }

  /** The client may go on sending, unless nobody takes the body yet. */
  askForMore(): void {
    if (this.#streaming) this.#owner.throttleClient(this.client?.congested ?? false);
  }

  onRequestEnd(trailers: string): void {
    if (this.#over) return;
    this.#requestComplete = true;
    this.#requestCompleteMs = this.#options.cluster.context.io.wheel.now();
    this.#trailers = trailers;
    for (const mirror of this.mirrors) mirror.writeBodyEnd(trailers);
    if (this.#streaming) this.writeBodyEnd(trailers);
    const { timeoutMs } = this.#options.forwarding;
    if (timeoutMs > 0) {
      this.#routeTimer = this.#options.cluster.context.io.wheel.lend(this, timeoutMs);
    }
  }

  writeBody(bytes: Buffer, start: number, end: number): void {
    const { client } = this;
    if (client === undefined) return;
    client.sendBody(bytes, start, end);
    if (client.congested) this.#owner.throttleClient(true);
  }

  writeBodyEnd(trailers: string): void {
    this.client?.sendEnd(trailers);
  }

  // ------------------------------------------------------------------ tunnel

  /** The upstream agreed to an upgrade: from now on the body is a byte stream without framing. */
  becomeTunnel(): void {
    this.client?.becomeTunnel();
    // A tunnel lives as long as something moves in it: only idle timeouts count.
    this.#endRouteTimer();
  }

  #endRouteTimer(): void {
    this.#routeTimer?.giveBack(this);
    this.#routeTimer = undefined;
  }

  /** FIN of the client of a tunnel. */
  finishTunnel(): void {
    this.client?.finishTunnel();
  }

  // ------------------------------------------------------------------ attempts

  #startAttempt(fresh: boolean): void {
    const { forwarding } = this.#options;
    this.attempts++;
    const endpoint = this.#options.pick(this.#tried ?? []);
    if (endpoint === undefined) {
      this.#fail(replies.noHealthyUpstream);
      return;
    }
    this.endpoint = endpoint;
    if (forwarding.retry?.avoidPreviousHosts || forwarding.retry?.avoidPreviousPriorities) {
      this.#tried ??= [];
      this.#tried.push(endpoint);
    }
    this.#attempt = new Attempt(endpoint, this, {
      isHead: this.#options.isHead,
      upgrade: this.#options.upgrade !== undefined,
      http2: this.#options.http2,
      perTryTimeoutMs: forwarding.retry?.perTryTimeoutMs ?? 0,
      fresh,
      client: this.#options.info,
      high: this.#options.high,
    });
    this.#attempt.start();
  }

  attemptReady(_: Attempt, client: Upstream): void {
    const { head, requestEdits, upgrade, attemptCount, secure } = this.#options;
    this.client = client;
    this.#owner.beforeAttempt();
    if (this.attempts > 1) this.#tellTimeLeft();
    if (attemptCount) head.dropKnown(K["x-envoy-attempt-count"]);
    const lines = attemptCount ? `x-envoy-attempt-count: ${this.attempts}\r\n` : "";
    client.sendHead({ head, requestEdits, lines, upgrade, secure });
    this.#streaming = true;
    this.#body?.replay((chunk) => this.writeBody(chunk, 0, chunk.length));
    if (this.#requestComplete) this.writeBodyEnd(this.#trailers);
    else this.#owner.throttleClient(client.congested);
  }

  #tellTimeLeft(): void {
    const { forwarding, requestEdits, cluster } = this.#options;
    const elapsed = this.#requestComplete ? cluster.context.io.wheel.now() - this.#requestCompleteMs : 0;
    tellExpectedTimeout(requestEdits, forwarding, elapsed);
  }

  attemptInterim(head: Http1Head): void {
    this.#owner.forwardInterim(head);
  }

  attemptResponse(attempt: Attempt, head: Http1Head, length: BodyLength): boolean {
    this.#endRetry();
    const { retry } = this.#options.forwarding;
    if (retry !== undefined) {
      const rateLimited = head.has(K["x-envoy-ratelimited"]);
      const outcome = { kind: "status", status: head.status, rateLimited, ...grpcStatus(head) } as const;
      if (this.#mayRetry(retry, outcome)) {
        this.#note(attempt.endpoint, `status ${head.status}`, "");
        this.#streaming = false;
        attempt.cancel();
        this.#scheduleRetry(retry);
        return false;
      }
    }
    this.#responded = true;
    this.#body?.stopKeeping();
    const { wheel } = this.#options.cluster.context.io;
    this.#owner.forwardResponse(head, length, wheel.now() - attempt.startedMs);
    return true;
  }

  attemptBody(bytes: Buffer, start: number, end: number): void {
    this.#owner.forwardBody(bytes, start, end);
  }

  attemptSpliceTarget(): Connection | undefined {
    return this.#owner.spliceTarget();
  }

  attemptSpliced(bytes: number): void {
    this.#owner.forwardSpliced(bytes);
  }

  attemptEnd(trailers: string): void {
    this.#close();
    this.#owner.forwardEnd(trailers);
  }

  attemptDrain(): void {
    if (this.#streaming) this.#owner.throttleClient(false);
  }

  attemptTunnelEnd(): void {
    this.#owner.forwardTunnelEnd();
  }

  attemptFailed(attempt: Attempt, reason: ResetReason | "perTryTimeout", detail: string): void {
    this.#endRetry();
    this.#streaming = false;
    if (this.#over) return;
    this.#note(attempt.endpoint, reason, detail);
    if (this.#responded) {
      this.#fail(reason === "perTryTimeout" ? replies.perTryTimeout : replies.upstreamCut);
      return;
    }
    if (this.#reconnects(attempt, reason)) {
      this.#reconnected = true;
      this.attempts--;
      this.#startAttempt(true);
      return;
    }
    const { retry } = this.#options.forwarding;
    if (retry !== undefined && reason !== "overflow" && this.#mayRetry(retry, outcomeOf(reason))) {
      this.#scheduleRetry(retry);
      return;
    }
    this.#fail(failure(reason, detail, this.attempts > 1));
  }

  /**
   * The server closed a connection it had kept open just as we used it. Nothing of a response came, and repeating the request is
   * harmless: it goes once more, over another connection, whatever the retry policy says (RFC 9110 §9.2.2).
   */
  #reconnects(attempt: Attempt, reason: ResetReason | "perTryTimeout"): boolean {
    return (
      // What the upstream says it did not begin is harmless to repeat, whatever the method.
      (reason === "remoteRefused" || (reason === "connectionTermination" && this.#options.head.isIdempotent)) &&
      attempt.reused &&
      attempt.client?.sawBytes !== true &&
      !this.#reconnected &&
      (this.#body?.replayable ?? true)
    );
  }

  #mayRetry(retry: RetrySpec, outcome: AttemptOutcome): boolean {
    const { cluster } = this.#options;
    if (!retryDecision(retry, this.attempts, outcome)) {
      // The outcome would be tried again if attempts were left.
      if (this.attempts > retry.attempts && retryDecision(retry, 0, outcome)) this.#owner.addFlag("URX");
      return false;
    }
    if (!(this.#body?.replayable ?? true)) return false;
    const breaker = cluster.breakerOf(this.#options.high);
    if (breaker.retriesFull) {
      cluster.counters.retryOverflow();
      this.#owner.addFlag("UO");
      if (this.endpoint !== undefined) this.#note(this.endpoint, "overflow", `max_retries ${breaker.retryLimit}`);
      return false;
    }
    return true;
  }

  #scheduleRetry(retry: RetrySpec): void {
    const { cluster } = this.#options;
    cluster.breakerOf(this.#options.high).addRetries(1);
    cluster.counters.retry();
    this.#retrying = true;
    this.#backoffTimer ??= cluster.context.io.wheel.timer(() => this.#startAttempt(false));
    this.#backoffTimer.arm(backoffMs(retry, this.attempts, this.#random));
  }

  #note(endpoint: Endpoint, outcome: string, detail: string): void {
    this.failures ??= [];
    if (this.failures.length >= MOST_FAILURES) return;
    const { startedMs } = this.#options;
    const atMs = this.#options.cluster.context.io.wheel.now() - startedMs;
    this.failures.push({ endpoint: endpoint.text, outcome, detail, atMs });
  }

  #endRetry(): void {
    if (!this.#retrying) return;
    this.#retrying = false;
    this.#options.cluster.breakerOf(this.#options.high).addRetries(-1);
  }

  /** The route's time is over. */
  onTimer(): void {
    if (this.#over) return;
    const { cluster } = this.#options;
    cluster.counters.timeout();
    if (this.endpoint !== undefined && !this.#responded) cluster.record(this.endpoint, 504);
    this.#fail(replies.responseTimeout);
  }

  #fail(reply: LocalReply): void {
    if (this.#over) return;
    this.cancel();
    this.#owner.forwardFailed(reply);
  }

  /** Stops or resumes reading the response because the client is slow. */
  throttle(on: boolean): void {
    this.#attempt?.throttle(on);
  }

  /** Gives everything up; the owner hears no more. */
  cancel(): void {
    if (this.#over) return;
    this.#close();
    this.#attempt?.cancel();
  }

  #close(): void {
    this.#over = true;
    this.#streaming = false;
    this.#endRetry();
    this.#endRouteTimer();
    this.#backoffTimer?.cancel();
    this.#body?.stopKeeping();
    for (const mirror of this.mirrors) mirror.sourceGone(this.#requestComplete);
  }
}

function outcomeOf(reason: Exclude<ResetReason, "overflow"> | "perTryTimeout"): AttemptOutcome {
  switch (reason) {
    case "connectFailure":
    case "connectTimeout":
    case "tlsFailure":
      return { kind: "connectFailure" };
    case "perTryTimeout":
      return { kind: "timeout" };
    case "remoteRefused":
      return { kind: "refused" };
    case "connectionTermination":
    case "remoteReset":
    case "protocolError":
      return { kind: "reset" };
  }
}

function failure(reason: ResetReason | "perTryTimeout", detail: string, retried: boolean): LocalReply {
  return reason === "perTryTimeout" ? replies.perTryTimeout : replies.upstreamReset(reason, detail, retried);
}

function grpcStatus(head: Http1Head): { readonly grpcStatus?: number } {
  const text = head.textOf("grpc-status");
  return text !== undefined && /^[0-9]{1,2}$/.test(text) ? { grpcStatus: Number(text) } : {};
}
