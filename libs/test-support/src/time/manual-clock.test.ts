import { sleep } from "@lateen/kernel";
import { expect, it } from "vitest";
import { manualClock } from "./manual-clock.ts";

it("runs timers in order of their time, then of their making", () => {
  const clock = manualClock(1000);
  const seen: string[] = [];
  clock.after(20, () => seen.push(`b at ${clock.now()}`));
  clock.after(10, () => {
    seen.push(`a at ${clock.now()}`);
    clock.after(5, () => seen.push(`nested at ${clock.now()}`));
  });
  clock.after(20, () => seen.push("c"));
  clock.advance(19);
  expect(seen).toEqual(["a at 1010", "nested at 1015"]);
  clock.advance(1);
  expect(seen.slice(2)).toEqual(["b at 1020", "c"]);
  expect([clock.now(), clock.monotonic(), clock.pending]).toEqual([1020, 20, 0]);
});

it("repeats until cancelled", () => {
  const clock = manualClock();
  let count = 0;
  const cancel = clock.every(10, () => {
    if (++count === 3) cancel();
  });
  clock.advance(100);
  expect(count).toBe(3);
  cancel();
  expect(clock.pending).toBe(0);
});

it("lets promises follow one another", async () => {
  const clock = manualClock();
  const seen: number[] = [];
  const work = (async () => {
    for (let round = 0; round < 3; round++) {
      await sleep(clock, 10);
      seen.push(clock.monotonic());
    }
  })();
  await clock.advanceAsync(30);
  await work;
  expect(seen).toEqual([10, 20, 30]);
});
