import type { Connection } from "../io/connection.ts";
import { type Flushable, FRAME_BUFFER_BYTES, type IoLoop } from "../io/io-loop.ts";
import { Slab } from "../io/slab.ts";
import {
  ACK,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  FRAME_BYTES,
  FRAME_HEAD_BYTES,
  GOAWAY,
  HEADERS,
  PING,
  SETTINGS,
  writeUint32,
} from "./frames.ts";

/**
 * Gathers the frames that one connection sends during one event and sends them in one write. Small frames of many streams thus share
 * a write, whatever else the event writes to other connections.
 */
export class FrameWriter implements Flushable {
  readonly #connection: Connection;
  readonly #io: IoLoop;
  #slab: Slab | undefined = undefined;
  #buffer: Buffer | undefined = undefined;
  #length = 0;
  #scheduled = false;
  /** Where the flags of the last HEADERS or DATA frame are, while it is the last frame and not yet sent; -1: it is not. */
  #lastFlags = -1;
  #lastStream = 0;
  /** Bytes and frames other than DATA since the peer last kept up. */
  backlogFrames = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#io = connection.io;
  }

  /** Room for `bytes` more; answers the buffer, into which the caller writes at {@link position}. */
  reserve(bytes: number): Buffer {
    let buffer = this.#buffer;
    if (buffer !== undefined && this.#length + bytes > buffer.length) {
      this.#send();
      buffer = undefined;
    }
    if (buffer === undefined) {
      const large = bytes > FRAME_BUFFER_BYTES;
      this.#slab = (large ? undefined : this.#io.frameSlabs.take()) ?? new Slab(Math.max(bytes, FRAME_BUFFER_BYTES));
      buffer = this.#slab.bytes;
      this.#buffer = buffer;
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#io.flushLater(this);
    }
    return buffer;
  }

  get position(): number {
    return this.#length;
  }

  /** Writes a frame of `length` payload bytes up to its payload, for which there is room behind; answers where that starts. */
  frame(length: number, type: number, flags: number, id: number): number {
    const buffer = this.reserve(FRAME_HEAD_BYTES + length);
    const at = this.#length;
    buffer[at] = length >>> 16;
    buffer[at + 1] = length >>> 8;
    buffer[at + 2] = length;
    buffer[at + 3] = type;
    buffer[at + 4] = flags;
    writeUint32(buffer, at + 5, id);
    this.#length = at + FRAME_HEAD_BYTES + length;
    this.#lastFlags = -1;
    if (type !== DATA) this.backlogFrames++;
    return at + FRAME_HEAD_BYTES;
  }

  /** A frame whose payload is one 32-bit number: RST_STREAM, WINDOW_UPDATE. */
  number(type: number, id: number, value: number): void {
    const at = this.frame(4, type, 0, id);
    writeUint32(this.#buffer as Buffer, at, value);
  }

  data(id: number, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    const length = end - start;
    const at = this.frame(length, DATA, endStream ? END_STREAM : 0, id);
    const buffer = this.#buffer as Buffer;
    if (length < 64) for (let i = 0; i < length; i++) buffer[at + i] = bytes[start + i] as number;
    else buffer.set(bytes.subarray(start, end), at);
    this.#lastFlags = endStream ? -1 : at - 5;
    this.#lastStream = id;
  }

  settings(settings: readonly (readonly [name: number, value: number])[]): void {
    let at = this.frame(settings.length * 6, SETTINGS, 0, 0);
    const buffer = this.reserve(0);
    for (const [name, value] of settings) {
      buffer[at] = 0;
      buffer[at + 1] = name;
      writeUint32(buffer, at + 2, value);
      at += 6;
    }
  }

  /** @param detail ASCII, for whoever debugs the peer. */
  goaway(lastStream: number, code: number, detail: string): void {
    const at = this.frame(8 + detail.length, GOAWAY, 0, 0);
    const buffer = this.reserve(0);
    writeUint32(buffer, at, lastStream);
    writeUint32(buffer, at + 4, code);
    buffer.write(detail, at + 8, "latin1");
  }

  /** The answer to a PING with the eight bytes at `start`. */
  pong(bytes: Buffer, start: number): void {
    const at = this.frame(8, PING, ACK, 0);
    bytes.copy(this.reserve(0), at, start, start + 8);
  }

  /** A PING with eight zero bytes: one at a time is under way, so its answer needs no telling apart. */
  ping(): void {
    const at = this.frame(8, PING, 0, 0);
    this.reserve(0).fill(0, at, at + 8);
  }

  bytes(bytes: Uint8Array): void {
    const buffer = this.reserve(bytes.length);
    buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    this.#lastFlags = -1;
  }

  /**
   * A header block of at most `bound` bytes, encoded by `encode(buffer, at)`, which answers its end; in as many frames as
   * `maxFrame` asks for.
   */
  headers(id: number, endStream: boolean, block: HeaderBlock): void {
    const { bound, maxFrame } = block;
    const extra = Math.ceil(bound / maxFrame) * FRAME_HEAD_BYTES;
    const buffer = this.reserve(FRAME_HEAD_BYTES + bound + extra);
    const start = this.#length;
    const end = block.encode(buffer, start + FRAME_HEAD_BYTES);
    const length = end - start - FRAME_HEAD_BYTES;
    this.backlogFrames++;
    this.#lastStream = id;
    if (length <= maxFrame) {
      this.#head(buffer, start, length, HEADERS, END_HEADERS | (endStream ? END_STREAM : 0), id);
      this.#length = end;
    } else this.#split(buffer, start, end, id, endStream, maxFrame);
    this.#lastFlags = endStream ? -1 : start + 4;
  }

  #split(buffer: Buffer, start: number, end: number, id: number, endStream: boolean, maxFrame: number): void {
    const block = Buffer.from(buffer.subarray(start + FRAME_HEAD_BYTES, end));
    let at = start;
    for (let from = 0; from < block.length; from += maxFrame) {
      const length = Math.min(maxFrame, block.length - from);
      const last = from + length === block.length ? END_HEADERS : 0;
      const first = from === 0;
      this.#head(buffer, at, length, first ? HEADERS : CONTINUATION, last | (first && endStream ? END_STREAM : 0), id);
      buffer.set(block.subarray(from, from + length), at + FRAME_HEAD_BYTES);
      at += FRAME_HEAD_BYTES + length;
    }
    this.#length = at;
  }

  #head(buffer: Buffer, at: number, length: number, type: number, flags: number, id: number): void {
    buffer[at] = length >>> 16;
    buffer[at + 1] = length >>> 8;
    buffer[at + 2] = length;
    buffer[at + 3] = type;
    buffer[at + 4] = flags;
    writeUint32(buffer, at + 5, id);
  }

  /** Ends the stream with its last frame if that is still here to be changed, else with an empty DATA frame. */
  endStream(id: number): void {
    if (this.#lastFlags >= 0 && this.#lastStream === id && this.#buffer !== undefined) {
      this.#buffer[this.#lastFlags] = (this.#buffer[this.#lastFlags] as number) | END_STREAM;
      this.#lastFlags = -1;
    } else this.frame(0, DATA, END_STREAM, id);
  }

  flush(): void {
    this.#scheduled = false;
    this.#send();
  }

  #send(): void {
    const slab = this.#slab;
    if (slab === undefined) return;
    const length = this.#length;
    this.#slab = undefined;
    this.#buffer = undefined;
    this.#length = 0;
    this.#lastFlags = -1;
    if (length > 0) this.#connection.send(slab.bytes.subarray(0, length), slab);
    slab.release();
    if (!this.#connection.congested) this.backlogFrames = 0;
  }
}

/** @see FrameWriter.headers */
export interface HeaderBlock {
  readonly bound: number;
  readonly maxFrame: number;
  encode(buffer: Buffer, at: number): number;
}

/** Largest payload of a DATA frame we send, whatever more the peer would take: others get their turn. */
export const DATA_FRAME_BYTES = FRAME_BYTES;
