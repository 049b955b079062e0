import type { Changes } from "../watch/held.ts";

/** What a receiver was told, and what it holds after it. Tests wait for what they expect instead of sleeping. */
export class Collector<T> {
  /** One entry per delivery: `+key` and `-key`. */
  readonly deliveries: string[][] = [];
  readonly state = new Map<string, T>();
  snapshots = 0;
  readonly #waiting = new Set<() => void>();

  readonly receive = ({ snapshot, changes }: { readonly snapshot: boolean; readonly changes: Changes<T> }): void => {
    if (snapshot) {
      this.snapshots++;
      this.state.clear();
    }
    for (const [key, value] of changes) {
      if (value === undefined) this.state.delete(key);
      else this.state.set(key, value);
    }
    this.deliveries.push([...changes].map(([key, value]) => `${value === undefined ? "-" : "+"}${key}`).sort());
    for (const check of this.#waiting) check();
  };

  get keys(): readonly string[] {
    return [...this.state.keys()].sort();
  }

  /** Everything that was told after the first delivery. */
  get later(): readonly string[] {
    return this.deliveries.slice(1).flat();
  }

  until(done: (collector: this) => boolean, timeoutMs = 20_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(`not received within ${timeoutMs} ms; got ${JSON.stringify(this.deliveries)}`));
      }, timeoutMs);
      const check = () => {
        if (!done(this)) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }
}
