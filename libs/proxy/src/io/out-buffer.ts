import { Slab, SlabPool } from "./slab.ts";

/**
 * Capacity of the gather buffer; larger than one read so that head and body leave together, and no more than that, because a write that
 * does not finish keeps all of it.
 */
const CAPACITY = 96 * 1024;
const SHORT_TEXT = 64;
/** Views of the buffer that are kept. */
const VIEWS = 64;
/** Gather buffers that are kept for the next slow reader. */
const KEPT = 4;

/** The part of a connection the gather buffer needs. */
export interface OutSink {
  /** Hands `bytes` to the transport. Afterwards they are free, unless `slab`, which they lie in, is pinned. */
  sendGathered(bytes: Buffer, slab: Slab): void;
}

/**
 * Gathers everything that goes to one connection within one event, so that head, body and pipelined responses leave in one
 * write. Holds bytes of one sink at a time; appending for another flushes first. The memory is reused at once, unless the write did not
 * finish: then another slab takes its place until it has.
 */
export class OutBuffer {
  onFirstByteOutsideCallback: () => void = () => {};
  /** The bytes gathered so far are `buffer[0..length)`. Serializers write into it directly after {@link reserve}. */
  buffer: Buffer;
  length = 0;
  readonly #pool = new SlabPool(CAPACITY, Number.POSITIVE_INFINITY, KEPT);
  #slab: Slab;
  readonly #views = new Array<Buffer | undefined>(VIEWS).fill(undefined);
  #sink: OutSink | undefined = undefined;

  constructor() {
    this.#slab = this.#fresh();
    this.buffer = this.#slab.bytes;
  }

  /** Makes room for `bytes` more of this sink; afterwards the caller may write at `length` and advance it. */
  reserve(sink: OutSink, bytes: number): void {
    if (this.#sink !== sink) {
      if (this.length > 0) this.flush();
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
    // A call out of JavaScript costs more than a few bytes do.
    if (length <= SHORT_TEXT) {
      const { buffer } = this;
      for (let i = 0; i < length; i++) buffer[at++] = text.charCodeAt(i);
      this.length = at;
    } else this.length = at + this.buffer.write(text, at, "latin1");
  }

  flush(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    if (sink === undefined || this.length === 0) return;
    const bytes = this.#view(this.length);
    this.length = 0;
    sink.sendGathered(bytes, this.#slab);
    if (this.#slab.pinned || this.buffer.length > CAPACITY) this.#use(this.#fresh());
  }

  /** The first `length` bytes. Lengths come again and again: a view that was made before is taken. */
  #view(length: number): Buffer {
    const at = length % VIEWS;
    let view = this.#views[at];
    if (view === undefined || view.length !== length) {
      view = this.buffer.subarray(0, length);
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

  /** Whether bytes for this sink wait here. */
  holds(sink: OutSink): boolean {
    return this.#sink === sink && this.length > 0;
  }

  /** Moves what was gathered to where it ends before `end` of `target`. Answers how many bytes it is. */
  takeInto(target: Buffer, end: number): number {
    const { length } = this;
    this.buffer.copy(target, end - length, 0, length);
    this.length = 0;
    this.#sink = undefined;
    return length;
  }

  /** Forgets what was gathered for a connection that is being destroyed. */
  discard(sink: OutSink): void {
    if (this.#sink !== sink) return;
    this.length = 0;
    this.#sink = undefined;
  }

  /** Sends now what was gathered for this sink. */
  flushFor(sink: OutSink): void {
    if (this.#sink === sink) this.flush();
  }
}
