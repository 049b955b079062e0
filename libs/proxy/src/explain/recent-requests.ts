import type { RequestRecord } from "./request-record.ts";

/** How many records one worker keeps when nothing else is said. */
export const RECENT_REQUESTS = 256;
/** Keeping records of everything is for looking, not for good. */
export const LONGEST_KEEP_MS = 600_000;

/**
 * The records of one worker's latest requests: of those that failed or that the proxy answered itself, always; of the others for a
 * while, when somebody asked for it. The two are kept apart, so that what succeeds does not push out what failed.
 */
export class RecentRequests {
  readonly #capacity: number;
  readonly #now: () => number;
  readonly #failed: Ring;
  #others: Ring | undefined = undefined;
  #keepsAllUntil = 0;

  /** @param capacity records of each kind; 0 keeps none. @param now monotonic milliseconds. */
  constructor(capacity: number, now: () => number) {
    this.#capacity = capacity;
    this.#now = now;
    this.#failed = new Ring(capacity);
  }

  get enabled(): boolean {
    return this.#capacity > 0;
  }

  /** Whether requests that went well are recorded, too. */
  get keepsAll(): boolean {
    return this.#keepsAllUntil !== 0 && this.#stillKeepsAll();
  }

  #stillKeepsAll(): boolean {
    if (this.#now() < this.#keepsAllUntil) return true;
    this.#keepsAllUntil = 0;
    return false;
  }

  /** Records everything for so many milliseconds from now, ten minutes at most; 0 ends it. What was recorded so stays. */
  keepAll(ms: number): void {
    if (!this.enabled) return;
    this.#keepsAllUntil = ms <= 0 ? 0 : this.#now() + Math.min(ms, LONGEST_KEEP_MS);
    if (ms > 0) this.#others ??= new Ring(this.#capacity);
  }

  add(record: RequestRecord, failed: boolean): void {
    if (failed) this.#failed.add(record);
    else this.#others?.add(record);
  }

  /** Everything kept, the oldest first. */
  all(): readonly RequestRecord[] {
    const records = [...this.#failed.records(), ...(this.#others?.records() ?? [])];
    return records.sort((a, b) => a.startTimeMs - b.startTimeMs);
  }
}

class Ring {
  readonly #records: RequestRecord[] = [];
  readonly #capacity: number;
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(record: RequestRecord): void {
    if (this.#capacity === 0) return;
    this.#records[this.#next] = record;
    this.#next = (this.#next + 1) % this.#capacity;
  }

  records(): readonly RequestRecord[] {
    return this.#records;
  }
}
