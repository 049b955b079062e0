import type { Upstream } from "../http/streams.ts";
import { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { type ConnectionInfo, unmapped } from "../listener/connection-info.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import { Attempt, type AttemptOwner } from "./attempt.ts";

/** Body bytes that may wait for the mirror; a larger backlog ends it, the original never waits. */
const MAX_BACKLOG_BYTES = 256 * 1024;
/** For routes without a timeout. */
const DEFAULT_TIMEOUT_MS = 15_000;

export interface MirrorOptions {
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
  /** Whose request it is. */
  readonly info: ConnectionInfo;
  /** Header lines added to the original. */
  readonly lines: string;
  /** Upstreams are told which attempt it is: of a copy there is one. */
  readonly attemptCount: boolean;
  /** The client asked for `https`. */
  readonly secure: boolean;
  /** 0 = the default. */
  readonly timeoutMs: number;
}

/**
 * A copy of a request sent to another cluster, its response thrown away. It has one attempt and a deadline, and nothing that
 * happens to it is seen by the client. As with Envoy the authority gets `-shadow`, and the copy says that it comes from this proxy:
 * `x-envoy-internal`, and its address at the end of `x-forwarded-for`.
 * @see envoy.config.route.v3.RouteAction.RequestMirrorPolicy
 */
export class Mirror implements AttemptOwner {
  readonly #head: Http1Head;
  readonly #options: MirrorOptions;
  readonly #attempt: Attempt;
  readonly #timer: WheelTimer;
  #client: Upstream | undefined = undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Trailers, once the request is complete. */
  #end: string | undefined = undefined;
  #over = false;

  constructor(head: Http1Head, options: MirrorOptions) {
    const { cluster, endpoint } = options;
    const { heads, io } = cluster.context;
    this.#options = options;
    this.#head = heads.take();
    this.#head.copyFrom(head);
    this.#head.replaceAuthority(shadowed(head.authorityText));
    this.#attempt = new Attempt(endpoint, this, {
      isHead: head.isHead,
      upgrade: false,
      http2: head.major === 2,
      perTryTimeoutMs: 0,
      fresh: false,
      client: options.info,
    });
    this.#timer = io.wheel.timer(() => this.#stop());
    this.#timer.arm(options.timeoutMs > 0 ? options.timeoutMs : DEFAULT_TIMEOUT_MS);
  }

  start(): void {
    this.#attempt.start();
  }

  #lines(ownAddress: string): string {
    const { lines, attemptCount } = this.#options;
    const head = this.#head;
    const edited = /^x-forwarded-for: ([^\r]*)\r\n/im.exec(lines);
    const forwarded = edited?.[1] ?? head.knownJoined(K["x-forwarded-for"]);
    head.dropKnown(K["x-forwarded-for"]);
    head.dropKnown(K["x-envoy-internal"]);
    if (attemptCount) head.dropKnown(K["x-envoy-attempt-count"]);
    const others = edited === null ? lines : lines.replace(edited[0], () => "");
    const count = attemptCount ? "x-envoy-attempt-count: 1\r\n" : "";
    const hops = forwarded === undefined ? ownAddress : `${forwarded},${ownAddress}`;
    return `${others}${count}x-envoy-internal: true\r\nx-forwarded-for: ${hops}\r\n`;
  }

  writeBody(bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    const client = this.#client;
    if (client === undefined) {
      this.#heldBytes += end - start;
      if (this.#heldBytes > MAX_BACKLOG_BYTES) this.#stop();
      else this.#held.push(Buffer.from(bytes.subarray(start, end)));
      return;
    }
    if (client.congested && client.queuedBytes > MAX_BACKLOG_BYTES) this.#stop();
    else client.sendBody(bytes, start, end);
  }

  writeBodyEnd(trailers: string): void {
    this.#end = trailers;
    if (!this.#over) this.#client?.sendEnd(trailers);
  }

  /** The original ended. Without its whole body the copy cannot be completed. */
  sourceGone(complete: boolean): void {
    if (!complete) this.#stop();
  }

  attemptReady(_: Attempt, client: Upstream): void {
    this.#client = client;
    const { secure } = this.#options;
    const lines = this.#lines(unmapped(client.connection.socket.localAddress ?? ""));
    client.sendHead({ head: this.#head, requestEdits: new EditList(), lines, upgrade: undefined, secure });
    for (const chunk of this.#held) this.writeBody(chunk, 0, chunk.length);
    this.#held = [];
    if (this.#end !== undefined) this.writeBodyEnd(this.#end);
  }

  attemptInterim(): void {}

  attemptResponse(): boolean {
    return false;
  }

  attemptBody(): void {}

  attemptEnd(): void {
    this.#stop();
  }

  attemptDrain(): void {}

  attemptTunnelEnd(): void {
    this.#stop();
  }

  attemptFailed(): void {
    this.#stop();
  }

  #stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.#held = [];
    this.#attempt.cancel();
    this.#options.cluster.context.heads.give(this.#head);
  }
}

function shadowed(authority: string): string {
  const parts = authority.split(":");
  return parts.length === 2 ? parts.join("-shadow:") : `${authority}-shadow`;
}
