import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { Debounce } from "./debounce.ts";

function start(options: { readonly intervalMs?: number } = {}, busy = () => false) {
  const clock = manualClock();
  const runs: string[] = [];
  const debounce = new Debounce(
    clock,
    { quietMs: 100, maxMs: 250, intervalMs: 0, busyMs: 600, ...options },
    (since) => {
      runs.push(`${since}..${clock.monotonic()}`);
    },
    busy,
  );
  return { clock, runs, debounce };
}

describe("Debounce", () => {
  it("runs once it was quiet", () => {
    const { clock, runs, debounce } = start();
    debounce.poke();
    clock.advance(60);
    debounce.poke();
    clock.advance(99);
    expect(runs).toEqual([]);
    clock.advance(1);
    expect(runs).toEqual(["0..160"]);
    expect(clock.pending).toBe(0);
  });

  it("runs at the latest after its maximum", () => {
    const { clock, runs, debounce } = start();
    for (let step = 0; step < 10; step++) {
      debounce.poke();
      clock.advance(50);
    }
    expect(runs).toEqual(["0..250", "250..500"]);
  });

  it("leaves an interval between runs, also for calls that come apart", () => {
    const { clock, runs, debounce } = start({ intervalMs: 400 });
    debounce.poke();
    clock.advance(100);
    debounce.poke();
    clock.advance(399);
    expect(runs).toEqual(["0..100"]);
    clock.advance(1);
    expect(runs).toEqual(["0..100", "100..500"]);
    clock.advance(1000);
    debounce.poke();
    clock.advance(100);
    expect(runs.at(-1)).toBe("1500..1600");
  });

  it("runs at once when flushed, and not again", () => {
    const { clock, runs, debounce } = start();
    debounce.poke();
    debounce.flush();
    debounce.flush();
    clock.advance(1000);
    expect(runs).toEqual(["0..0"]);
  });

  it("waits while what the last run began goes on, and not for ever", () => {
    let busy = true;
    const { clock, runs, debounce } = start({}, () => busy);
    debounce.poke();
    clock.advance(599);
    debounce.poke();
    expect(runs).toEqual([]);
    clock.advance(1);
    expect(runs).toEqual(["0..600"]);
    debounce.poke();
    clock.advance(300);
    busy = false;
    debounce.release();
    clock.advance(0);
    expect(runs).toEqual(["0..600", "600..900"]);
    debounce.release();
    clock.advance(1000);
    expect(runs.length).toBe(2);
  });

  it("does not run early because what the last run began is over", () => {
    const { clock, runs, debounce } = start();
    debounce.poke();
    debounce.release();
    clock.advance(99);
    expect(runs).toEqual([]);
    clock.advance(1);
    expect(runs).toEqual(["0..100"]);
  });

  it("never runs after it was closed", () => {
    const { clock, runs, debounce } = start();
    debounce.poke();
    debounce.close();
    debounce.poke();
    clock.advance(1000);
    expect(runs).toEqual([]);
  });
});
