import type { Connection } from "../io/connection.ts";
import { DATA_FRAME_BYTES, type FrameWriter } from "./frame-writer.ts";
import { DEFAULT_WINDOW_BYTES } from "./frames.ts";
import type { Http2Stream } from "./stream.ts";

/**
 * Sends the bodies of one connection's streams as far as the peer's windows and the socket take them. What they do not take waits in
 * its stream, whose source is paused meanwhile, and goes out in turns.
 * @see RFC 9113 §5.2
 */
export class Sender {
  readonly #connection: Connection;
  readonly #writer: FrameWriter;
  readonly #end: (stream: Http2Stream, trailers: string) => void;
  readonly #blocked = new Set<Http2Stream>();
  /** Bytes the peer takes on the connection. */
  window = DEFAULT_WINDOW_BYTES;

  /** @param end sends the end that waited behind a stream's last byte. */
  constructor(connection: Connection, writer: FrameWriter, end: (stream: Http2Stream, trailers: string) => void) {
    this.#connection = connection;
    this.#writer = writer;
    this.#end = end;
  }

  /** Answers whether anything went out at once. */
  send(stream: Http2Stream, bytes: Buffer, start: number, end: number): boolean {
    if (stream.queue !== undefined) {
      stream.enqueue(bytes, start, end);
      return false;
    }
    const at = this.#sendNow(stream, bytes, start, end);
    if (at < end) {
      stream.enqueue(bytes, at, end);
      this.#blocked.add(stream);
    }
    return at > start;
  }

  /** Sends what windows and socket take; answers how far that is. */
  #sendNow(stream: Http2Stream, bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.#connection.congested) {
      const length = Math.min(end - at, stream.sendWindow, this.window, DATA_FRAME_BYTES);
      if (length <= 0) break;
      this.#writer.data(stream.id, bytes, at, at + length, false);
      stream.sendWindow -= length;
      this.window -= length;
      at += length;
    }
    return at;
  }

  /** Sends what waits, a frame of each stream in turn. */
  pump(): void {
    let moved = this.#blocked.size > 0;
    while (moved && !this.#connection.congested && this.window > 0) {
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
    if (stream.pendingEnd !== undefined) this.#end(stream, stream.pendingEnd);
    else stream.onDrained();
    return true;
  }

  forget(stream: Http2Stream): void {
    if (this.#blocked.size > 0) this.#blocked.delete(stream);
  }

  clear(): void {
    this.#blocked.clear();
  }
}
