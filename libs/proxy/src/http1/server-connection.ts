import type { BodyLength, Downstream, ServerStream } from "../http/streams.ts";
import { Backlog } from "../io/backlog.ts";
import type { Connection, ConnectionHandler } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { type BodySink, ChunkedDecoder } from "./chunked.ts";
import type { EditList } from "./edit-list.ts";
import { type HeadPool, type Http1Head, MAX_HEAD_BYTES } from "./head.ts";
import { K } from "./known-headers.ts";
import { BAD_VERSION, INCOMPLETE, MALFORMED, parseRequestHead, TOO_LARGE } from "./parse-head.ts";
import { writeChunk, writeHeaders, writeLastChunk, writeStatusLine } from "./write-head.ts";

/** Who makes exchanges: a connection manager, or the explicit proxy that picks one per request. */
export interface ServerOwner {
  readonly heads: HeadPool;
  readonly acceptHttp10: boolean;
  /** Milliseconds between requests; 0 = none. */
  readonly idleTimeoutMs: number;
  /** Whether the next response should end the connection (drain). */
  readonly draining: boolean;
  /** The head is the stream's until it ends. */
  begin(server: ServerConnection, head: Http1Head): void;
  /** A request that never became an exchange; for access log and counters. `head` may be half filled. */
  refused(server: ServerConnection, status: number, details: string): void;
  closed(server: ServerConnection): void;
  /** Headers every response of ours carries: `date`, `server`. */
  localHeaders(): string;
  /** The client speaks HTTP/2 from its first byte on; whoever can, takes the connection over. Absent: it is refused. */
  readonly becomeHttp2?: ((server: ServerConnection) => void) | undefined;
}

/** What an HTTP/2 client sends first, as far as it looks like a request. @see RFC 9113 §3.4 */
const HTTP2_REQUEST_LINE = "PRI * HTTP/2.0\r\n";

/** How long a started head, or the rest of a refused request, may take. */
const HEAD_TIMEOUT_MS = 60_000;

type State = "head" | "body" | "wait" | "tunnel" | "closing";

/**
 * The server side of one HTTP/1 connection: requests in, responses out, one at a time.
 * ## head → (body) → wait → head …; wait/body → tunnel after an upgrade; any → closing on error or `connection: close`
 * Pipelined bytes wait in one bounded buffer while the socket is paused.
 */
export class ServerConnection implements Downstream, ConnectionHandler, BodySink {
  readonly connection: Connection;
  readonly owner: ServerOwner;
  stream: ServerStream | undefined = undefined;
  requests = 0;
  /** The request has been read to its end. */
  requestDone = true;
  #state: State = "head";
  #minor = 1;
  #close = false;
  #left = 0;
  #chunkedIn = false;
  readonly #decoder = new ChunkedDecoder();
  #chunkedOut = false;
  #responseStarted = false;
  #isHead = false;
  #bodiless = false;
  #pending: Buffer | undefined = undefined;
  readonly #backlog = new Backlog();
  #processing = false;
  /** Bytes of a head have arrived and its time is running. */
  #headBegun = false;
  #throttled = false;
  readonly #timer: WheelTimer;

  constructor(connection: Connection, owner: ServerOwner) {
    this.connection = connection;
    this.owner = owner;
    this.#timer = connection.io.wheel.timer(() => this.#onTimeout());
    connection.handler = this;
    this.#armIdle();
  }

  get congested(): boolean {
    return this.connection.congested;
  }

  spliceTarget(): Connection | undefined {
    return this.#bodiless || this.#chunkedOut ? undefined : this.connection;
  }

  finishTunnel(): void {
    this.connection.finish();
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.#pending === undefined) {
      this.#process(bytes, start, end);
      return;
    }
    const pending = this.#pending;
    const grown = this.#backlog.join(pending, bytes, start, end);
    if (this.#state !== "head") {
      this.#pending = grown;
      this.connection.pause();
      return;
    }
    // A head cannot be complete without a new line end: not looking before one comes keeps slow senders cheap.
    if (grown.length <= MAX_HEAD_BYTES && bytes.subarray(start, end).indexOf(10) < 0) {
      this.#pending = grown;
      return;
    }
    this.#pending = undefined;
    this.#backlog.release();
    this.#process(grown, 0, grown.length);
  }

  #process(bytes: Buffer, start: number, end: number): void {
    let at = start;
    this.#processing = true;
    while (at < end && !this.connection.closed) {
      switch (this.#state) {
        case "head":
          at = this.#readHead(bytes, at, end);
          break;
        case "body":
          at = this.#readBody(bytes, at, end);
          break;
        case "tunnel":
          this.stream?.onRequestBody(bytes, at, end);
          at = end;
          break;
        case "wait":
          this.#pending = Buffer.from(bytes.subarray(at, end));
          this.connection.pause();
          at = end;
          break;
        case "closing":
          // After release() the rest belongs to whoever took the connection over.
          if (this.connection.handler !== this) this.connection.handler.onBytes(bytes, at, end);
          at = end;
      }
    }
    this.#processing = false;
  }

  #readHead(bytes: Buffer, at: number, end: number): number {
    const head = this.owner.heads.take();
    const after = parseRequestHead(bytes, at, end, head);
    if (after > 0) {
      head.adopt(bytes, at);
      this.#begin(head);
      return after;
    }
    this.owner.heads.give(head);
    switch (after) {
      case INCOMPLETE:
        this.#pending = Buffer.from(bytes.subarray(at, end));
        // Counted from the head's first byte: a client that sends a line now and then gets no more time.
        if (!this.#headBegun) this.#timer.arm(HEAD_TIMEOUT_MS);
        this.#headBegun = true;
        break;
      case TOO_LARGE:
        this.refuse(431, head.error === "" ? "http1.headers_too_large" : head.error);
        break;
      case BAD_VERSION:
        if (this.#switchToHttp2(bytes, at, end)) break;
        this.refuse(400, head.error);
        break;
      case MALFORMED:
        this.refuse(400, head.error);
        break;
    }
    return end;
  }

  /** The first bytes of the connection are HTTP/2's: it goes on as that, with these bytes. */
  #switchToHttp2(bytes: Buffer, at: number, end: number): boolean {
    const { becomeHttp2 } = this.owner;
    const length = Math.min(HTTP2_REQUEST_LINE.length, end - at);
    if (becomeHttp2 === undefined || this.requests > 0) return false;
    if (bytes.toString("latin1", at, at + length) !== HTTP2_REQUEST_LINE.slice(0, length)) return false;
    this.release();
    becomeHttp2.call(this.owner, this);
    this.connection.handler.onBytes(bytes, at, end);
    return true;
  }

  #begin(head: Http1Head): void {
    if (head.minor === 0 && !this.owner.acceptHttp10) {
      this.owner.heads.give(head);
      this.refuse(426, "low_version");
      return;
    }
    // Else the timer stays: what it finds when it is due is a request under way, or it was put off.
    if (this.#headBegun) this.#timer.cancel();
    this.#headBegun = false;
    this.requests++;
    this.#minor = head.minor;
    this.#close = head.close;
    this.#isHead = head.isHead;
    this.#responseStarted = false;
    this.#chunkedOut = false;
    this.#bodiless = false;
    this.#chunkedIn = head.chunked;
    this.#left = Math.max(0, head.contentLength);
    this.requestDone = !head.chunked && this.#left === 0;
    this.#state = this.requestDone ? "wait" : "body";
    if (head.chunked) this.#decoder.reset();
    if (head.expectsContinue) this.#continue(head);
    const done = this.requestDone;
    this.owner.begin(this, head);
    if (done) this.stream?.onRequestEnd("");
  }

  /** Envoy answers `expect: 100-continue` itself and does not pass it on. */
  #continue(head: Http1Head): void {
    const wanted = head.knownText(K.expect)?.toLowerCase() === "100-continue";
    head.dropKnown(K.expect);
    if (wanted && this.#minor === 1 && !this.requestDone) this.connection.writeText("HTTP/1.1 100 Continue\r\n\r\n");
  }

  #readBody(bytes: Buffer, at: number, end: number): number {
    if (this.#chunkedIn) {
      const after = this.#decoder.decode(bytes, at, end, this);
      if (after < 0) {
        this.#brokenBody();
        return end;
      }
      if (this.#decoder.done) this.#requestEnd(this.#decoder.trailers);
      return after;
    }
    const take = Math.min(this.#left, end - at);
    this.#left -= take;
    this.stream?.onRequestBody(bytes, at, at + take);
    if (this.#left === 0 && this.#state === "body") this.#requestEnd("");
    return at + take;
  }

  onBodySpan(bytes: Buffer, start: number, end: number): void {
    if (this.#state === "body") this.stream?.onRequestBody(bytes, start, end);
  }

  #requestEnd(trailers: string): void {
    if (this.#state !== "body") return;
    this.requestDone = true;
    this.#state = "wait";
    this.stream?.onRequestEnd(trailers);
  }

  #brokenBody(): void {
    const stream = this.stream;
    this.stream = undefined;
    stream?.onDownstreamReset("protocol");
    if (this.#responseStarted) this.connection.destroy();
    // The exchange has told it.
    else this.#answerAndClose(400);
  }

  /** Answers a request that cannot be understood, and closes. Nothing of it was or will be forwarded. */
  refuse(status: number, details: string): void {
    if (this.#state === "closing") return;
    this.owner.refused(this, status, details);
    this.#answerAndClose(status);
  }

  #answerAndClose(status: number): void {
    this.#state = "closing";
    this.#timer.cancel();
    const body = REFUSALS[status] ?? "Bad Request";
    writeStatusLine(this.connection, status);
    this.connection.writeText(
      `content-length: ${body.length}\r\ncontent-type: text/plain\r\n${this.owner.localHeaders()}connection: close\r\n\r\n${body}`,
    );
    this.connection.closeGracefully();
  }

  // ------------------------------------------------------------------ responses

  /** An interim response of the upstream (1xx except 101); HTTP/1.0 clients get none. */
  sendInterim(head: Http1Head): void {
    if (this.#minor === 0 || this.#responseStarted) return;
    writeStatusLine(this.connection, head.status);
    writeHeaders(this.connection, head);
    this.connection.writeText("\r\n");
  }

  /**
   * Starts the response. Headers come from `head` (an upstream's) and `lines`. `length` says how the body is framed: `none`
   * for responses that have none by definition.
   */
  sendHead(
    status: number,
    head: Http1Head | undefined,
    edits: EditList | undefined,
    lines: string,
    length: BodyLength,
  ): void {
    const connection = this.connection;
    this.#responseStarted = true;
    if (!this.requestDone || this.owner.draining) this.#close = true;
    writeStatusLine(connection, status);
    if (head !== undefined) writeHeaders(connection, head);
    connection.writeText(lines);
    edits?.write(connection);
    this.#bodiless = this.#isHead || length === "none";
    if (length === "unknown" && !this.#isHead) {
      if (this.#minor === 1) {
        this.#chunkedOut = true;
        connection.writeText("transfer-encoding: chunked\r\n");
      } else this.#close = true;
    } else if (typeof length === "number" && !(head?.has(K["content-length"]) ?? false)) {
      connection.writeText(`content-length: ${length}\r\n`);
    }
    if (this.#close) connection.writeText("connection: close\r\n\r\n");
    else connection.writeText(this.#minor === 0 ? "connection: keep-alive\r\n\r\n" : "\r\n");
  }

  /** A 101: both directions become a byte tunnel. */
  sendUpgrade(head: Http1Head | undefined, edits: EditList | undefined, lines: string): void {
    this.#responseStarted = true;
    this.#close = true;
    this.#state = "tunnel";
    this.#bodiless = false;
    writeStatusLine(this.connection, head?.status ?? 101);
    if (head !== undefined) writeHeaders(this.connection, head);
    this.connection.writeText(`${lines}${edits?.lines() ?? ""}\r\n`);
    const pending = this.#pending;
    this.#pending = undefined;
    if (!this.#throttled) this.connection.resume();
    if (pending !== undefined) this.stream?.onRequestBody(pending, 0, pending.length);
  }

  sendBody(bytes: Buffer, start: number, end: number): void {
    if (this.#bodiless) return;
    if (this.#chunkedOut) writeChunk(this.connection, bytes, start, end);
    else this.connection.write(bytes, start, end);
  }

  /** Ends the response; the stream is over for this connection. */
  sendEnd(trailers: string): void {
    if (this.#chunkedOut) writeLastChunk(this.connection, trailers);
    this.stream = undefined;
    if (this.#close || !this.requestDone || this.connection.ended) {
      this.#state = "closing";
      this.#timer.cancel();
      this.connection.closeGracefully();
      return;
    }
    this.#state = "head";
    this.throttle(false);
    this.#armIdle();
    if (this.#processing) return;
    const pending = this.#pending;
    this.#pending = undefined;
    this.connection.resume();
    if (pending !== undefined) this.#process(pending, 0, pending.length);
  }

  /** Breaks the connection: the response cannot be completed. */
  abort(): void {
    this.stream = undefined;
    this.#state = "closing";
    this.#timer.cancel();
    this.connection.io.out.flushFor(this.connection);
    this.connection.destroy();
  }

  /** Takes the connection away from HTTP (CONNECT): answers what was read beyond the head. */
  release(): Buffer | undefined {
    this.#timer.cancel();
    this.#state = "closing";
    this.stream = undefined;
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }

  /** Pauses or resumes reading of the request because whoever takes the body is slow. */
  throttle(on: boolean): void {
    this.#throttled = on;
    if (on) this.connection.pause();
    else if (this.#pending === undefined || this.#state === "head") this.connection.resume();
  }

  /** Forces the connection to end with the current response. */
  closeAfterResponse(): void {
    this.#close = true;
  }

  /** For draining: ends the connection if it is between requests. */
  closeIfIdle(): void {
    if (this.#state === "head" && this.#pending === undefined && this.stream === undefined) {
      this.#state = "closing";
      this.connection.closeGracefully();
    }
  }

  // ------------------------------------------------------------------ connection events

  onEnd(): void {
    switch (this.#state) {
      case "head":
        this.#state = "closing";
        this.connection.closeGracefully();
        break;
      case "body":
        this.#state = "closing";
        this.#reset("disconnect");
        this.connection.destroy();
        break;
      case "tunnel":
        this.stream?.onTunnelEnd();
        break;
      case "wait":
      case "closing":
        break;
    }
  }

  onCongested(): void {
    this.stream?.onDownstreamCongested?.();
  }

  onDrain(): void {
    this.stream?.onDownstreamDrain();
  }

  onClose(): void {
    this.#timer.cancel();
    this.#state = "closing";
    this.#reset("disconnect");
    this.owner.closed(this);
  }

  #reset(reason: "disconnect" | "protocol" | "timeout"): void {
    const stream = this.stream;
    this.stream = undefined;
    stream?.onDownstreamReset(reason);
  }

  #armIdle(): void {
    const { idleTimeoutMs } = this.owner;
    if (idleTimeoutMs > 0) this.#timer.arm(idleTimeoutMs);
    else this.#timer.cancel();
  }

  #onTimeout(): void {
    if (this.#pending !== undefined && this.#state === "head") this.refuse(408, "request_header_timeout");
    else this.closeIfIdle();
  }
}

const REFUSALS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "request timeout",
  426: "Upgrade Required",
  431: "Request Header Fields Too Large",
};
