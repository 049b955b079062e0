import {
  ConnectionFault,
  DATA,
  FRAME_BYTES,
  FRAME_HEAD_BYTES,
  FRAME_SIZE_ERROR,
  PADDED,
  PROTOCOL_ERROR,
  readUint32,
} from "./frames.ts";

/** Receives frames. Bytes are borrowed: valid until the call returns. */
export interface FrameSink {
  /** A DATA frame begins; `length` is its whole payload, which counts against the windows. */
  onDataStart(id: number, flags: number, length: number): void;
  /** Body bytes of the present DATA frame, in any number of spans. */
  onDataSpan(bytes: Buffer, start: number, end: number): void;
  onDataEnd(): void;
  /** Any other frame, whole. */
  onFrame(type: number, flags: number, id: number, payload: Payload): void;
  /** Nothing more is wanted: the connection is over. */
  readonly over: boolean;
}

export interface Payload {
  bytes: Buffer;
  start: number;
  end: number;
}

/**
 * Cuts what arrives into frames. DATA is handed on as it comes, never gathered; other frames are kept until they are whole, which
 * {@link FRAME_BYTES} bounds.
 * @see RFC 9113 §4.1
 */
export class FrameReader {
  readonly #sink: FrameSink;
  #partial: Buffer | undefined = undefined;
  #partialLength = 0;
  /** Payload of the present DATA frame that is still to come, without its padding; -1: no DATA frame. */
  #dataLeft = -1;
  #padLeft = 0;
  #padUnknown = false;
  readonly #payload: Payload = { bytes: Buffer.alloc(0), start: 0, end: 0 };

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws ConnectionFault when framing itself is broken, and what the sink throws. */
  read(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end && !this.#sink.over) {
      if (this.#dataLeft >= 0) at = this.#readData(bytes, at, end);
      else if (this.#partial !== undefined) at = this.#complete(this.#partial, bytes, at, end);
      else at = this.#readFrame(bytes, at, end);
    }
  }

  #readFrame(bytes: Buffer, at: number, end: number): number {
    if (end - at < FRAME_HEAD_BYTES) return this.#keep(bytes, at, end);
    const length = lengthOf(bytes, at);
    if (length > FRAME_BYTES) throw new ConnectionFault(FRAME_SIZE_ERROR, "frame too large");
    const body = at + FRAME_HEAD_BYTES;
    if (bytes[at + 3] === DATA) {
      this.#startData(bytes, at, length);
      return body;
    }
    if (end - body < length) return this.#keep(bytes, at, end);
    this.#emit(bytes, at, length);
    return body + length;
  }

  #emit(bytes: Buffer, at: number, length: number): void {
    const payload = this.#payload;
    payload.bytes = bytes;
    payload.start = at + FRAME_HEAD_BYTES;
    payload.end = payload.start + length;
    this.#sink.onFrame(bytes[at + 3] as number, bytes[at + 4] as number, streamOf(bytes, at), payload);
  }

  /** Keeps the beginning of a frame. */
  #keep(bytes: Buffer, at: number, end: number): number {
    const known = end - at >= FRAME_HEAD_BYTES;
    this.#partial = Buffer.allocUnsafe(FRAME_HEAD_BYTES + (known ? lengthOf(bytes, at) : 0));
    this.#partialLength = bytes.copy(this.#partial, 0, at, end);
    return end;
  }

  #complete(partial: Buffer, bytes: Buffer, at: number, end: number): number {
    const take = Math.min(partial.length - this.#partialLength, end - at);
    bytes.copy(partial, this.#partialLength, at, at + take);
    this.#partialLength += take;
    if (this.#partialLength < partial.length) return at + take;
    const length = lengthOf(partial, 0);
    if (length > FRAME_BYTES) throw new ConnectionFault(FRAME_SIZE_ERROR, "frame too large");
    if (partial[3] === DATA) {
      this.#partial = undefined;
      this.#startData(partial, 0, length);
    } else if (partial.length === FRAME_HEAD_BYTES + length) {
      this.#partial = undefined;
      this.#emit(partial, 0, length);
    } else {
      this.#partial = Buffer.allocUnsafe(FRAME_HEAD_BYTES + length);
      partial.copy(this.#partial);
    }
    return at + take;
  }

  #startData(bytes: Buffer, at: number, length: number): void {
    const flags = bytes[at + 4] as number;
    this.#padUnknown = (flags & PADDED) !== 0;
    if (this.#padUnknown && length === 0) throw new ConnectionFault(FRAME_SIZE_ERROR, "no room for padding");
    this.#padLeft = 0;
    this.#dataLeft = length;
    this.#sink.onDataStart(streamOf(bytes, at), flags, length);
    if (length === 0) this.#endData();
  }

  #readData(bytes: Buffer, from: number, end: number): number {
    let at = from;
    if (this.#padUnknown) {
      this.#padUnknown = false;
      this.#padLeft = bytes[at++] as number;
      this.#dataLeft -= 1 + this.#padLeft;
      if (this.#dataLeft < 0) throw new ConnectionFault(PROTOCOL_ERROR, "padding longer than its frame");
    }
    const take = Math.min(this.#dataLeft, end - at);
    if (take > 0) {
      this.#dataLeft -= take;
      at += take;
      this.#sink.onDataSpan(bytes, at - take, at);
    }
    if (this.#dataLeft > 0) return at;
    const skip = Math.min(this.#padLeft, end - at);
    this.#padLeft -= skip;
    if (this.#padLeft === 0) this.#endData();
    return at + skip;
  }

  #endData(): void {
    this.#dataLeft = -1;
    this.#sink.onDataEnd();
  }
}

function lengthOf(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
}

function streamOf(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at + 5) & 0x7fff_ffff;
}
