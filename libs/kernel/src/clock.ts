/** Cancels a timer; calling it twice is harmless. */
export type CancelTimer = () => void;

/** Time as a parameter. Only a Clock may start timers, so that tests advance time instead of sleeping. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): number;
  /** Monotonic milliseconds, for durations. */
  monotonic(): number;
  /** Runs `callback` once after `ms`. */
  after(ms: number, callback: () => void): CancelTimer;
  /** Runs `callback` every `ms`. */
  every(ms: number, callback: () => void): CancelTimer;
}

/** Resolves after `ms` of the given clock, or rejects when the signal aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
