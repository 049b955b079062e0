import type { Clock } from "./clock.ts";

/** The real clock. `unref: true` (default) lets the process end while a timer is pending. */
export function systemClock(options: { readonly unref?: boolean } = {}): Clock {
  const unref = options.unref ?? true;
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after(ms, callback) {
      const timer = setTimeout(callback, ms);
      if (unref) timer.unref();
      return () => clearTimeout(timer);
    },
    every(ms, callback) {
      const timer = setInterval(callback, ms);
      if (unref) timer.unref();
      return () => clearInterval(timer);
    },
  };
}
