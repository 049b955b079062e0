/** Bytes given to a stream at a time. */
const CHUNK = 32 * 1024;
/** Bytes up to which pieces are copied into one rather than written one by one, and their number from which on they are as well. */
const SMALL = 4 * 1024;
const MANY = 4;

type Done = (error?: Error | null) => void;

/** What is used of an HTTP/2 stream. */
export interface PieceStream {
  write(chunk: Uint8Array, done?: Done): boolean;
  cork(): void;
  uncork(): void;
}

interface Message {
  readonly pieces: readonly Uint8Array[];
  readonly done: Done;
}

/**
 * Gives messages to the network in pieces of limited size, the next when the last has left: what a slow reader does not take stays
 * here, where it is counted and shared with other streams, rather than encrypted in the buffers of its connection, which a connection
 * keeps until it closes. The pieces of a message are not copied unless they are short or many.
 */
export class PacedWriter {
  readonly #stream: PieceStream;
  readonly #waiting: Message[] = [];
  /** Where to go on within the first message. */
  #piece = 0;
  #offset = 0;
  #idle: (() => void) | undefined;
  #closed = false;

  constructor(stream: PieceStream) {
    this.#stream = stream;
  }

  /** Messages that were not written to their end. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** @param done is called when all of it has left, or with an error when it will not. */
  write(pieces: readonly Uint8Array[], done: Done): void {
    if (this.#closed) done(new Error("the stream is closed"));
    else if (this.#waiting.push({ pieces, done }) === 1) this.#next();
  }

  /** Gives up the messages of which nothing was written. */
  giveUp(): void {
    for (const { done } of this.#waiting.splice(1)) done(new Error("the call has ended"));
  }

  /** Runs once nothing waits. */
  whenIdle(run: () => void): void {
    if (this.#waiting.length === 0) run();
    else this.#idle = run;
  }

  close(): void {
    this.#closed = true;
    this.#idle = undefined;
    for (const { done } of this.#waiting.splice(0)) done(new Error("the stream is closed"));
  }

  #next(): void {
    const message = this.#waiting[0];
    if (message === undefined || this.#closed) return;
    const chunk = this.#take(message.pieces);
    const written: Done = (error) => {
      if (this.#closed) return;
      if (!error && this.#piece < message.pieces.length) return this.#next();
      this.#waiting.shift();
      this.#piece = 0;
      this.#offset = 0;
      this.#next();
      // Whoever hears of it may write again.
      message.done(error);
      if (this.#waiting.length > 0) return;
      const idle = this.#idle;
      this.#idle = undefined;
      idle?.();
    };
    const last = chunk.length - 1;
    if (last > 0) this.#stream.cork();
    for (const [at, part] of chunk.entries()) {
      if (at === last) this.#stream.write(part, written);
      else this.#stream.write(part);
    }
    if (last > 0) this.#stream.uncork();
  }

  /** What to write next; at least one part. */
  #take(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
    const parts: Uint8Array[] = [];
    let size = 0;
    while (this.#piece < pieces.length && size < CHUNK) {
      const piece = pieces[this.#piece] ?? new Uint8Array();
      const part = piece.subarray(this.#offset, this.#offset + CHUNK - size);
      size += part.length;
      this.#offset += part.length;
      if (part.length > 0) parts.push(part);
      if (this.#offset >= piece.length) {
        this.#piece++;
        this.#offset = 0;
      }
    }
    const joins = parts.length === 0 || parts.length >= MANY || (parts.length > 1 && size <= SMALL);
    return joins ? [Buffer.concat(parts)] : parts;
  }
}
