import type { Clock } from "@lateen/kernel";

/** Outcome of waiting for a configuration revision. */
export interface SyncOutcome {
  /** Every connected proxy runs the revision. */
  readonly synced: boolean;
  /** `pod.namespace` of the proxies that do not. */
  readonly laggards: readonly string[];
}

/** Callers that wait at a time; further ones get the state of now. */
const MAX_WAITING = 1000;
const MAX_TIMEOUT_MS = 600_000;

interface Waiting {
  readonly revision: number;
  finish(outcome: SyncOutcome): void;
}

/** Those who wait until every proxy runs a configuration revision. */
export class SyncWaits {
  readonly #clock: Clock;
  readonly #look: (revision: number) => SyncOutcome;
  readonly #waiting = new Set<Waiting>();
  #scheduled = false;
  #closed = false;

  constructor(clock: Clock, look: (revision: number) => SyncOutcome) {
    this.#clock = clock;
    this.#look = look;
  }

  wait(revision: number, timeoutMs: number): Promise<SyncOutcome> {
    const now = this.#look(revision);
    if (now.synced || !(timeoutMs > 0) || this.#closed || this.#waiting.size >= MAX_WAITING)
      return Promise.resolve(now);
    return new Promise((resolve) => {
      const cancel = this.#clock.after(Math.min(timeoutMs, MAX_TIMEOUT_MS), () => finish(this.#look(revision)));
      const finish = (outcome: SyncOutcome) => {
        cancel();
        this.#waiting.delete(waiting);
        resolve(outcome);
      };
      const waiting: Waiting = { revision, finish };
      this.#waiting.add(waiting);
    });
  }

  /** Something changed. Looks again soon, once for all changes until then. */
  poke(): void {
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    this.#clock.after(0, () => {
      this.#scheduled = false;
      for (const waiting of [...this.#waiting]) {
        const outcome = this.#look(waiting.revision);
        if (outcome.synced) waiting.finish(outcome);
      }
    });
  }

  /** Everyone gets the state of now, from now on without waiting. */
  close(): void {
    this.#closed = true;
    for (const waiting of [...this.#waiting]) waiting.finish(this.#look(waiting.revision));
  }
}
