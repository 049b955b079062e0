import { type Clock, type Random, sleep } from "@lateen/kernel";

/** When and for how long a watch waits, milliseconds, and how much it asks for at once. */
export interface WatchTuning {
  /** First pause after a failure; it doubles with every further one. Default 500. */
  readonly backoffMs: number;
  /** Longest pause. Default 30,000. */
  readonly maxBackoffMs: number;
  /** How long a watch lasts at least before the server ends it; at most twice as long. Default 300,000. */
  readonly watchMs: number;
  /** A watch that brings nothing for so long, not even a bookmark, is asked for anew: it may be dead. Default 150,000. */
  readonly stallMs: number;
  /** How often a resource that the server does not know (yet) is looked for. Default 10,000. */
  readonly absentMs: number;
  /** Objects per page of a list. Default 500. */
  readonly pageSize: number;
}

export const DEFAULT_TUNING: WatchTuning = {
  backoffMs: 500,
  maxBackoffMs: 30_000,
  watchMs: 300_000,
  stallMs: 150_000,
  absentMs: 10_000,
  pageSize: 500,
};

/** Milliseconds to wait after the n-th failure in a row (from 1), half of it by chance, so that many clients do not come back as one. */
export function backoff(tuning: WatchTuning, failures: number, random: Random): number {
  const full = Math.min(tuning.maxBackoffMs, tuning.backoffMs * 2 ** Math.min(failures - 1, 16));
  return full * (0.5 + random.next() / 2);
}

/** Waits, or less when the signal aborts. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await sleep(clock, ms, signal).catch(() => undefined);
}
