import type { CancelTimer, Clock } from "@lateen/kernel";

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Moves time on and runs every timer that falls due, in order; a timer sees its own due time as `now`. */
  advance(ms: number): void;
  /** Like {@link advance}, and lets promises settle after each timer and at the end. */
  advanceAsync(ms: number): Promise<void>;
  /** Number of timers that wait. */
  readonly pending: number;
}

interface Timer {
  due: number;
  readonly order: number;
  readonly every: number | undefined;
  readonly callback: () => void;
}

/** Rounds of the event loop that {@link ManualClock.advanceAsync} grants promises to settle. */
const SETTLE_ROUNDS = 3;

/** @param start wall clock at the beginning, epoch milliseconds; default 2026-01-01T00:00:00Z. */
export function manualClock(start = 1_767_225_600_000): ManualClock {
  let elapsed = 0;
  let order = 0;
  const timers = new Set<Timer>();
  const add = (ms: number, every: number | undefined, callback: () => void): CancelTimer => {
    const timer: Timer = { due: elapsed + Math.max(ms, 0), order: order++, every, callback };
    timers.add(timer);
    return () => {
      timers.delete(timer);
    };
  };
  const next = (until: number): Timer | undefined => {
    let first: Timer | undefined;
    for (const timer of timers) {
      if (timer.due > until) continue;
      if (!first || timer.due < first.due || (timer.due === first.due && timer.order < first.order)) first = timer;
    }
    return first;
  };
  const fire = (timer: Timer): void => {
    elapsed = Math.max(elapsed, timer.due);
    // A period of zero would never let time pass.
    if (timer.every === undefined) timers.delete(timer);
    else timer.due += Math.max(timer.every, 1);
    timer.callback();
  };
  return {
    now: () => start + elapsed,
    monotonic: () => elapsed,
    after: (ms, callback) => add(ms, undefined, callback),
    every: (ms, callback) => add(ms, ms, callback),
    advance(ms) {
      const until = elapsed + ms;
      for (let timer = next(until); timer; timer = next(until)) fire(timer);
      elapsed = until;
    },
    async advanceAsync(ms) {
      const until = elapsed + ms;
      await settle();
      for (let timer = next(until); timer; timer = next(until)) {
        fire(timer);
        await settle();
      }
      elapsed = until;
      await settle();
    },
    get pending() {
      return timers.size;
    },
  };
}

async function settle(): Promise<void> {
  for (let round = 0; round < SETTLE_ROUNDS; round++) await new Promise((resolve) => setImmediate(resolve));
}
