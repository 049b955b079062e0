import type { Downstream } from "../http/streams.ts";
import type { HeadPool, Http1Head } from "../http1/head.ts";
import { MAX_HEAD_BYTES } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import type { Connection } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { Payload } from "./frame-reader.ts";
import {
  CANCEL,
  ConnectionFault,
  MAX_WINDOW_BYTES,
  NO_ERROR,
  PREFACE,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_HEADER_LIST_SIZE,
} from "./frames.ts";
import type { BlockFlags } from "./header-blocks.ts";
import { STREAM_WINDOW_BYTES } from "./receiver.ts";
import { Http2ServerStream } from "./server-stream.ts";
import { Http2Session } from "./session.ts";
import type { Http2Stream } from "./stream.ts";

/** Who makes exchanges of the requests that come over a session. */
export interface Http2ServerOwner {
  readonly heads: HeadPool;
  /** Milliseconds without a stream; 0 = none. */
  readonly idleTimeoutMs: number;
  /** Whether connections should end (drain). */
  readonly draining: boolean;
  readonly maxConcurrentStreams: number;
  /** The head is the stream's until it ends. */
  begin(downstream: Downstream, head: Http1Head): void;
  /** A request that never became an exchange; for access log and counters. */
  refused(downstream: undefined, status: number, details: string): void;
  closed(session: Http2ServerSession): void;
  /** Headers every response of ours carries: `date`, `server`. */
  localHeaders(): string;
}

/** Bytes of request heads that one connection may have us hold, beyond its first: at the start, and at most. */
const FIRST_HEADS_BYTES = 128 * 1024;
const MAX_HEADS_BYTES = 1024 * 1024;
/** For each byte of a header block that came, that much more may be held: what unfolds from references must have been paid for. */
const HEADS_BYTES_PER_BYTE = 16;
/** Between the announcement that the connection ends and the last stream it may still open. */
const GOAWAY_GRACE_MS = 1000;

/** The server side of one HTTP/2 connection: each stream is one exchange. */
export class Http2ServerSession extends Http2Session {
  readonly owner: Http2ServerOwner;
  #prefaceLeft = PREFACE.length;
  #headBytes = 0;
  #headAllowance = FIRST_HEADS_BYTES;
  #draining = false;
  /** Streams above this one are not served any more. */
  #lastServed = MAX_WINDOW_BYTES;
  readonly #idleTimer: WheelTimer;

  constructor(connection: Connection, owner: Http2ServerOwner) {
    super(connection);
    this.owner = owner;
    this.#idleTimer = connection.io.wheel.timer(() => this.#onIdle());
    this.sendSettings([
      [SETTING_MAX_CONCURRENT_STREAMS, owner.maxConcurrentStreams],
      [SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
      [SETTING_MAX_HEADER_LIST_SIZE, MAX_HEAD_BYTES],
    ]);
    this.#armIdle();
  }

  override onBytes(bytes: Buffer, start: number, end: number): void {
    let at = start;
    if (this.#prefaceLeft > 0) {
      for (; at < end && this.#prefaceLeft > 0; at++) {
        if (bytes[at] !== PREFACE[PREFACE.length - this.#prefaceLeft]) {
          this.fail(PROTOCOL_ERROR, "bad preface");
          return;
        }
        this.#prefaceLeft--;
      }
      if (at === end) return;
    }
    super.onBytes(bytes, at, end);
  }

  protected override isIdle(id: number): boolean {
    return (id & 1) === 0 || id > this.lastStream;
  }

  protected override onBlock(id: number, block: Payload, { endStream, selfDependent }: BlockFlags): void {
    if ((id & 1) === 0) throw new ConnectionFault(PROTOCOL_ERROR, "clients open odd streams");
    const known = this.streams.get(id);
    if (known !== undefined) this.onTrailers(known, block, endStream);
    else if (id <= this.lastStream) this.decodeLate(id, block);
    else this.#open(id, block, endStream, selfDependent);
  }

  #open(id: number, block: Payload, endStream: boolean, selfDependent: boolean): void {
    const head = this.owner.heads.take();
    const paid = HEADS_BYTES_PER_BYTE * (block.end - block.start);
    this.#headAllowance = Math.min(MAX_HEADS_BYTES, this.#headAllowance + paid);
    this.lastStream = id;
    this.builder.startHead(head, "request");
    const verdict = this.decode(block, endStream);
    if (id > this.#lastServed) {
      // Behind our GOAWAY: the client knows that nobody reads it.
      this.owner.heads.give(head);
      return;
    }
    const stream = new Http2ServerStream(
      this,
      id,
      { send: this.peer.initialWindow, receive: STREAM_WINDOW_BYTES },
      head,
    );
    this.streams.add(stream);
    this.#idleTimer.cancel();
    stream.remoteDone = endStream;
    if (verdict === "ok" && !selfDependent && !(endStream && head.contentLength > 0)) {
      this.#begin(stream, head);
      return;
    }
    if (verdict === "tooLarge") this.#refuseLarge(stream);
    else this.#refuseMalformed(stream);
    this.owner.heads.give(head);
  }

  #begin(stream: Http2ServerStream, head: Http1Head): void {
    const crowded = this.#headBytes > 0 && this.#headBytes + head.length > this.#headAllowance;
    if (this.streams.size > this.owner.maxConcurrentStreams || crowded) {
      this.owner.heads.give(head);
      this.abandon(stream, REFUSED_STREAM);
      this.spendReset();
      return;
    }
    stream.headBytes = head.length;
    this.#headBytes += head.length;
    stream.contentLeft = stream.remoteDone ? 0 : head.contentLength;
    this.#continue(stream, head);
    this.owner.begin(stream, head);
    if (stream.remoteDone) stream.onEnd("");
  }

  /** Envoy answers `expect: 100-continue` itself and does not pass it on. */
  #continue(stream: Http2ServerStream, head: Http1Head): void {
    if (!head.expectsContinue) return;
    const wanted = head.knownText(K.expect)?.toLowerCase() === "100-continue";
    head.dropKnown(K.expect);
    if (wanted && !stream.remoteDone) stream.sendContinue();
  }

  #refuseLarge(stream: Http2ServerStream): void {
    this.owner.refused(undefined, 431, this.builder.detail);
    stream.sendHead(431, undefined, undefined, this.owner.localHeaders(), 0);
    stream.sendEnd("");
    this.spendReset();
  }

  #refuseMalformed(stream: Http2ServerStream): void {
    this.owner.refused(undefined, 400, this.builder.detail || "http2.violation.of.messaging.rule");
    this.resetStream(stream, PROTOCOL_ERROR, "violation");
  }

  /** Our side is done: what the client may still send is not wanted (RFC 9113 §8.1). */
  protected override localEnd(stream: Http2Stream): void {
    super.localEnd(stream);
    if (!stream.closed) this.abandon(stream, NO_ERROR);
  }

  protected override onStreamClosed(stream: Http2Stream): void {
    this.#headBytes -= (stream as Http2ServerStream).headBytes;
    if (this.streams.size > 0 || this.over) return;
    if (this.connection.ended || (this.#draining && this.#lastServed < MAX_WINDOW_BYTES)) this.#close();
    else this.#armIdle();
  }

  /** Lets the connection end: streams that are open, and those under way, are served. */
  closeIfIdle(): void {
    if (this.#draining || this.over) return;
    this.#draining = true;
    this.sendGoaway(NO_ERROR, "", MAX_WINDOW_BYTES);
    this.connection.io.wheel.timer(() => this.#stopServing()).arm(GOAWAY_GRACE_MS);
  }

  #stopServing(): void {
    if (this.over) return;
    this.#lastServed = this.lastStream;
    this.sendGoaway(NO_ERROR, "");
    if (this.streams.size === 0) this.#close();
  }

  protected override onGoaway(): void {
    // The client opens no more streams; it closes when it has its responses.
  }

  #close(): void {
    this.end(NO_ERROR);
    this.connection.closeGracefully();
  }

  #armIdle(): void {
    if (this.owner.idleTimeoutMs > 0) this.#idleTimer.arm(this.owner.idleTimeoutMs);
  }

  #onIdle(): void {
    if (this.streams.size > 0 || this.over) return;
    this.sendGoaway(NO_ERROR, "");
    this.#close();
  }

  /** The client says nothing more: requests that are not complete never will be, the others get their answers. */
  override onEnd(): void {
    for (const stream of this.streams.all()) {
      if (!stream.remoteDone) this.resetStream(stream, CANCEL, "connection");
    }
    if (this.streams.size === 0 && !this.over) this.#close();
  }

  protected override onGone(): void {
    this.#idleTimer.cancel();
    this.owner.closed(this);
  }
}
