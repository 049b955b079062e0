/** Views that a slab keeps. */
const VIEWS = 8;

/** Memory that reads land in or writes are gathered in. It returns to its pool when its owner and the kernel are done with it. */
export class Slab {
  readonly bytes: Buffer;
  /** What reads land in: all of it but the room in front. */
  readonly area: Buffer;
  readonly #pool: SlabPool | undefined;
  #pins = 0;
  #owned = true;
  readonly #views = new Array<Buffer | undefined>(VIEWS).fill(undefined);

  /**
   * @param pool where it returns to; without one it is used once.
   * @param room bytes in front that no read lands in.
   */
  constructor(size: number, pool?: SlabPool, room = 0) {
    this.#pool = pool;
    this.bytes = Buffer.allocUnsafeSlow(room + size);
    this.area = room === 0 ? this.bytes : this.bytes.subarray(room);
  }

  /** A part of it. Answers of one kind have the same length again and again: a view that was made before is taken. */
  view(start: number, end: number): Buffer {
    const at = (start + end) % VIEWS;
    const known = this.#views[at];
    if (known !== undefined && known.length === end - start && known.byteOffset - this.bytes.byteOffset === start)
      return known;
    const view = this.bytes.subarray(start, end);
    this.#views[at] = view;
    return view;
  }

  /** A write still points into it: its owner must take another one before it puts new bytes in. */
  get pinned(): boolean {
    return this.#pins > 0;
  }

  /** A write did not finish at once. */
  pin(): void {
    this.#pins++;
  }

  /** That write is over. */
  unpin(): void {
    this.#pins--;
    this.#freeIfDone();
  }

  /** Its owner does not need it any more. */
  release(): void {
    this.#owned = false;
    this.#freeIfDone();
  }

  /** @internal */
  reuse(): this {
    this.#owned = true;
    return this;
  }

  #freeIfDone(): void {
    if (this.#pins === 0 && !this.#owned) this.#pool?.give(this);
  }
}

/** Slabs of one size, at most `limit` in the world and at most `keep` of them free. */
export class SlabPool {
  readonly #size: number;
  readonly #limit: number;
  readonly #keep: number;
  readonly #room: number;
  readonly #free: Slab[] = [];
  #made = 0;

  /** @param room bytes that each slab has in front of those `size`. */
  constructor(size: number, limit: number, keep: number, room = 0) {
    this.#size = size;
    this.#room = room;
    this.#limit = limit;
    this.#keep = keep;
  }

  /** Slabs that exist, in use or free. */
  get made(): number {
    return this.#made;
  }

  /** Undefined when as many are in use as may be. */
  take(): Slab | undefined {
    const free = this.#free.pop();
    if (free !== undefined) return free.reuse();
    if (this.#made >= this.#limit) return undefined;
    this.#made++;
    return new Slab(this.#size, this, this.#room);
  }

  /** @internal */
  give(slab: Slab): void {
    if (this.#free.length < this.#keep) this.#free.push(slab);
    else this.#made--;
  }
}
