import type { Clock } from "@lateen/kernel";

/** A clock that stands still until it is advanced. */
export interface ManualClock extends Clock {
  /** Moves time on and runs, in order of time, the timers that become due, those that they start included. */
  advance(ms: number): void;
  /** Timers that have not run yet. */
  readonly pending: number;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  run(): void;
}

/** @param startMs wall-clock time at the start, milliseconds since the epoch. */
export function createManualClock(startMs = Date.UTC(2030, 0, 1)): ManualClock {
  const timers = new Set<Timer>();
  let elapsed = 0;
  let order = 0;
  const add = (ms: number, run: () => void) => {
    const timer = { at: elapsed + Math.max(0, ms), order: ++order, run };
    timers.add(timer);
    return timer;
  };
  const next = (until: number) =>
    [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at || a.order - b.order)[0];
  return {
    now: () => startMs + elapsed,
    monotonic: () => elapsed,
    after(ms, callback) {
      const timer = add(ms, callback);
      return () => timers.delete(timer);
    },
    every(ms, callback) {
      const again = () => {
        timer = add(ms, again);
        callback();
      };
      let timer = add(ms, again);
      return () => timers.delete(timer);
    },
    get pending() {
      return timers.size;
    },
    advance(ms) {
      const until = elapsed + ms;
      for (let timer = next(until); timer !== undefined; timer = next(until)) {
        timers.delete(timer);
        elapsed = Math.max(elapsed, timer.at);
        timer.run();
      }
      elapsed = until;
    },
  };
}
