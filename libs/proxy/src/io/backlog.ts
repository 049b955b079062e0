/** The least room a backlog takes. */
const LEAST_BYTES = 512;

/**
 * Joins bytes that wait for more of their kind, with room to spare: a sender of single bytes must not make us copy all that it sent before
 * for each of them.
 */
export class Backlog {
  #store: Buffer | undefined = undefined;

  /**
   * What was held and what has come, in one buffer. It is valid until the next call.
   * @param held what the last call gave, or any other buffer.
   */
  join(held: Buffer, bytes: Buffer, start: number, end: number): Buffer {
    const length = held.length + end - start;
    let store = this.#store;
    if (store === undefined || held.buffer !== store.buffer || length > store.length) {
      // Not from the shared pool: nobody else writes behind what is held.
      store = Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, 2 * length));
      store.set(held, 0);
      this.#store = store;
    }
    bytes.copy(store, held.length, start, end);
    return store.subarray(0, length);
  }

  /** Forgets the room; whoever has the last buffer may keep it. */
  release(): void {
    this.#store = undefined;
  }
}
