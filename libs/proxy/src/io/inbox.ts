/** Somebody whose bytes may wait. */
export interface InboxOwner {
  received(bytes: Buffer, end: number, start: number): void;
}

/** What bytes were read from. Nothing of it is looked at while it waits: it is in no cache when its event comes. */
export interface InboxSource {
  readonly transport?: InboxOwner;
}

const CAPACITY = 64 * 1024;
/** Reads that may wait. More cost as much each, and the first of them would wait longer. */
const MOST_READS = 16;
/** A larger read is dealt with at once: its copy would cost more than it saves. */
const LARGEST_READ = 4 * 1024;

/**
 * What was read in one batch of events and is dealt with when the batch has been read: code that runs for one connection after
 * another, without system calls in between, stays in the processor's caches.
 */
export class Inbox {
  readonly #bytes: Buffer = Buffer.allocUnsafeSlow(CAPACITY);
  readonly #sources = new Array<InboxSource | undefined>(MOST_READS).fill(undefined);
  readonly #owners = new Array<InboxOwner | undefined>(MOST_READS).fill(undefined);
  readonly #ends = new Int32Array(MOST_READS);
  #count = 0;
  #found = 0;
  #done = 0;

  get empty(): boolean {
    return this.#count === 0;
  }

  /** Keeps `bytes[0..count)` for later; false: there is no room, or it is too much. */
  put(source: InboxSource, bytes: Buffer, count: number): boolean {
    const start = this.#count === 0 ? 0 : (this.#ends[this.#count - 1] as number);
    if (count > LARGEST_READ || this.#count === MOST_READS || start + count > CAPACITY) return false;
    bytes.copy(this.#bytes, start, 0, count);
    this.#sources[this.#count] = source;
    this.#ends[this.#count++] = start + count;
    return true;
  }

  /** Hands everything over, in the order in which it came. */
  deliver(): void {
    // All are looked up first: the processor fetches the memory of several of them at a time.
    while (this.#found < this.#count) {
      const at = this.#found++;
      this.#owners[at] = this.#sources[at]?.transport;
      this.#sources[at] = undefined;
    }
    while (this.#done < this.#count) {
      const at = this.#done++;
      const owner = this.#owners[at];
      this.#owners[at] = undefined;
      owner?.received(this.#bytes, this.#ends[at] as number, at === 0 ? 0 : (this.#ends[at - 1] as number));
    }
    this.#count = 0;
    this.#found = 0;
    this.#done = 0;
  }
}
