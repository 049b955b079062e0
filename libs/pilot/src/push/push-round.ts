/**
 * Who still works on the last push. As long as all are at the same state, what changes for them is found, encoded and compressed once for
 * all; so the next push waits for them, a short time. Who did not make it within that time is not waited for until it has caught up.
 */
export class PushRound<T> {
  readonly #finished: () => void;
  #working = new Set<T>();
  readonly #late = new Set<T>();

  /** @param finished is called when the last one is done. */
  constructor(finished: () => void) {
    this.#finished = finished;
  }

  /** Somebody is worth waiting for. */
  get busy(): boolean {
    return this.#working.size > 0;
  }

  /** A push to these begins. */
  begin(items: Iterable<T>): void {
    for (const item of this.#working) this.#late.add(item);
    this.#working = new Set();
    for (const item of items) if (!this.#late.has(item)) this.#working.add(item);
  }

  /** Whether it matters when this one is done. */
  has(item: T): boolean {
    return this.#working.has(item) || this.#late.has(item);
  }

  /** It has nothing to send and waits for nothing, or is gone. */
  done(item: T): void {
    this.#late.delete(item);
    if (this.#working.delete(item) && this.#working.size === 0) this.#finished();
  }
}
