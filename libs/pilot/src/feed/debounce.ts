import type { CancelTimer, Clock } from "@lateen/kernel";
import type { DebounceOptions } from "../options.ts";

/**
 * Turns a burst of calls into one run: after `quietMs` without a further call, or `maxMs` after the first, but never within
 * `intervalMs` of the last run. Idle → (poke) → waiting → (quiet or max) → runs → idle.
 */
export class Debounce {
  readonly #clock: Clock;
  readonly #options: DebounceOptions;
  readonly #run: (sinceMs: number) => void;
  #first: number | undefined;
  #lastRun = Number.NEGATIVE_INFINITY;
  #cancel: CancelTimer | undefined;
  #closed = false;

  /** @param run gets the monotonic time of the first call of the burst. */
  constructor(clock: Clock, options: DebounceOptions, run: (sinceMs: number) => void) {
    this.#clock = clock;
    this.#options = options;
    this.#run = run;
  }

  /** A burst is going on. */
  get waiting(): boolean {
    return this.#first !== undefined;
  }

  poke(): void {
    if (this.#closed) return;
    const now = this.#clock.monotonic();
    this.#first ??= now;
    this.#cancel?.();
    const { quietMs, maxMs, intervalMs } = this.#options;
    const wanted = Math.min(quietMs, this.#first + maxMs - now);
    const delay = Math.max(0, wanted, this.#lastRun + intervalMs - now);
    this.#cancel = this.#clock.after(delay, () => this.flush());
  }

  /** Runs now what waits. */
  flush(): void {
    const first = this.#first;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#first = undefined;
    if (first === undefined || this.#closed) return;
    this.#lastRun = this.#clock.monotonic();
    this.#run(first);
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }
}
