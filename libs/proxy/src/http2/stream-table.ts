/** Places of an empty table, a power of two. */
const FEWEST_PLACES = 64;

/**
 * The open streams of one connection by their numbers. A `Map` makes a new table of itself every few streams; the old one, when it has
 * come to the old generation, keeps everything alive that it still names until the next full collection. Here the places are used again,
 * and name nothing that is gone. Where a number goes depends on a secret, so that no peer can choose numbers that meet.
 */
export class StreamTable<S extends { readonly id: number }> {
  readonly #secret = Math.floor(Math.random() * 2 ** 32) | 0;
  #places: (S | undefined)[] = places(FEWEST_PLACES);
  #mask = FEWEST_PLACES - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): S | undefined {
    for (let at = this.#home(id); ; at = (at + 1) & this.#mask) {
      const stream = this.#places[at];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  /** The number must not be in it yet. */
  add(stream: S): void {
    if (++this.#size * 2 > this.#places.length) this.#resize(this.#places.length * 2);
    this.#put(stream);
  }

  delete(id: number): void {
    let free = this.#home(id);
    while (this.#places[free]?.id !== id) {
      if (this.#places[free] === undefined) return;
      free = (free + 1) & this.#mask;
    }
    this.#size--;
    // What stands behind, and would have gone here or before, moves up: nobody who looks for it meets a gap.
    for (let at = (free + 1) & this.#mask; ; at = (at + 1) & this.#mask) {
      const stream = this.#places[at];
      if (stream === undefined) break;
      const wayFromHome = (at - this.#home(stream.id)) & this.#mask;
      if (wayFromHome < ((at - free) & this.#mask)) continue;
      this.#places[free] = stream;
      free = at;
    }
    this.#places[free] = undefined;
    if (this.#size === 0 && this.#places.length > FEWEST_PLACES) this.#resize(FEWEST_PLACES);
  }

  /** All of them now, in the order of their numbers. */
  all(): S[] {
    return this.#places.filter((stream) => stream !== undefined).sort((one, other) => one.id - other.id);
  }

  clear(): void {
    this.#size = 0;
    this.#resize(FEWEST_PLACES);
  }

  #put(stream: S): void {
    let at = this.#home(stream.id);
    while (this.#places[at] !== undefined) at = (at + 1) & this.#mask;
    this.#places[at] = stream;
  }

  #resize(length: number): void {
    const before = this.#places;
    this.#places = places(length);
    this.#mask = length - 1;
    if (this.#size > 0) for (const stream of before) if (stream !== undefined) this.#put(stream);
    before.fill(undefined);
  }

  /** The finalizer of MurmurHash3. */
  #home(id: number): number {
    let hash = id ^ this.#secret;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & this.#mask;
  }
}

function places<S>(length: number): (S | undefined)[] {
  return new Array<S | undefined>(length).fill(undefined);
}
