import type { FrameWriter } from "./frame-writer.ts";
import { ConnectionFault, FLOW_CONTROL_ERROR, WINDOW_UPDATE } from "./frames.ts";
import type { Http2Stream } from "./stream.ts";

/** Bytes a peer may have under way on one stream, and on all of a connection: what one of them can make us hold. */
export const STREAM_WINDOW_BYTES = 128 * 1024;
export const CONNECTION_WINDOW_BYTES = 2 * 1024 * 1024;

/**
 * What the peer of one connection may still send. It may send more only when what it sent was passed on: so much memory, and no more,
 * can it make us use. Each half window is given back in one frame.
 * @see RFC 9113 §5.2
 */
export class Receiver {
  readonly #writer: FrameWriter;
  #left = CONNECTION_WINDOW_BYTES;
  /** What we owe the peer. */
  #credit = 0;
  #stopped = false;

  constructor(writer: FrameWriter) {
    this.#writer = writer;
  }

  /**
   * Counts a DATA frame, padding and all.
   * @throws ConnectionFault FLOW_CONTROL_ERROR
   */
  take(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) throw new ConnectionFault(FLOW_CONTROL_ERROR, "connection window exceeded");
  }

  /** Bytes of a stream were passed on. */
  giveBack(stream: Http2Stream, bytes: number): void {
    this.giveBackConnection(bytes);
    if (stream.closed || stream.remoteDone) return;
    stream.credit += bytes;
    if (stream.credit * 2 < STREAM_WINDOW_BYTES || this.#stopped) return;
    this.#writer.number(WINDOW_UPDATE, stream.id, stream.credit);
    stream.receiveLeft += stream.credit;
    stream.credit = 0;
  }

  /** Bytes were dropped that no open stream is owed for. */
  giveBackConnection(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit * 2 < CONNECTION_WINDOW_BYTES || this.#stopped) return;
    this.#writer.number(WINDOW_UPDATE, 0, this.#credit);
    this.#left += this.#credit;
    this.#credit = 0;
  }

  /** The connection is over: nothing more is written. */
  stop(): void {
    this.#stopped = true;
  }
}
