import type { HeadPool } from "../http1/head.ts";
import { MAX_HEAD_BYTES } from "../http1/head.ts";
import type { Connection } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { Http2ClientStream } from "./client-stream.ts";
import type { Payload } from "./frame-reader.ts";
import {
  CANCEL,
  ConnectionFault,
  NO_ERROR,
  PREFACE,
  PROTOCOL_ERROR,
  SETTING_ENABLE_PUSH,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_HEADER_LIST_SIZE,
} from "./frames.ts";
import type { BlockFlags } from "./header-blocks.ts";
import { STREAM_WINDOW_BYTES } from "./receiver.ts";
import { Http2Session } from "./session.ts";
import type { Http2Stream } from "./stream.ts";

/** The pool a session belongs to. */
export interface Http2ClientOwner {
  readonly heads: HeadPool;
  /** The session has fewer streams, or may have more. */
  roomFor(session: Http2ClientSession): void;
  /** It takes no new streams. */
  drained(session: Http2ClientSession): void;
  gone(session: Http2ClientSession): void;
}

/** How often a server is asked whether it is still there, and how long it may take to answer. Milliseconds. */
export interface Http2KeepAlive {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** Streams a server is taken to allow until it has said. */
const ASSUMED_STREAMS = 100;
const MAX_STREAM_ID = 0x4000_0000;

/** The client side of one HTTP/2 connection. */
export class Http2ClientSession extends Http2Session {
  readonly owner: Http2ClientOwner;
  readonly #maxStreams: number;
  #nextId = 1;
  #settled = false;
  /** No new streams: GOAWAY of either side, or worn out. */
  draining = false;
  /** Streams opened so far. */
  requests = 0;
  /** Monotonic milliseconds. */
  readonly bornMs: number;
  /** Monotonic milliseconds since when no stream is open. */
  idleSince: number;

  readonly #keepAlive: Http2KeepAlive | undefined;
  readonly #pinger: WheelTimer;
  #pinged = false;

  /** @param maxStreams the most that are open at a time, whatever the server allows. */
  constructor(connection: Connection, owner: Http2ClientOwner, maxStreams: number, keepAlive?: Http2KeepAlive) {
    super(connection);
    this.#keepAlive = keepAlive;
    this.#pinger = connection.io.wheel.timer(() => this.#ping());
    if (keepAlive !== undefined) this.#pinger.arm(keepAlive.intervalMs);
    this.owner = owner;
    this.#maxStreams = maxStreams;
    this.bornMs = connection.io.wheel.now();
    this.idleSince = this.bornMs;
    this.writer.bytes(PREFACE);
    this.sendSettings([
      [SETTING_ENABLE_PUSH, 0],
      [SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
      [SETTING_MAX_HEADER_LIST_SIZE, MAX_HEAD_BYTES],
    ]);
  }

  get active(): number {
    return this.streams.size;
  }

  get hasRoom(): boolean {
    if (this.draining || this.over || this.connection.closed) return false;
    const allowed = this.#settled ? this.peer.maxStreams : ASSUMED_STREAMS;
    return this.streams.size < Math.min(allowed, this.#maxStreams);
  }

  /** A stream for one request; its number is used up even if no head is sent. */
  open(): Http2ClientStream {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = new Http2ClientStream(this, id, this.requests++, {
      send: this.peer.initialWindow,
      receive: STREAM_WINDOW_BYTES,
    });
    this.streams.add(stream);
    this.lastStream = id;
    if (this.#nextId > MAX_STREAM_ID) this.retire();
    return stream;
  }

  /** Asks whether the server is still there; the one before was not answered: it is not. */
  #ping(): void {
    if (this.over || this.#keepAlive === undefined) return;
    if (this.#pinged) {
      // Nobody is there to say goodbye to.
      this.end(NO_ERROR);
      this.connection.destroy();
      return;
    }
    this.#pinged = true;
    this.writer.ping();
    this.#pinger.arm(this.#keepAlive.timeoutMs);
  }

  protected override onPong(): void {
    if (this.#keepAlive === undefined || !this.#pinged) return;
    this.#pinged = false;
    this.#pinger.arm(this.#keepAlive.intervalMs);
  }

  protected override isIdle(id: number): boolean {
    return (id & 1) === 0 || id >= this.#nextId;
  }

  protected override onSettings(): void {
    this.#settled = true;
    this.owner.roomFor(this);
  }

  protected override onBlock(id: number, block: Payload, { endStream }: BlockFlags): void {
    const stream = this.streams.get(id) as Http2ClientStream | undefined;
    if (stream === undefined) {
      if (this.isIdle(id)) throw new ConnectionFault(PROTOCOL_ERROR, "HEADERS on an idle stream");
      this.decodeLate(id, block);
      return;
    }
    if (stream.sawBytes) {
      this.onTrailers(stream, block, endStream);
      return;
    }
    const { heads } = this.owner;
    const head = heads.take();
    this.builder.startHead(head, "response");
    const verdict = this.decode(block, endStream);
    const sound = verdict === "ok" && !(endStream && head.status < 200) && stream.accepts(head, endStream);
    if (!sound) {
      heads.give(head);
      this.resetStream(stream, PROTOCOL_ERROR, "violation");
      return;
    }
    if (!stream.onHead(head, endStream)) heads.give(head);
    if (endStream && !stream.closed) this.remoteEnd(stream, "");
  }

  protected override remoteEnd(stream: Http2Stream, trailers: string): void {
    super.remoteEnd(stream, trailers);
    // The response is whole: what the request still had to say is not wanted.
    if (!stream.closed) this.abandon(stream, CANCEL);
  }

  protected override onStreamClosed(): void {
    if (this.over) return;
    if (this.streams.size > 0) {
      this.owner.roomFor(this);
      return;
    }
    this.idleSince = this.connection.io.wheel.now();
    if (this.draining) this.#close();
    else this.owner.roomFor(this);
  }

  protected override onGoaway(lastStream: number): void {
    for (const stream of this.streams.all()) {
      if (stream.id > lastStream) this.forget(stream, "refused");
    }
    this.retire();
  }

  /** No new streams; the connection ends with its last one. */
  retire(): void {
    if (this.over) return;
    const before = this.draining;
    this.draining = true;
    if (!before) this.owner.drained(this);
    if (this.streams.size === 0) this.#close();
  }

  #close(): void {
    if (this.over) return;
    this.sendGoaway(NO_ERROR, "", 0);
    this.end(NO_ERROR);
    this.connection.closeGracefully();
  }

  override onEnd(): void {
    this.end(NO_ERROR);
    this.connection.destroy();
  }

  protected override onGone(): void {
    this.#pinger.cancel();
    this.owner.gone(this);
  }
}
