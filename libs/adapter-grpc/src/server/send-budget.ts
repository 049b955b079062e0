import type { CancelTimer, Clock } from "@lateen/kernel";

/** How much may be on its way to clients at a time. */
export interface SendBudgetOptions {
  /** Bytes of all streams together, from which on no stream makes another response. Default 12 MiB. */
  readonly bytes: number;
  /** Milliseconds after which what a client does not answer counts no more: a stuck one must not hold up the others. Default 5000. */
  readonly patienceMs: number;
}

const DEFAULTS: SendBudgetOptions = { bytes: 12 * 1024 * 1024, patienceMs: 5000 };

/** A timer that fires so much late says that this process was busy, not that clients are slow. */
const LATE_MS = 250;

/** A stream that writes within the budget. */
export interface BudgetedStream {
  /** Whether it should make another response now; if not, it is resumed once it should. */
  ready(): boolean;
  sent(nonce: string, bytes: number): void;
  /** The client answered the response of this nonce; other nonces do not matter. */
  answered(nonce: string): void;
  /** It is over: nothing of it is on its way any more. */
  close(): void;
}

interface Entry {
  readonly resume: () => void;
  /** Bytes by nonce. */
  readonly onTheWay: Map<string, number>;
  bytes: number;
  /** Monotonic time of the last progress. */
  since: number;
  /** It made no progress for too long: its bytes are not counted. */
  stuck: boolean;
}

/**
 * Bounds the memory of responses on their way to many clients at once, as after a mass reconnect. A response counts until it is answered:
 * that it was written says little, since TLS and HTTP/2 buffer as much as the client's windows allow. Streams that have to wait are
 * resumed in the order in which they began to. What a stuck client does not take is bounded by its own stream and not counted.
 */
export class SendBudget {
  readonly #clock: Clock;
  readonly #options: SendBudgetOptions;
  readonly #sending = new Set<Entry>();
  readonly #waiting = new Set<Entry>();
  #counted = 0;
  #resuming = false;
  #cancel: CancelTimer | undefined;

  constructor(clock: Clock, options: Partial<SendBudgetOptions> = {}) {
    this.#clock = clock;
    this.#options = { ...DEFAULTS, ...options };
  }

  /** Bytes on their way, without those of stuck streams. */
  get counted(): number {
    return this.#counted;
  }

  open(resume: () => void): BudgetedStream {
    const entry: Entry = { resume, onTheWay: new Map(), bytes: 0, since: 0, stuck: false };
    return {
      ready: () => this.#ready(entry),
      sent: (nonce, bytes) => {
        if (entry.bytes === 0) entry.since = this.#clock.monotonic();
        entry.onTheWay.set(nonce, bytes);
        entry.bytes += bytes;
        if (!entry.stuck) this.#counted += bytes;
        this.#sending.add(entry);
      },
      answered: (nonce) => {
        const bytes = entry.onTheWay.get(nonce);
        if (bytes === undefined) return;
        entry.onTheWay.delete(nonce);
        this.#progress(entry, bytes);
        this.#resume();
      },
      close: () => {
        this.#waiting.delete(entry);
        this.#progress(entry, entry.bytes);
        this.#resume();
      },
    };
  }

  #ready(entry: Entry): boolean {
    if (this.#counted < this.#options.bytes) return true;
    this.#waiting.add(entry);
    this.#watch();
    return false;
  }

  #progress(entry: Entry, bytes: number): void {
    if (entry.stuck) {
      // It moves again: what is left of it counts.
      entry.stuck = false;
      this.#counted += entry.bytes;
    }
    entry.bytes -= bytes;
    this.#counted -= bytes;
    entry.since = this.#clock.monotonic();
    if (entry.bytes === 0) this.#sending.delete(entry);
  }

  #watch(): void {
    const due = this.#clock.monotonic() + this.#options.patienceMs;
    this.#cancel ??= this.#clock.after(this.#options.patienceMs, () => {
      this.#cancel = undefined;
      // After a long piece of work there may be answers that were not looked at yet.
      if (this.#clock.monotonic() - due < LATE_MS) this.#expire();
      this.#resume();
      if (this.#waiting.size > 0) this.#watch();
    });
  }

  /** Streams that made no progress since a while stop to count. */
  #expire(): void {
    const limit = this.#clock.monotonic() - this.#options.patienceMs;
    for (const entry of this.#sending) {
      if (entry.stuck || entry.since > limit) continue;
      entry.stuck = true;
      this.#counted -= entry.bytes;
    }
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
