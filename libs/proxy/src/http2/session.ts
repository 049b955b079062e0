import type { Connection, ConnectionHandler } from "../io/connection.ts";
import { FrameReader, type FrameSink, type Payload } from "./frame-reader.ts";
import { FrameWriter, type HeaderBlock } from "./frame-writer.ts";
import {
  ACK,
  COMPRESSION_ERROR,
  CONTINUATION,
  ConnectionFault,
  DEFAULT_WINDOW_BYTES,
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
  PING,
  PRIORITY,
  PROTOCOL_ERROR,
  PUSH_PROMISE,
  RST_STREAM,
  readUint32,
  SETTINGS,
  STREAM_CLOSED,
  WINDOW_UPDATE,
} from "./frames.ts";
import { type BlockFlags, HeaderBlocks } from "./header-blocks.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { EncodedTexts, writeLines } from "./hpack-encoder.ts";
import { MessageBuilder, type Verdict } from "./message-builder.ts";
import { PeerBudget } from "./peer-budget.ts";
import { PeerSettings } from "./peer-settings.ts";
import { CONNECTION_WINDOW_BYTES, Receiver } from "./receiver.ts";
import { RecentStreams } from "./recent-streams.ts";
import { Sender } from "./sender.ts";
import type { Http2Stream, StreamEnd } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

/** Frames that may wait for a peer that does not read (Envoy's max_outbound_frames). */
const MAX_BACKLOG_FRAMES = 10_000;

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
  readonly texts = new EncodedTexts();
  protected readonly streams = new StreamTable<Http2Stream>();
  protected readonly builder = new MessageBuilder();
  protected readonly recent = new RecentStreams();
  /** The session is failed or closed: nothing more is read or written. */
  over = false;
  /** Reads so far. */
  reads = 0;
  /** Highest stream the peer has opened (server) or we have (client). */
  protected lastStream = 0;
  /** What streams may send, and what of them waits. */
  readonly #sender: Sender;
  protected readonly peer = new PeerSettings();
  readonly #receiver: Receiver;
  readonly #reader = new FrameReader(this);
  readonly #decoder: HpackDecoder;
  readonly #blocks: HeaderBlocks;
  readonly #budget: PeerBudget;
  #settingsSeen = false;
  /** Of the DATA frame that is being read. */
  #dataStream: Http2Stream | undefined = undefined;
  #dataFlags = 0;
  #dataLength = 0;
  #dataPassed = 0;

  constructor(connection: Connection) {
    this.connection = connection;
    this.writer = new FrameWriter(connection);
    this.#receiver = new Receiver(this.writer);
    this.#decoder = new HpackDecoder(connection.io.scratch);
    this.#blocks = new HeaderBlocks(
      connection.io.wheel.timer(() => this.fail(ENHANCE_YOUR_CALM, "header block too slow")),
      (id, block, flags) => this.onBlock(id, block, flags),
    );
    this.#sender = new Sender(connection, this.writer, (stream, trailers) => this.sendEnd(stream, trailers));
    this.#budget = new PeerBudget(connection.io.wheel);
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
  /** The peer answered a PING. */
  protected onPong(): void {}
  /** Whether the stream was never opened. */
  protected abstract isIdle(id: number): boolean;

  // ------------------------------------------------------------------ reading

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.over) return;
    this.reads++;
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
    this.#receiver.take(length);
    this.#dataFlags = flags;
    this.#dataLength = length;
    this.#dataPassed = 0;
    if (length === 0 && (flags & END_STREAM) === 0) this.#budget.idleFrame();
    else this.#budget.worked();
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
    else this.#receiver.giveBack(stream, length);
  }

  onDataEnd(): void {
    const stream = this.#dataStream;
    this.#dataStream = undefined;
    const rest = this.#dataLength - this.#dataPassed;
    if (stream === undefined || stream.closed) {
      this.#receiver.giveBackConnection(rest);
      return;
    }
    if (rest > 0) this.#receiver.giveBack(stream, rest);
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

  /** DATA for a stream that is not open. */
  #onLateFrame(id: number): void {
    if (this.recent.endedByPeer(id)) throw new ConnectionFault(STREAM_CLOSED, "frame on a closed stream");
    this.#onAbsent(id);
  }

  /** A frame for a stream that is not open: it was, or the peer must not send it. */
  #onAbsent(id: number): void {
    if (this.isIdle(id)) throw new ConnectionFault(PROTOCOL_ERROR, "frame on an idle stream");
    this.#budget.idleFrame();
  }

  /** Counts a stream that came to nothing. @throws ConnectionFault when there are too many. */
  protected spendReset(): void {
    this.#budget.reset();
  }

  #expectNoBlock(): void {
    if (this.#blocks.open) throw new ConnectionFault(PROTOCOL_ERROR, "header block interrupted");
  }

  onFrame(type: number, flags: number, id: number, payload: Payload): void {
    if (type === CONTINUATION) {
      this.#blocks.onContinuation(flags, id, payload);
      return;
    }
    this.#expectNoBlock();
    switch (type) {
      case HEADERS:
        this.#budget.worked();
        this.#blocks.onHeaders(flags, id, payload);
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
        this.#budget.idleFrame();
    }
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
    this.#budget.idleFrame();
  }

  /** Trailers of an open stream. */
  protected onTrailers(stream: Http2Stream, block: Payload, endStream: boolean): void {
    this.builder.startTrailers();
    const verdict = this.decode(block, true);
    if (stream.remoteDone) this.resetStream(stream, STREAM_CLOSED, "violation");
    else if (verdict !== "ok" || !endStream) this.resetStream(stream, PROTOCOL_ERROR, "violation");
    else this.remoteEnd(stream, this.builder.trailers);
  }

  #onPriority(id: number, { bytes, start, end }: Payload): void {
    if (id === 0) throw new ConnectionFault(PROTOCOL_ERROR, "PRIORITY on stream 0");
    this.#budget.idleFrame();
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
      this.#onAbsent(id);
      return;
    }
    const code = readUint32(bytes, start);
    this.#remove(stream, "ended");
    stream.onReset(code, "peer");
    this.onStreamClosed(stream);
    this.spendReset();
    if (stream.openedIn === this.reads) this.#budget.unmeant();
  }

  #onSettings(flags: number, id: number, { bytes, start, end }: Payload): void {
    if (id !== 0) throw new ConnectionFault(PROTOCOL_ERROR, "SETTINGS on a stream");
    if ((flags & ACK) !== 0) {
      if (end === start) return;
      throw new ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS ACK with payload");
    }
    if (this.#settingsSeen) this.#budget.idleFrame();
    this.#settingsSeen = true;
    const change = this.peer.read(bytes, start, end);
    if (change !== 0) {
      for (const stream of this.streams.all()) {
        stream.sendWindow += change;
        if (stream.sendWindow > MAX_WINDOW_BYTES) throw new ConnectionFault(FLOW_CONTROL_ERROR, "window too large");
      }
    }
    this.writer.frame(0, SETTINGS, ACK, 0);
    this.onSettings();
    this.#sender.pump();
  }

  #onPing(flags: number, id: number, { bytes, start, end }: Payload): void {
    if (id !== 0) throw new ConnectionFault(PROTOCOL_ERROR, "PING on a stream");
    if (end - start !== 8) throw new ConnectionFault(FRAME_SIZE_ERROR, "PING has eight bytes");
    if ((flags & ACK) !== 0) {
      this.onPong();
      return;
    }
    this.#budget.idleFrame();
    this.writer.pong(bytes, start);
  }

  #onWindowUpdate(id: number, { bytes, start, end }: Payload): void {
    if (end - start !== 4) throw new ConnectionFault(FRAME_SIZE_ERROR, "WINDOW_UPDATE has four bytes");
    const increment = readUint32(bytes, start) & MAX_WINDOW_BYTES;
    if (id === 0) {
      this.#budget.idleFrame();
      if (increment === 0) throw new ConnectionFault(PROTOCOL_ERROR, "increment of 0");
      this.#sender.window += increment;
      if (this.#sender.window > MAX_WINDOW_BYTES) throw new ConnectionFault(FLOW_CONTROL_ERROR, "window too large");
      this.#sender.pump();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      this.#onAbsent(id);
      return;
    }
    this.#budget.idleFrame();
    stream.sendWindow += increment;
    const excess = stream.sendWindow > MAX_WINDOW_BYTES;
    if (increment === 0 || excess) this.resetStream(stream, excess ? FLOW_CONTROL_ERROR : PROTOCOL_ERROR, "violation");
    else if (stream.queue !== undefined) this.#sender.pump();
  }

  /** Bytes of a stream were passed on: the peer may send as many more. */
  giveBack(stream: Http2Stream, bytes: number): void {
    this.#receiver.giveBack(stream, bytes);
  }

  // ------------------------------------------------------------------ sending

  /** Our settings and the connection's window; the first frames we send. */
  protected sendSettings(settings: readonly (readonly [name: number, value: number])[]): void {
    this.writer.settings(settings);
    this.writer.number(WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
  }

  get maxFrame(): number {
    return Math.min(this.peer.maxFrame, FRAME_BYTES);
  }

  sendData(stream: Http2Stream, bytes: Buffer, start: number, end: number): void {
    if (this.over || stream.closed || stream.localDone) return;
    if (this.#sender.send(stream, bytes, start, end)) this.#budget.worked();
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

  onDrain(): void {
    if (!this.over) this.#sender.pump();
  }

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
    this.#sender.forget(stream);
    this.recent.add(stream.id, how);
    const { held } = stream;
    stream.held = 0;
    if (held > 0) this.#receiver.giveBackConnection(held);
  }

  /** Ends the connection because of a violation: GOAWAY, and nothing more is read. */
  fail(code: number, detail: string): void {
    if (this.over) return;
    this.sendGoaway(code, detail);
    this.end(code);
    this.connection.closeGracefully();
  }

  protected sendGoaway(code: number, detail: string, last = this.lastStream): void {
    this.writer.goaway(last, code, detail);
  }

  /** Nothing more is read or written; all streams hear that their connection is gone. */
  protected end(code: number): void {
    if (this.over) return;
    this.over = true;
    this.#receiver.stop();
    this.#blocks.cancel();
    this.writer.flush();
    const streams = this.streams.all();
    this.streams.clear();
    this.#sender.clear();
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
