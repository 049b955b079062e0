import type { Connection, ConnectionHandler } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { Allowance } from "./allowance.ts";
import { FrameReader, type FrameSink, type Payload } from "./frame-reader.ts";
import { DATA_FRAME_BYTES, FrameWriter, type HeaderBlock } from "./frame-writer.ts";
import {
  ACK,
  COMPRESSION_ERROR,
  CONTINUATION,
  ConnectionFault,
  DEFAULT_WINDOW_BYTES,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  FRAME_BYTES,
  FRAME_SIZE_ERROR,
  GOAWAY,
  HEADERS,
  INTERNAL_ERROR,
  MAX_WINDOW_BYTES,
  NO_ERROR,
  PADDED,
  PING,
  PRIORITY,
  PRIORITY_FLAG,
  PROTOCOL_ERROR,
  PUSH_PROMISE,
  RST_STREAM,
  readUint32,
  SETTING_ENABLE_PUSH,
  SETTING_INITIAL_WINDOW_SIZE,
  SETTING_MAX_CONCURRENT_STREAMS,
  SETTING_MAX_FRAME_SIZE,
  SETTINGS,
  STREAM_CLOSED,
  WINDOW_UPDATE,
  writeUint32,
} from "./frames.ts";
import { HpackDecoder, MAX_BLOCK_BYTES } from "./hpack-decoder.ts";
import { writeLines } from "./hpack-encoder.ts";
import { MessageBuilder, type Verdict } from "./message-builder.ts";
import { RecentStreams } from "./recent-streams.ts";
import type { Http2Stream, StreamEnd } from "./stream.ts";

/** Bytes a peer may have under way on one stream, and on all of a connection: what one of them can make us hold. */
export const STREAM_WINDOW_BYTES = 128 * 1024;
export const CONNECTION_WINDOW_BYTES = 2 * 1024 * 1024;
/** Frames that may wait for a peer that does not read (Envoy's max_outbound_frames). */
const MAX_BACKLOG_FRAMES = 10_000;
const MAX_CONTINUATIONS = 32;
/** How long a header block may take from its first frame to its last. */
const BLOCK_TIMEOUT_MS = 60_000;
/** Idle frames: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown types. Work earns more of them. */
const IDLE_FRAMES = 1000;
const IDLE_FRAMES_PER_SECOND = 100;
const EARNED_PER_FRAME = 10;
/** Streams that were reset or refused before they had done anything. */
const RESETS = 1000;
const RESETS_PER_SECOND = 200;

/** A header block whose END_HEADERS has not come. */
interface OpenBlock {
  readonly id: number;
  readonly endStream: boolean;
  readonly selfDependent: boolean;
  bytes: Buffer;
  frames: number;
}

/**
 * One HTTP/2 connection, either side: frames, settings, windows, and what a peer may not do. Streams get bytes and ends; who opens
 * them, and what their heads mean, is the side's own.
 * Memory is bounded: window credit is given back only for bytes that were passed on, what we send waits in the streams (whose
 * sources are paused), header blocks and idle frames are limited.
 * @see RFC 9113
 */
export abstract class Http2Session implements ConnectionHandler, FrameSink {
  readonly connection: Connection;
  protected readonly writer: FrameWriter;
  protected readonly streams = new Map<number, Http2Stream>();
  protected readonly builder = new MessageBuilder();
  protected readonly recent = new RecentStreams();
  /** The session is failed or closed: nothing more is read or written. */
  over = false;
  /** Highest stream the peer has opened (server) or we have (client). */
  protected lastStream = 0;
  /** Windows the peer gives us. */
  #sendWindow = DEFAULT_WINDOW_BYTES;
  protected initialSendWindow = DEFAULT_WINDOW_BYTES;
  protected peerMaxStreams = Number.POSITIVE_INFINITY;
  #peerMaxFrame = FRAME_BYTES;
  /** What the peer may still send on the connection, and what we owe it. */
  #receiveLeft = CONNECTION_WINDOW_BYTES;
  #credit = 0;
  readonly #reader = new FrameReader(this);
  readonly #decoder: HpackDecoder;
  readonly #blocked = new Set<Http2Stream>();
  #block: OpenBlock | undefined = undefined;
  #blockTimer: WheelTimer | undefined = undefined;
  readonly #idleFrames: Allowance;
  readonly #resets: Allowance;
  #settingsSeen = false;
  /** Of the DATA frame that is being read. */
  #dataStream: Http2Stream | undefined = undefined;
  #dataFlags = 0;
  #dataLength = 0;
  #dataPassed = 0;

  constructor(connection: Connection) {
    this.connection = connection;
    this.writer = new FrameWriter(connection);
    this.#decoder = new HpackDecoder(connection.io.scratch);
    const now = connection.io.wheel.now();
    this.#idleFrames = new Allowance(IDLE_FRAMES, IDLE_FRAMES_PER_SECOND, now);
    this.#resets = new Allowance(RESETS, RESETS_PER_SECOND, now);
    connection.handler = this;
  }

  /** A header block of a stream that is not open, or the head or trailers of one that is. Must decode it. */
  protected abstract onBlock(id: number, block: Payload, flags: BlockFlags): void;
  protected abstract onGoaway(lastStream: number, code: number): void;
  /** A stream was taken out. */
  protected abstract onStreamClosed(stream: Http2Stream): void;
  /** The connection is gone; streams have been told. */
  protected abstract onGone(error: string | undefined): void;
  /** The peer's settings changed. */
  protected onSettings(): void {}
  /** Whether the stream was never opened. */
  protected abstract isIdle(id: number): boolean;

  // ------------------------------------------------------------------ reading

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.over) return;
    try {
      this.#reader.read(bytes, start, end);
      if (this.writer.backlogFrames > MAX_BACKLOG_FRAMES) this.overwhelmed();
    } catch (error) {
      if (!(error instanceof ConnectionFault)) throw error;
      this.fail(error.code, error.message);
    }
  }

  /** The peer sends much and reads nothing: what waits for it would only grow. */
  protected overwhelmed(): void {
    this.end(ENHANCE_YOUR_CALM);
    this.connection.destroy();
  }

  onDataStart(id: number, flags: number, length: number): void {
    this.#expectNoBlock();
    if (id === 0) throw new ConnectionFault(PROTOCOL_ERROR, "DATA on stream 0");
    this.#receiveLeft -= length;
    if (this.#receiveLeft < 0) throw new ConnectionFault(FLOW_CONTROL_ERROR, "connection window exceeded");
    this.#dataFlags = flags;
    this.#dataLength = length;
    this.#dataPassed = 0;
    if (length === 0 && (flags & END_STREAM) === 0) this.#idleFrame();
    else this.#idleFrames.earn(EARNED_PER_FRAME);
    const stream = this.streams.get(id);
    this.#dataStream = undefined;
    if (stream === undefined) {
      this.#onLateFrame(id);
      return;
    }
    stream.receiveLeft -= length;
    if (stream.remoteDone) this.resetStream(stream, STREAM_CLOSED, "violation");
    else if (stream.receiveLeft < 0) this.resetStream(stream, FLOW_CONTROL_ERROR, "violation");
    else this.#dataStream = stream;
  }

  onDataSpan(bytes: Buffer, start: number, end: number): void {
    const stream = this.#dataStream;
    if (stream === undefined || stream.closed) return;
    const length = end - start;
    if (stream.contentLeft >= 0) {
      stream.contentLeft -= length;
      if (stream.contentLeft < 0) {
        this.resetStream(stream, PROTOCOL_ERROR, "violation");
        return;
      }
    }
    this.#dataPassed += length;
    stream.onData(bytes, start, end);
    if (stream.throttled && !stream.closed) stream.held += length;
    else this.giveBack(stream, length);
  }

  onDataEnd(): void {
    const stream = this.#dataStream;
    this.#dataStream = undefined;
    const rest = this.#dataLength - this.#dataPassed;
    if (stream === undefined || stream.closed) {
      this.#giveBackConnection(rest);
      return;
    }
    if (rest > 0) this.giveBack(stream, rest);
    if ((this.#dataFlags & END_STREAM) !== 0) this.remoteEnd(stream, "");
  }

  /** END_STREAM of the peer, with its trailers. */
  protected remoteEnd(stream: Http2Stream, trailers: string): void {
    if (stream.contentLeft > 0) {
      this.resetStream(stream, PROTOCOL_ERROR, "violation");
      return;
    }
    stream.remoteDone = true;
    stream.onEnd(trailers);
    if (stream.localDone) this.closeStream(stream);
  }

  /** DATA, RST_STREAM or WINDOW_UPDATE for a stream that is not open. */
  #onLateFrame(id: number): void {
    if (this.isIdle(id)) throw new ConnectionFault(PROTOCOL_ERROR, "frame on an idle stream");
    if (this.recent.endedByPeer(id)) throw new ConnectionFault(STREAM_CLOSED, "frame on a closed stream");
    this.#idleFrame();
  }

  #idleFrame(): void {
    if (!this.#idleFrames.spend(this.connection.io.wheel.now())) {
      throw new ConnectionFault(ENHANCE_YOUR_CALM, "too many idle frames");
    }
  }

  /** Counts a stream that came to nothing. @throws ConnectionFault when there are too many. */
  protected spendReset(): void {
    if (!this.#resets.spend(this.connection.io.wheel.now())) {
      throw new ConnectionFault(ENHANCE_YOUR_CALM, "too many resets");
    }
  }

  #expectNoBlock(): void {
    if (this.#block !== undefined) throw new ConnectionFault(PROTOCOL_ERROR, "header block interrupted");
  }

  onFrame(type: number, flags: number, id: number, payload: Payload): void {
    if (type === CONTINUATION) {
      this.#onContinuation(flags, id, payload);
      return;
    }
    this.#expectNoBlock();
    switch (type) {
      case HEADERS:
        this.#onHeaders(flags, id, payload);
        return;
      case PRIORITY:
        this.#onPriority(id, payload);
        return;
      case RST_STREAM:
        this.#onReset(id, payload);
        return;
      case SETTINGS:
        this.#onSettings(flags, id, payload);
        return;
      case PUSH_PROMISE:
        throw new ConnectionFault(PROTOCOL_ERROR, "PUSH_PROMISE is not allowed");
      case PING:
        this.#onPing(flags, id, payload);
        return;
      case GOAWAY:
        if (id !== 0) throw new ConnectionFault(PROTOCOL_ERROR, "GOAWAY on a stream");
        if (payload.end - payload.start < 8) throw new ConnectionFault(FRAME_SIZE_ERROR, "short GOAWAY");
        this.onGoaway(
          readUint32(payload.bytes, payload.start) & MAX_WINDOW_BYTES,
          readUint32(payload.bytes, payload.start + 4),
        );
        return;
      case WINDOW_UPDATE:
        this.#onWindowUpdate(id, payload);
        return;
      default:
        this.#idleFrame();
    }
  }

  // ------------------------------------------------------------------ header blocks

  #onHeaders(flags: number, id: number, payload: Payload): void {
    if (id === 0) throw new ConnectionFault(PROTOCOL_ERROR, "HEADERS on stream 0");
    this.#idleFrames.earn(EARNED_PER_FRAME);
    const { bytes } = payload;
    let { start, end } = payload;
    if ((flags & PADDED) !== 0) {
      if (end === start) throw new ConnectionFault(FRAME_SIZE_ERROR, "no room for padding");
      end -= bytes[start++] as number;
    }
    let selfDependent = false;
    if ((flags & PRIORITY_FLAG) !== 0) {
      if (end - start < 5) throw new ConnectionFault(FRAME_SIZE_ERROR, "no room for priority");
      selfDependent = (readUint32(bytes, start) & MAX_WINDOW_BYTES) === id;
      start += 5;
    }
    if (end < start) throw new ConnectionFault(PROTOCOL_ERROR, "padding longer than its frame");
    const endStream = (flags & END_STREAM) !== 0;
    if ((flags & END_HEADERS) !== 0) {
      payload.start = start;
      payload.end = end;
      this.onBlock(id, payload, { endStream, selfDependent });
      return;
    }
    this.#block = { id, endStream, selfDependent, bytes: Buffer.from(bytes.subarray(start, end)), frames: 0 };
    this.#blockTimer ??= this.connection.io.wheel.timer(() => this.fail(ENHANCE_YOUR_CALM, "header block too slow"));
    this.#blockTimer.arm(BLOCK_TIMEOUT_MS);
  }

  #onContinuation(flags: number, id: number, { bytes, start, end }: Payload): void {
    const block = this.#block;
    if (block === undefined || block.id !== id) throw new ConnectionFault(PROTOCOL_ERROR, "unexpected CONTINUATION");
    if (block.bytes.length + end - start > MAX_BLOCK_BYTES || ++block.frames > MAX_CONTINUATIONS) {
      throw new ConnectionFault(ENHANCE_YOUR_CALM, "header block too large");
    }
    block.bytes = Buffer.concat([block.bytes, bytes.subarray(start, end)]);
    if ((flags & END_HEADERS) === 0) return;
    this.#block = undefined;
    this.#blockTimer?.cancel();
    this.onBlock(id, { bytes: block.bytes, start: 0, end: block.bytes.length }, block);
  }

  /** Decodes into what the builder was started for. @throws ConnectionFault COMPRESSION_ERROR */
  protected decode({ bytes, start, end }: Payload, endStream: boolean): Verdict {
    if (!this.#decoder.decode(bytes, start, end, this.builder)) {
      throw new ConnectionFault(COMPRESSION_ERROR, "broken header block");
    }
    return this.builder.finish(endStream);
  }

  /** A block for a stream that is not there any more: only the compression state matters. */
  protected decodeLate(id: number, block: Payload): void {
    this.builder.startTrailers();
    this.decode(block, true);
    if (this.recent.endedByPeer(id)) throw new ConnectionFault(STREAM_CLOSED, "HEADERS on a closed stream");
    if (!this.recent.mayHaveBeen(id)) throw new ConnectionFault(PROTOCOL_ERROR, "stream numbers must grow");
    this.#idleFrame();
  }

  /** Trailers of an open stream. */
  protected onTrailers(stream: Http2Stream, block: Payload, endStream: boolean): void {
    this.builder.startTrailers();
    const verdict = this.decode(block, true);
    if (stream.remoteDone) this.resetStream(stream, STREAM_CLOSED, "violation");
    else if (verdict !== "ok" || !endStream) this.resetStream(stream, PROTOCOL_ERROR, "violation");
    else this.remoteEnd(stream, this.builder.trailers);
  }

  // ------------------------------------------------------------------ other frames

  #onPriority(id: number, { bytes, start, end }: Payload): void {
    if (id === 0) throw new ConnectionFault(PROTOCOL_ERROR, "PRIORITY on stream 0");
    this.#idleFrame();
    if (end - start !== 5) {
      this.writer.number(RST_STREAM, id, FRAME_SIZE_ERROR);
      return;
    }
    if ((readUint32(bytes, start) & MAX_WINDOW_BYTES) !== id) return;
    const stream = this.streams.get(id);
    if (stream === undefined) this.writer.number(RST_STREAM, id, PROTOCOL_ERROR);
    else this.resetStream(stream, PROTOCOL_ERROR, "violation");
  }

  #onReset(id: number, { bytes, start, end }: Payload): void {
    if (id === 0) throw new ConnectionFault(PROTOCOL_ERROR, "RST_STREAM on stream 0");
    if (end - start !== 4) throw new ConnectionFault(FRAME_SIZE_ERROR, "RST_STREAM has four bytes");
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) throw new ConnectionFault(PROTOCOL_ERROR, "RST_STREAM on an idle stream");
      this.#idleFrame();
      return;
    }
    const code = readUint32(bytes, start);
    this.#remove(stream, "ended");
    stream.onReset(code, "peer");
    this.onStreamClosed(stream);
    this.spendReset();
  }

  #onSettings(flags: number, id: number, { bytes, start, end }: Payload): void {
    if (id !== 0) throw new ConnectionFault(PROTOCOL_ERROR, "SETTINGS on a stream");
    if ((flags & ACK) !== 0) {
      if (end !== start) throw new ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS ACK with payload");
      return;
    }
    if ((end - start) % 6 !== 0) throw new ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS come in sixes");
    if (this.#settingsSeen) this.#idleFrame();
    this.#settingsSeen = true;
    for (let at = start; at < end; at += 6) {
      this.#setting(((bytes[at] as number) << 8) | (bytes[at + 1] as number), readUint32(bytes, at + 2));
    }
    this.writer.frame(0, SETTINGS, ACK, 0);
    this.onSettings();
    this.#pump();
  }

  #setting(name: number, value: number): void {
    switch (name) {
      case SETTING_ENABLE_PUSH:
        if (value > 1) throw new ConnectionFault(PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1");
        return;
      case SETTING_MAX_CONCURRENT_STREAMS:
        this.peerMaxStreams = value;
        return;
      case SETTING_INITIAL_WINDOW_SIZE: {
        if (value > MAX_WINDOW_BYTES) throw new ConnectionFault(FLOW_CONTROL_ERROR, "window too large");
        const change = value - this.initialSendWindow;
        this.initialSendWindow = value;
        for (const stream of this.streams.values()) {
          stream.sendWindow += change;
          if (stream.sendWindow > MAX_WINDOW_BYTES) throw new ConnectionFault(FLOW_CONTROL_ERROR, "window too large");
        }
        return;
      }
      case SETTING_MAX_FRAME_SIZE:
        if (value < FRAME_BYTES || value > 0xff_ffff) throw new ConnectionFault(PROTOCOL_ERROR, "bad MAX_FRAME_SIZE");
        this.#peerMaxFrame = value;
        return;
      default:
      // HEADER_TABLE_SIZE: our encoder uses no table. MAX_HEADER_LIST_SIZE is advice; others are to be ignored.
    }
  }

  #onPing(flags: number, id: number, { bytes, start, end }: Payload): void {
    if (id !== 0) throw new ConnectionFault(PROTOCOL_ERROR, "PING on a stream");
    if (end - start !== 8) throw new ConnectionFault(FRAME_SIZE_ERROR, "PING has eight bytes");
    if ((flags & ACK) !== 0) {
      this.onPong();
      return;
    }
    this.#idleFrame();
    const at = this.writer.frame(8, PING, ACK, 0);
    bytes.copy(this.writer.reserve(0), at, start, end);
  }

  protected onPong(): void {}

  #onWindowUpdate(id: number, { bytes, start, end }: Payload): void {
    if (end - start !== 4) throw new ConnectionFault(FRAME_SIZE_ERROR, "WINDOW_UPDATE has four bytes");
    const increment = readUint32(bytes, start) & MAX_WINDOW_BYTES;
    if (id === 0) {
      if (increment === 0) throw new ConnectionFault(PROTOCOL_ERROR, "increment of 0");
      this.#sendWindow += increment;
      if (this.#sendWindow > MAX_WINDOW_BYTES) throw new ConnectionFault(FLOW_CONTROL_ERROR, "window too large");
      this.#idleFrame();
      this.#pump();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.isIdle(id)) throw new ConnectionFault(PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream");
      this.#idleFrame();
      return;
    }
    this.#idleFrame();
    stream.sendWindow += increment;
    if (increment === 0) this.resetStream(stream, PROTOCOL_ERROR, "violation");
    else if (stream.sendWindow > MAX_WINDOW_BYTES) {
      this.resetStream(stream, FLOW_CONTROL_ERROR, "violation");
    } else if (stream.queue !== undefined) this.#pump();
  }

  // ------------------------------------------------------------------ windows for the peer

  /** Bytes of a stream were passed on: the peer may send as many more. */
  giveBack(stream: Http2Stream, bytes: number): void {
    this.#giveBackConnection(bytes);
    if (stream.closed || stream.remoteDone) return;
    stream.credit += bytes;
    if (stream.credit * 2 < STREAM_WINDOW_BYTES || this.over) return;
    this.writer.number(WINDOW_UPDATE, stream.id, stream.credit);
    stream.receiveLeft += stream.credit;
    stream.credit = 0;
  }

  #giveBackConnection(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit * 2 < CONNECTION_WINDOW_BYTES || this.over) return;
    this.writer.number(WINDOW_UPDATE, 0, this.#credit);
    this.#receiveLeft += this.#credit;
    this.#credit = 0;
  }

  // ------------------------------------------------------------------ sending

  /** Our settings and the connection's window; the first frames we send. */
  protected sendSettings(settings: readonly (readonly [name: number, value: number])[]): void {
    let at = this.writer.frame(settings.length * 6, SETTINGS, 0, 0);
    const buffer = this.writer.reserve(0);
    for (const [name, value] of settings) {
      buffer[at] = 0;
      buffer[at + 1] = name;
      writeUint32(buffer, at + 2, value);
      at += 6;
    }
    this.writer.number(WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
  }

  get maxFrame(): number {
    return Math.min(this.#peerMaxFrame, FRAME_BYTES);
  }

  sendData(stream: Http2Stream, bytes: Buffer, start: number, end: number): void {
    if (this.over || stream.closed || stream.localDone) return;
    if (stream.queue !== undefined) {
      stream.enqueue(bytes, start, end);
      return;
    }
    const at = this.#sendNow(stream, bytes, start, end);
    if (at === end) return;
    stream.enqueue(bytes, at, end);
    this.#blocked.add(stream);
  }

  /** Sends what windows and socket take; answers how far that is. */
  #sendNow(stream: Http2Stream, bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.connection.congested) {
      const length = Math.min(end - at, stream.sendWindow, this.#sendWindow, DATA_FRAME_BYTES);
      if (length <= 0) break;
      this.writer.data(stream.id, bytes, at, at + length, false);
      stream.sendWindow -= length;
      this.#sendWindow -= length;
      at += length;
    }
    if (at > start) this.#idleFrames.earn(EARNED_PER_FRAME);
    return at;
  }

  /** A header block that opens our side of a stream, or an interim one. */
  sendBlock(stream: Http2Stream, endStream: boolean, block: HeaderBlock): void {
    if (this.over || stream.closed || stream.localDone) return;
    this.writer.headers(stream.id, endStream, block);
    if (endStream) this.localEnd(stream);
  }

  /** Ends our side of the stream, behind what is queued. */
  sendEnd(stream: Http2Stream, trailers: string): void {
    if (this.over || stream.closed || stream.localDone) return;
    if (stream.queue !== undefined) {
      stream.pendingEnd = trailers;
      return;
    }
    if (trailers === "") this.writer.endStream(stream.id);
    else {
      this.writer.headers(stream.id, true, {
        bound: trailers.length * 3 + 16,
        maxFrame: this.maxFrame,
        encode: (buffer, at) => writeLines(buffer, at, trailers),
      });
    }
    this.localEnd(stream);
  }

  protected localEnd(stream: Http2Stream): void {
    stream.localDone = true;
    if (stream.remoteDone) this.closeStream(stream);
  }

  /** Sends what waits, a frame of each stream in turn. */
  #pump(): void {
    let moved = this.#blocked.size > 0;
    while (moved && !this.connection.congested && this.#sendWindow > 0 && !this.over) {
      moved = false;
      for (const stream of [...this.#blocked]) if (this.#sendOne(stream)) moved = true;
    }
  }

  #sendOne(stream: Http2Stream): boolean {
    const { queue } = stream;
    const chunk = queue?.[0];
    if (queue === undefined || chunk === undefined || stream.closed) {
      this.#blocked.delete(stream);
      return false;
    }
    const sent = this.#sendNow(stream, chunk, 0, Math.min(chunk.length, DATA_FRAME_BYTES));
    if (sent === 0) return false;
    stream.queuedBytes -= sent;
    if (sent === chunk.length) queue.shift();
    else queue[0] = chunk.subarray(sent);
    if (queue.length > 0) return true;
    this.#blocked.delete(stream);
    stream.queue = undefined;
    if (stream.pendingEnd !== undefined) this.sendEnd(stream, stream.pendingEnd);
    else stream.onDrained();
    return true;
  }

  onDrain(): void {
    if (!this.over) this.#pump();
  }

  // ------------------------------------------------------------------ ends

  /** Breaks a stream: the peer gets RST_STREAM, whoever is behind it is told. */
  resetStream(stream: Http2Stream, code: number, cause: StreamEnd): void {
    if (stream.closed) return;
    this.abandon(stream, code);
    stream.onReset(code, cause);
    if (cause === "violation") this.spendReset();
  }

  /** RST_STREAM without telling anybody behind the stream. */
  abandon(stream: Http2Stream, code: number): void {
    if (stream.closed) return;
    if (!this.over) this.writer.number(RST_STREAM, stream.id, code);
    this.#remove(stream, "reset");
    this.onStreamClosed(stream);
  }

  /** Takes a stream out that the peer knows nothing of; who is behind it is told unless it asked for that itself. */
  forget(stream: Http2Stream, cause: StreamEnd): void {
    if (stream.closed) return;
    this.#remove(stream, "reset");
    stream.onReset(NO_ERROR, cause);
    this.onStreamClosed(stream);
  }

  /** The stream came to its regular end. */
  protected closeStream(stream: Http2Stream): void {
    if (stream.closed) return;
    this.#remove(stream, "ended");
    this.onStreamClosed(stream);
  }

  #remove(stream: Http2Stream, how: "ended" | "reset"): void {
    stream.closed = true;
    stream.queue = undefined;
    stream.queuedBytes = 0;
    this.streams.delete(stream.id);
    this.#blocked.delete(stream);
    this.recent.add(stream.id, how);
    const { held } = stream;
    stream.held = 0;
    if (held > 0) this.#giveBackConnection(held);
  }

  /** Ends the connection because of a violation: GOAWAY, and nothing more is read. */
  fail(code: number, detail: string): void {
    if (this.over) return;
    this.sendGoaway(code, detail);
    this.end(code);
    this.connection.closeGracefully();
  }

  protected sendGoaway(code: number, detail: string, last = this.lastStream): void {
    const at = this.writer.frame(8 + detail.length, GOAWAY, 0, 0);
    const buffer = this.writer.reserve(0);
    writeUint32(buffer, at, last);
    writeUint32(buffer, at + 4, code);
    buffer.write(detail, at + 8, "latin1");
  }

  /** Nothing more is read or written; all streams hear that their connection is gone. */
  protected end(code: number): void {
    if (this.over) return;
    this.over = true;
    this.#blockTimer?.cancel();
    this.writer.flush();
    const streams = [...this.streams.values()];
    this.streams.clear();
    this.#blocked.clear();
    for (const stream of streams) {
      stream.closed = true;
      stream.queue = undefined;
      stream.onReset(code, "connection");
      this.onStreamClosed(stream);
    }
  }

  onClose(error: string | undefined): void {
    this.end(error === undefined ? NO_ERROR : INTERNAL_ERROR);
    this.onGone(error);
  }

  abstract onEnd(): void;
}

export interface BlockFlags {
  readonly endStream: boolean;
  readonly selfDependent: boolean;
}
