import type { ClientConnection } from "../http1/client-connection.ts";
import { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { writeChunk, writeLastChunk } from "../http1/write-head.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { Endpoint } from "../upstream/endpoint.ts";
import { Attempt, type AttemptOwner } from "./attempt.ts";
import { writeRequestHead } from "./write-request.ts";

/** Body bytes that may wait for the mirror; a larger backlog ends it, the original never waits. */
const MAX_BACKLOG_BYTES = 256 * 1024;
/** For routes without a timeout. */
const DEFAULT_TIMEOUT_MS = 15_000;

export interface MirrorOptions {
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
  /** Header lines added to the original. */
  readonly lines: string;
  /** 0 = the default. */
  readonly timeoutMs: number;
}

/**
 * A copy of a request sent to another cluster, its response thrown away. It has one attempt and a deadline, and nothing that
 * happens to it is seen by the client. The authority gets `-shadow`, as with Envoy.
 * @see envoy.config.route.v3.RouteAction.RequestMirrorPolicy
 */
export class Mirror implements AttemptOwner {
  readonly #head: Http1Head;
  readonly #options: MirrorOptions;
  readonly #attempt: Attempt;
  readonly #timer: WheelTimer;
  #client: ClientConnection | undefined = undefined;
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
      perTryTimeoutMs: 0,
      fresh: false,
    });
    this.#timer = io.wheel.timer(() => this.#stop());
    this.#timer.arm(options.timeoutMs > 0 ? options.timeoutMs : DEFAULT_TIMEOUT_MS);
  }

  start(): void {
    this.#attempt.start();
  }

  writeBody(bytes: Buffer, start: number, end: number): void {
    if (this.#over) return;
    const connection = this.#client?.connection;
    if (connection === undefined) {
      this.#heldBytes += end - start;
      if (this.#heldBytes > MAX_BACKLOG_BYTES) this.#stop();
      else this.#held.push(Buffer.from(bytes.subarray(start, end)));
      return;
    }
    if (connection.congested && connection.socket.writableLength > MAX_BACKLOG_BYTES) {
      this.#stop();
      return;
    }
    if (this.#head.chunked) writeChunk(connection, bytes, start, end);
    else connection.write(bytes, start, end);
  }

  writeBodyEnd(trailers: string): void {
    this.#end = trailers;
    const connection = this.#client?.connection;
    if (this.#over || connection === undefined) return;
    if (this.#head.chunked) writeLastChunk(connection, trailers);
    this.#attempt.requestDone();
  }

  /** The original ended. Without its whole body the copy cannot be completed. */
  sourceGone(complete: boolean): void {
    if (!complete) this.#stop();
  }

  attemptReady(_: Attempt, client: ClientConnection): void {
    this.#client = client;
    const { lines } = this.#options;
    writeRequestHead(client.connection, { head: this.#head, requestEdits: new EditList(), lines, upgrade: undefined });
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
