import type { CancelTimer, Clock } from "@lateen/kernel";

/** How much may wait for the network at a time. */
export interface WriteBudgetOptions {
  /** Bytes of all streams together, beyond which no stream makes another response. Default 24 MiB. */
  readonly bytes: number;
  /** Milliseconds after which what a stream does not take counts no more: a stuck client must not hold up the others. Default 2000. */
  readonly patienceMs: number;
}

const DEFAULTS: WriteBudgetOptions = { bytes: 24 * 1024 * 1024, patienceMs: 2000 };

/** A stream that writes within the budget. */
export interface BudgetedStream {
  /** Whether it should make another response now; if not, it is resumed once it should. */
  ready(): boolean;
  wrote(bytes: number): void;
  flushed(bytes: number): void;
  /** It is over: nothing of it waits any more. */
  close(): void;
}

interface Entry {
  readonly resume: () => void;
  unflushed: number;
  /** Monotonic time of the last progress. */
  since: number;
  /** It made no progress for too long: its bytes are not counted. */
  stuck: boolean;
}

/**
 * Bounds the memory of responses on their way to many streams at once, as after a mass reconnect. Streams that have to wait are resumed in
 * the order in which they began to. What a stuck client does not take is bounded by its own transport and not counted here.
 */
export class WriteBudget {
  readonly #clock: Clock;
  readonly #options: WriteBudgetOptions;
  readonly #writing = new Set<Entry>();
  readonly #waiting = new Set<Entry>();
  #counted = 0;
  #resuming = false;
  #cancel: CancelTimer | undefined;

  constructor(clock: Clock, options: Partial<WriteBudgetOptions> = {}) {
    this.#clock = clock;
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Bytes that wait for the network, without those of stuck streams. */
  get counted(): number {
    return this.#counted;
  }

  open(resume: () => void): BudgetedStream {
    const entry: Entry = { resume, unflushed: 0, since: 0, stuck: false };
    return {
      ready: () => this.#ready(entry),
      wrote: (bytes) => {
        if (entry.unflushed === 0) entry.since = this.#clock.monotonic();
        entry.unflushed += bytes;
        if (!entry.stuck) this.#counted += bytes;
        this.#writing.add(entry);
      },
      flushed: (bytes) => {
        this.#progress(entry, bytes);
        this.#resume();
      },
      close: () => {
        this.#waiting.delete(entry);
        this.#progress(entry, entry.unflushed);
        this.#resume();
      },
    };
  }

  #ready(entry: Entry): boolean {
    if (this.#counted < this.#options.bytes) return true;
    this.#waiting.add(entry);
    this.#cancel ??= this.#clock.after(this.#options.patienceMs, () => this.#expire());
    return false;
  }

  #progress(entry: Entry, bytes: number): void {
    if (entry.stuck) {
      // It moves again: what is left of it counts.
      entry.stuck = false;
      this.#counted += entry.unflushed;
    }
    entry.unflushed -= bytes;
    this.#counted -= bytes;
    entry.since = this.#clock.monotonic();
    if (entry.unflushed === 0) this.#writing.delete(entry);
  }

  /** Streams that made no progress since a while stop to count. */
  #expire(): void {
    this.#cancel = undefined;
    const limit = this.#clock.monotonic() - this.#options.patienceMs;
    for (const entry of this.#writing) {
      if (entry.stuck || entry.since > limit) continue;
      entry.stuck = true;
      this.#counted -= entry.unflushed;
    }
    this.#resume();
    if (this.#waiting.size > 0) this.#cancel ??= this.#clock.after(this.#options.patienceMs, () => this.#expire());
  }

  #resume(): void {
    // What a resumed stream writes may be flushed at once.
    if (this.#resuming) return;
    this.#resuming = true;
    for (const entry of this.#waiting) {
      if (this.#counted >= this.#options.bytes) break;
      this.#waiting.delete(entry);
      entry.resume();
    }
    this.#resuming = false;
  }
}
