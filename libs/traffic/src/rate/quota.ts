/** How much may be had in how long. */
export interface QuotaLimit {
  /** Whole, 0 or more. */
  readonly max: number;
  /** Whole milliseconds, 1 or more. */
  readonly windowMs: number;
  /**
   * `fixed`: windows follow one another from the epoch on, and each begins with nothing used. `rolling`: never more than `max` in any time
   * as long as the window; what was had is given back by 60ths of it.
   */
  readonly algorithm: "fixed" | "rolling";
}

/** Asks for an amount. Requests with equal key, window and algorithm count together. */
export interface QuotaRequest {
  readonly key: string;
  readonly limit: QuotaLimit;
  /** Whole, 0 or more; 0 only looks. */
  readonly amount: number;
  /** Take what is left where that is less than the amount. Otherwise it is all or nothing. Default: all or nothing. */
  readonly bestEffort?: boolean;
  /** Asking again with the same `id` within `forMs` of the first time gives the same amount, which counts once. */
  readonly dedup?: { readonly id: string; readonly forMs: number };
}

/** What was decided. */
export interface QuotaGrant {
  /** 0 up to the amount asked for. */
  readonly granted: number;
  /** What the next one may have. */
  readonly remaining: number;
  /** Milliseconds until the first of what counts now counts no more: with fixed windows, until the next one begins. */
  readonly validMs: number;
  /** When it was decided, by the clock of what decided; milliseconds since the epoch. */
  readonly atMs: number;
}

/** A window in parts. A part counts until `counted` parts have begun since it did. */
export interface WindowParts {
  readonly perWindow: number;
  readonly counted: number;
}

/** A fixed window is one part. A rolling one is so many that giving back part by part differs little from doing so evenly. */
const PARTS: Readonly<Record<QuotaLimit["algorithm"], WindowParts>> = {
  fixed: { perWindow: 1, counted: 1 },
  // One more than there are in a window: the part that the window's start falls into counts as a whole.
  rolling: { perWindow: 60, counted: 61 },
};

export function windowParts(limit: QuotaLimit): WindowParts {
  return PARTS[limit.algorithm];
}

/** What requests count together by, as text. */
export function quotaCounter({ key, limit }: QuotaRequest): string {
  return `${limit.algorithm}:${limit.windowMs}:${key}`;
}

/** Number of the part that a time falls into. */
function partAt(limit: QuotaLimit, { perWindow }: WindowParts, ms: number): number {
  return Math.floor((ms * perWindow) / limit.windowMs);
}

/** First millisecond in which a part counts no more. */
function leavesAt(limit: QuotaLimit, { perWindow, counted }: WindowParts, part: number): number {
  return Math.ceil(((part + counted) * limit.windowMs) / perWindow);
}

interface Counter {
  /** What was had, by part; in their order. */
  readonly used: Map<number, number>;
  /** When nothing of it counts any more. */
  endsAt: number;
}

interface Repeat {
  readonly granted: number;
  readonly until: number;
}

/**
 * The arithmetic of quotas over counters in memory; what every store must equal. Time comes with each call. A time before what was counted
 * last, by no more than a window, is that time; by more, the counter begins anew.
 */
export class QuotaLedger {
  readonly #counters = new Map<string, Counter>();
  readonly #repeats = new Map<string, Repeat>();

  /** Counters and remembered answers that are kept. */
  get size(): number {
    return this.#counters.size + this.#repeats.size;
  }

  /** Whether a request would need a place that is not taken yet. */
  knows(request: QuotaRequest): boolean {
    return this.#counters.has(quotaCounter(request));
  }

  allocate(request: QuotaRequest, nowMs: number): QuotaGrant {
    const { limit, amount, bestEffort = false, dedup } = request;
    const name = quotaCounter(request);
    const parts = windowParts(limit);
    const { counter, part, used, oldest } = this.#current(name, limit, nowMs);
    const repeatName = dedup === undefined ? "" : `${name}\0${dedup.id}`;
    const repeat = dedup === undefined ? undefined : this.#repeats.get(repeatName);
    if (repeat !== undefined && nowMs < repeat.until) {
      const left = leavesAt(limit, parts, oldest) - nowMs;
      return { granted: repeat.granted, remaining: Math.max(0, limit.max - used), validMs: left, atMs: nowMs };
    }
    const free = Math.max(0, limit.max - used);
    const granted = amount <= free ? amount : bestEffort ? free : 0;
    if (granted > 0) {
      counter.used.set(part, (counter.used.get(part) ?? 0) + granted);
      counter.endsAt = leavesAt(limit, parts, part);
      this.#counters.set(name, counter);
    }
    if (dedup !== undefined) this.#repeats.set(repeatName, { granted, until: nowMs + dedup.forMs });
    const validMs = leavesAt(limit, parts, oldest) - nowMs;
    return { granted, remaining: Math.max(0, limit.max - used - granted), validMs, atMs: nowMs };
  }

  /** Forgets what has no effect any more. */
  expire(nowMs: number): void {
    for (const [name, { endsAt }] of this.#counters) if (endsAt <= nowMs) this.#counters.delete(name);
    for (const [name, { until }] of this.#repeats) if (until <= nowMs) this.#repeats.delete(name);
  }

  /** The counter without what counts no more, and the part that counts now. */
  #current(name: string, limit: QuotaLimit, nowMs: number) {
    const parts = windowParts(limit);
    const counter: Counter = this.#counters.get(name) ?? { used: new Map<number, number>(), endsAt: 0 };
    let part = partAt(limit, parts, nowMs);
    const newest = [...counter.used.keys()].at(-1) ?? part;
    if (newest - part > parts.counted) counter.used.clear();
    else part = Math.max(part, newest);
    let used = 0;
    let oldest = part;
    for (const [number, amount] of counter.used) {
      if (number <= part - parts.counted) counter.used.delete(number);
      else {
        used += amount;
        oldest = Math.min(oldest, number);
      }
    }
    return { counter, part, used, oldest };
  }
}
