import type { WheelTimer } from "../io/timer-wheel.ts";
import type { Payload } from "./frame-reader.ts";
import {
  ConnectionFault,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  FRAME_SIZE_ERROR,
  MAX_WINDOW_BYTES,
  PADDED,
  PRIORITY_FLAG,
  PROTOCOL_ERROR,
  readUint32,
} from "./frames.ts";
import { MAX_BLOCK_BYTES } from "./hpack-decoder.ts";

const MAX_CONTINUATIONS = 32;
/** How long a header block may take from its first frame to its last. */
const BLOCK_TIMEOUT_MS = 60_000;

/** What the HEADERS frame of a block said besides. */
export interface BlockFlags {
  readonly endStream: boolean;
  /** The stream says that it depends on itself, which is an error of the stream (RFC 7540 §5.3.1). */
  readonly selfDependent: boolean;
}

interface OpenBlock extends BlockFlags {
  readonly id: number;
  bytes: Buffer;
  frames: number;
}

/**
 * Puts header blocks together from HEADERS and CONTINUATION, bounded in bytes, frames and time.
 * @see RFC 9113 §6.2, §6.10
 */
export class HeaderBlocks {
  readonly #timer: WheelTimer;
  readonly #complete: (id: number, block: Payload, flags: BlockFlags) => void;
  #open: OpenBlock | undefined = undefined;

  /** @param timer fires when a block takes too long. */
  constructor(timer: WheelTimer, complete: (id: number, block: Payload, flags: BlockFlags) => void) {
    this.#timer = timer;
    this.#complete = complete;
  }

  /** A block has begun: nothing but its CONTINUATION may come. */
  get open(): boolean {
    return this.#open !== undefined;
  }

  cancel(): void {
    this.#timer.cancel();
  }

  /** @throws ConnectionFault */
  onHeaders(flags: number, id: number, payload: Payload): void {
    if (id === 0) throw new ConnectionFault(PROTOCOL_ERROR, "HEADERS on stream 0");
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
      this.#complete(id, payload, { endStream, selfDependent });
      return;
    }
    this.#open = { id, endStream, selfDependent, bytes: Buffer.from(bytes.subarray(start, end)), frames: 0 };
    this.#timer.arm(BLOCK_TIMEOUT_MS);
  }

  /** @throws ConnectionFault */
  onContinuation(flags: number, id: number, { bytes, start, end }: Payload): void {
    const block = this.#open;
    if (block === undefined || block.id !== id) throw new ConnectionFault(PROTOCOL_ERROR, "unexpected CONTINUATION");
    if (block.bytes.length + end - start > MAX_BLOCK_BYTES || ++block.frames > MAX_CONTINUATIONS) {
      throw new ConnectionFault(ENHANCE_YOUR_CALM, "header block too large");
    }
    block.bytes = Buffer.concat([block.bytes, bytes.subarray(start, end)]);
    if ((flags & END_HEADERS) === 0) return;
    this.#open = undefined;
    this.#timer.cancel();
    this.#complete(id, { bytes: block.bytes, start: 0, end: block.bytes.length }, block);
  }
}
