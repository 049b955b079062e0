import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { heapCollector, SpareHeap } from "./spare-heap.ts";

function rig(loads?: readonly number[]) {
  const clock = manualClock();
  const left = [...(loads ?? [])];
  let collections = 0;
  // Asked once when configuration comes and once when it has rested.
  let asked = 0;
  const load = () => (loads === undefined ? 0 : asked++ % 2 === 0 ? 1 : (left.shift() ?? 0));
  const heap = new SpareHeap(clock, () => collections++, load);
  return { clock, heap, collections: () => collections };
}

describe("SpareHeap", () => {
  it("is given back once, when configuration has been at rest", () => {
    const { clock, heap, collections } = rig();
    heap.changed();
    clock.advance(2000);
    heap.changed();
    clock.advance(2999);
    expect(collections()).toBe(0);
    clock.advance(1);
    expect(collections()).toBe(1);
    clock.advance(60_000);
    expect([collections(), clock.pending]).toEqual([1, 0]);
  });

  it("waits for a busy thread to be idle", () => {
    const { clock, heap, collections } = rig([0.5, 0.06, 0.01]);
    heap.changed();
    clock.advance(6000);
    expect(collections()).toBe(0);
    clock.advance(3000);
    expect(collections()).toBe(1);
  });

  it("lets garbage go", () => {
    let garbage: unknown = Array.from({ length: 200_000 }, (_, index) => ({ index }));
    const before = process.memoryUsage().heapUsed;
    expect(garbage).toBeDefined();
    garbage = undefined;
    heapCollector()();
    expect(process.memoryUsage().heapUsed).toBeLessThan(before - 4_000_000);
  });
});
