import type { CancelTimer, Clock } from "@lateen/kernel";
import type { DebounceOptions } from "../options.ts";

/**
 * Turns a burst of calls into one run: after `quietMs` without a further call, or `maxMs` after the first, but never within
 * `intervalMs` of the last run, and until `busyMs` after the first not while what the last run began is going on.
 * Idle → (poke) → waiting → (quiet or max) → due → (not busy or too long) → runs → idle.
 */
export class Debounce {
  readonly #clock: Clock;
  readonly #options: DebounceOptions;
  readonly #run: (sinceMs: number) => void;
  readonly #busy: () => boolean;
  #first: number | undefined;
  #lastRun = Number.NEGATIVE_INFINITY;
  #cancel: CancelTimer | undefined;
  /** It would have run, but what the last run began is going on. */
  #due = false;
  #closed = false;

  /**
   * @param run gets the monotonic time of the first call of the burst.
   * @param busy whether what the last run began is going on; {@link Debounce.release} tells that it is over.
   */
  constructor(
    clock: Clock,
    options: DebounceOptions,
    run: (sinceMs: number) => void,
    busy: () => boolean = () => false,
  ) {
    this.#clock = clock;
    this.#options = options;
    this.#run = run;
    this.#busy = busy;
  }

  /** A burst is going on. */
  get waiting(): boolean {
    return this.#first !== undefined;
  }

  poke(): void {
    if (this.#closed || this.#due) return;
    const now = this.#clock.monotonic();
    this.#first ??= now;
    this.#cancel?.();
    const { quietMs, maxMs, intervalMs } = this.#options;
    const wanted = Math.min(quietMs, this.#first + maxMs - now);
    const delay = Math.max(0, wanted, this.#lastRun + intervalMs - now);
    this.#cancel = this.#clock.after(delay, () => this.#elapsed(now + delay));
  }

  /** What the last run began is over. */
  release(): void {
    if (!this.#due || this.#closed) return;
    this.#cancel?.();
    // Whoever was the last is in the middle of something.
    this.#cancel = this.#clock.after(0, () => this.flush());
  }

  /** Runs now what waits. */
  flush(): void {
    const first = this.#first;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#due = false;
    this.#first = undefined;
    if (first === undefined || this.#closed) return;
    this.#lastRun = this.#clock.monotonic();
    this.#run(first);
  }

  #elapsed(now: number): void {
    const patience = (this.#first ?? now) + this.#options.busyMs - now;
    if (patience <= 0 || !this.#busy()) {
      this.flush();
      return;
    }
    this.#due = true;
    this.#cancel = this.#clock.after(patience, () => this.flush());
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }
}
