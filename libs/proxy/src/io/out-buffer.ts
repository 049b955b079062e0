import { isOver, requestOf, type StreamHandle, type WriteParts, type WriteRequest } from "./handles.ts";
import { Slab, SlabPool } from "./slab.ts";

/**
 * Capacity of the gather buffer; larger than one read so that head and body leave together, and no more than that, because a write that
 * does not finish keeps all of it.
 */
const CAPACITY = 96 * 1024;
/** Texts up to this length are written byte by byte; a call out of JavaScript takes as long as a dozen of them, whatever the length. */
const SHORT_TEXT = 12;
/** Where a segment may begin: places repeat, so that views of them do. */
const PLACE_BYTES = 2048;
/** Views of the buffer that are kept for every place. */
const VIEWS = 8;
/** Segments that may wait. */
const MOST_SEGMENTS = 16;
/** Gather buffers that are kept for the next slow reader. */
const KEPT = 4;

/** The part of a connection the gather buffer needs. */
export interface OutSink {
  /** So many bytes are complete and will be sent soon. Answers what they may be written to directly, while all about it is at hand. */
  gathered(bytes: number): StreamHandle | undefined;
  /** What became of a direct write; not called for those that were over at once. */
  written(failed: number, request: WriteRequest, bytes: Buffer, slab: Slab): void;
  /** Hands `bytes` to the transport. Afterwards they are free, unless `slab`, which they lie in, is pinned. */
  sendGathered(bytes: Buffer, slab: Slab): void;
}

/**
 * Gathers everything that goes to one connection within one event, so that head, body and pipelined responses leave in one
 * write. What is gathered for several connections waits side by side, each in a segment of its own, until somebody says
 * {@link flush} or there is no room. The memory is reused at once, unless a write did not finish: then another slab takes its place
 * until it has.
 */
export class OutBuffer {
  onFirstByteOutsideCallback: () => void = () => {};
  /** Serializers write into it directly at {@link length} after {@link reserve}. */
  buffer: Buffer;
  /** Where the next byte goes. */
  length = 0;
  readonly #pool = new SlabPool(CAPACITY, Number.POSITIVE_INFINITY, KEPT);
  #slab: Slab;
  readonly #views = new Array<Buffer | undefined>((CAPACITY / PLACE_BYTES) * VIEWS).fill(undefined);
  /** Who the open segment is for, and where it begins. */
  #sink: OutSink | undefined = undefined;
  #start = 0;
  /** Segments that are complete; `#sent` of them are on their way already. */
  #segments = 0;
  #sent = 0;
  readonly #sinks = new Array<OutSink | undefined>(MOST_SEGMENTS).fill(undefined);
  readonly #handles = new Array<StreamHandle | undefined>(MOST_SEGMENTS).fill(undefined);
  readonly #starts = new Int32Array(MOST_SEGMENTS);
  readonly #ends = new Int32Array(MOST_SEGMENTS);

  readonly #parts: WriteParts | undefined;

  /** @param parts what handles are written to with; undefined: there are none. */
  constructor(parts?: WriteParts) {
    this.#parts = parts;
    this.#slab = this.#fresh();
    this.buffer = this.#slab.bytes;
  }

  /** Nothing waits. */
  get empty(): boolean {
    return this.#segments === 0 && this.length === this.#start;
  }

  /** Makes room for `bytes` more of this sink; afterwards the caller may write at `length` and advance it. */
  reserve(sink: OutSink, bytes: number): void {
    if (this.#sink !== sink) {
      this.#close();
      this.#sink = sink;
      this.onFirstByteOutsideCallback();
    }
    if (this.length + bytes > this.buffer.length) {
      this.flush();
      this.#sink = sink;
      if (bytes > this.buffer.length) this.#use(new Slab(bytes));
    }
  }

  append(sink: OutSink, bytes: Uint8Array, start: number, end: number): void {
    if (end - start > CAPACITY) {
      for (let at = start; at < end; at += CAPACITY) this.append(sink, bytes, at, Math.min(at + CAPACITY, end));
      return;
    }
    this.reserve(sink, end - start);
    // Copying between buffers makes no view.
    if (bytes instanceof Buffer) bytes.copy(this.buffer, this.length, start, end);
    else this.buffer.set(bytes.subarray(start, end), this.length);
    this.length += end - start;
  }

  appendAscii(sink: OutSink, text: string): void {
    this.reserve(sink, text.length);
    this.put(text);
  }

  /** Writes latin1 text for which there is room. */
  put(text: string): void {
    const { length } = text;
    let at = this.length;
    if (length <= SHORT_TEXT) {
      const { buffer } = this;
      for (let i = 0; i < length; i++) buffer[at++] = text.charCodeAt(i);
      this.length = at;
    } else this.length = at + this.buffer.write(text, at, "latin1");
  }

  /** Ends the open segment; the next one begins at a place of its own. */
  #close(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    if (sink === undefined || this.length === this.#start) return;
    const at = this.#segments++;
    this.#sinks[at] = sink;
    this.#handles[at] = sink.gathered(this.length - this.#start);
    this.#starts[at] = this.#start;
    this.#ends[at] = this.length;
    const next = Math.ceil(this.length / PLACE_BYTES) * PLACE_BYTES;
    this.#start = next;
    this.length = next;
    if (this.#segments === MOST_SEGMENTS || next >= this.buffer.length) this.#sendAll();
  }

  /** Sends everything that waits, in the order in which it was written. */
  flush(): void {
    this.#close();
    if (this.#segments > 0) this.#sendAll();
  }

  #sendAll(): void {
    const parts = this.#parts;
    while (this.#sent < this.#segments) {
      const at = this.#sent++;
      const sink = this.#sinks[at];
      const handle = this.#handles[at];
      this.#sinks[at] = undefined;
      this.#handles[at] = undefined;
      if (sink === undefined) continue;
      const view = this.#view(this.#starts[at] as number, this.#ends[at] as number);
      // After a write that did not finish, another one for the same connection has to know of it.
      if (parts === undefined || handle === undefined || this.#slab.pinned) sink.sendGathered(view, this.#slab);
      else {
        const request = requestOf(parts);
        const failed = handle.writeBuffer(request, view);
        // The connection is not looked at: nothing of it is in the caches any more.
        if (failed === 0 && isOver(parts)) parts.spare = request;
        else sink.written(failed, request, view, this.#slab);
      }
    }
    this.#segments = 0;
    this.#sent = 0;
    this.#start = 0;
    this.length = 0;
    if (this.#slab.pinned || this.buffer.length > CAPACITY) this.#use(this.#fresh());
  }

  /** A part of the buffer. Places and lengths come again and again: a view that was made before is taken. */
  #view(start: number, end: number): Buffer {
    const at = (start / PLACE_BYTES) * VIEWS + ((end - start) % VIEWS);
    let view = this.#views[at];
    if (view === undefined || view.length !== end - start) {
      view = this.buffer.subarray(start, end);
      this.#views[at] = view;
    }
    return view;
  }

  #fresh(): Slab {
    return this.#pool.take() ?? new Slab(CAPACITY);
  }

  #use(slab: Slab): void {
    this.#slab.release();
    this.#slab = slab;
    this.buffer = slab.bytes;
    this.#views.fill(undefined);
  }

  /** Bytes for this sink that wait in the open segment. */
  heldFor(sink: OutSink): number {
    return this.#sink === sink ? this.length - this.#start : 0;
  }

  /** Moves the open segment to where it ends before `end` of `target`. */
  takeInto(target: Buffer, end: number): void {
    this.buffer.copy(target, end - (this.length - this.#start), this.#start, this.length);
    this.length = this.#start;
    this.#sink = undefined;
  }

  /** So many bytes of the open segment of this sink have been sent. */
  sentOfHeld(sink: OutSink, bytes: number): void {
    const held = this.heldFor(sink);
    if (bytes < held) this.buffer.copyWithin(this.#start, this.#start + bytes, this.length);
    this.length -= bytes;
    if (bytes === held) this.#sink = undefined;
  }

  /** Forgets what was gathered for a connection that is being destroyed. */
  discard(sink: OutSink): void {
    for (let i = this.#sent; i < this.#segments; i++) if (this.#sinks[i] === sink) this.#sinks[i] = undefined;
    if (this.#sink !== sink) return;
    this.length = this.#start;
    this.#sink = undefined;
  }

  /** Sends now what was gathered for this sink, if there is anything. */
  flushFor(sink: OutSink): void {
    if (this.#sink === sink || this.#waits(sink)) this.flush();
  }

  /** Sends what stands before the open segment, so that what is written past this buffer stays in order. */
  flushBefore(sink: OutSink): void {
    if (this.#waits(sink)) this.flush();
  }

  #waits(sink: OutSink): boolean {
    for (let i = this.#sent; i < this.#segments; i++) if (this.#sinks[i] === sink) return true;
    return false;
  }
}
