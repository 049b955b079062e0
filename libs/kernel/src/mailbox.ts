/**
 * A queue of at most one pending value per key: a newer value is merged into the one that waits, so a slow consumer never
 * grows it beyond the number of keys. Order is that of first arrival.
 */
export class Mailbox<K, V> {
  readonly #pending = new Map<K, V>();
  readonly #merge: (waiting: V, incoming: V) => V;

  constructor(merge: (waiting: V, incoming: V) => V) {
    this.#merge = merge;
  }

  get size(): number {
    return this.#pending.size;
  }

  put(key: K, value: V): void {
    const waiting = this.#pending.get(key);
    this.#pending.set(key, waiting === undefined ? value : this.#merge(waiting, value));
  }

  /** The oldest entry, removed; undefined when empty. */
  take(): readonly [K, V] | undefined {
    for (const entry of this.#pending) {
      this.#pending.delete(entry[0]);
      return entry;
    }
    return undefined;
  }

  delete(key: K): void {
    this.#pending.delete(key);
  }
}
