import { expect, it } from "vitest";
import { threadMemory } from "./thread-memory.ts";

it("tells what is held, and not what is garbage", () => {
  const before = threadMemory();
  let held: unknown[] | undefined = Array.from({ length: 100_000 }, (_, index) => ({ index }));
  const buffer = Buffer.alloc(20_000_000);
  const during = threadMemory();
  expect(held.length + buffer.length).toBe(20_100_000);
  expect(during.heapUsed - before.heapUsed).toBeGreaterThan(1_000_000);
  expect(during.external - before.external).toBeGreaterThan(19_000_000);
  held = undefined;
  expect(threadMemory().heapUsed - before.heapUsed).toBeLessThan(1_000_000);
});

it("counts timers", () => {
  const before = threadMemory().resources.Timeout ?? 0;
  const timers = [setTimeout(() => {}, 60_000), setTimeout(() => {}, 60_000)];
  expect((threadMemory().resources.Timeout ?? 0) - before).toBe(2);
  for (const timer of timers) clearTimeout(timer);
});
