/** Collects what a callback is given; tests wait for what they expect instead of sleeping. */
export class Recorder<T> {
  readonly items: T[] = [];
  readonly #waiting = new Set<() => void>();

  readonly receive = (item: T): void => {
    this.items.push(item);
    for (const check of this.#waiting) check();
  };

  /** Resolves once `done` holds; rejects after `timeoutMs` with what was received. */
  until(done: (items: readonly T[]) => boolean, timeoutMs = 4000): Promise<readonly T[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`not received within ${timeoutMs} ms; got ${JSON.stringify(this.items)}`));
      }, timeoutMs);
      const check = () => {
        if (!done(this.items)) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(this.items);
      };
      this.#waiting.add(check);
      check();
    });
  }
}
