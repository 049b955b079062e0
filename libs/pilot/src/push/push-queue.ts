import type { Clock } from "@lateen/kernel";

/** Milliseconds of work after which other work gets its turn. */
const SLICE_MS = 10;

/**
 * Items that must be pushed, each at most once however often it is added: a slow run merges changes instead of queueing them. Works in
 * slices, so that a push to many proxies does not keep requests and acknowledgements waiting.
 */
export class PushQueue<T> {
  readonly #clock: Clock;
  readonly #push: (item: T) => void;
  readonly #waiting = new Set<T>();
  #scheduled = false;
  #closed = false;

  constructor(clock: Clock, push: (item: T) => void) {
    this.#clock = clock;
    this.#push = push;
  }

  /** Items that still wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Adds items and works off a first slice at once. */
  add(items: Iterable<T>): void {
    for (const item of items) this.#waiting.add(item);
    if (!this.#scheduled) this.#work();
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
  }

  #work(): void {
    // Also while it works: what a push adds is found by the loop below.
    this.#scheduled = true;
    const end = this.#clock.monotonic() + SLICE_MS;
    for (const item of this.#waiting) {
      if (this.#closed) return;
      this.#waiting.delete(item);
      this.#push(item);
      if (this.#clock.monotonic() >= end) break;
    }
    this.#scheduled = this.#waiting.size > 0;
    if (this.#scheduled) this.#clock.after(0, () => this.#work());
  }
}
