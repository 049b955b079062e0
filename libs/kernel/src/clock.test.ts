import { describe, expect, it } from "vitest";
import { type Clock, sleep } from "./clock.ts";
import { silentLogger } from "./logger.ts";
import { systemClock } from "./system-clock.ts";

/** Collects timers and runs them by hand. */
function stillClock() {
  const timers = new Set<() => void>();
  const add = (_ms: number, callback: () => void) => {
    timers.add(callback);
    return () => void timers.delete(callback);
  };
  const clock: Clock = { now: () => 0, monotonic: () => 0, after: add, every: add };
  return { clock, timers, fire: () => [...timers].forEach((callback) => void callback()) };
}

describe("sleep", () => {
  it("resolves when its time has come", async () => {
    const { clock, fire } = stillClock();
    const done = sleep(clock, 10);
    fire();
    await expect(done).resolves.toBeUndefined();
  });

  it("rejects with the signal's reason, and gives its timer back", async () => {
    const { clock, timers } = stillClock();
    const controller = new AbortController();
    const done = sleep(clock, 10, controller.signal);
    controller.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    expect(timers.size).toBe(0);
  });

  it("rejects at once when the signal has aborted already", async () => {
    const { clock, timers } = stillClock();
    await expect(sleep(clock, 10, AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
    expect(timers.size).toBe(0);
  });
});

describe("the system clock", () => {
  it("runs a timer once, and one that repeats until cancelled", async () => {
    const clock = systemClock({ unref: false });
    const before = clock.monotonic();
    await new Promise<void>((resolve) => clock.after(2, resolve));
    expect(clock.monotonic()).toBeGreaterThan(before);
    let count = 0;
    await new Promise<void>((resolve) => {
      const cancel = clock.every(1, () => {
        if (++count < 3) return;
        cancel();
        resolve();
      });
    });
    expect(count).toBe(3);
  });

  it("tells the time", () => {
    expect(Math.abs(systemClock().now() - Date.now())).toBeLessThan(1000);
  });

  it("does not run what was cancelled", async () => {
    const clock = systemClock();
    let ran = false;
    const cancel = clock.after(0, () => {
      ran = true;
    });
    cancel();
    cancel();
    await new Promise<void>((resolve) => systemClock({ unref: false }).after(3, resolve));
    expect(ran).toBe(false);
  });
});

it("the silent logger is its own child", () => {
  expect(silentLogger.child({ a: 1 })).toBe(silentLogger);
  silentLogger.error({ event: "nobody.hears" });
});
