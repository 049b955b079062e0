import { describe, expect, it } from "vitest";
import { HISTOGRAM_BOUNDS, Slots } from "./slots.ts";

describe("Slots", () => {
  it("gives a series one slot, whoever asks", () => {
    let told = 0;
    const slots = new Slots(new SharedArrayBuffer(64 * 1024), () => told++);
    const first = slots.counter("a", { x: "1" });
    expect(slots.counter("a", { x: "1" })).toBe(first);
    expect(slots.counter("a", { x: "2" })).not.toBe(first);
    expect(slots.takeFresh().map(({ name, labels }) => [name, labels])).toEqual([
      ["a", { x: "1" }],
      ["a", { x: "2" }],
    ]);
    expect(told).toBe(1);
    expect(slots.takeFresh()).toEqual([]);
  });

  it("puts observations into the bucket of the first bound that holds them", () => {
    const slots = new Slots(new SharedArrayBuffer(64 * 1024), () => {});
    const histogram = slots.histogram("h", {});
    for (const value of [0.5, 0.6, 5_000_000]) slots.observe(histogram, value);
    expect(slots.values[histogram]).toBe(1);
    expect(slots.values[histogram + 1]).toBe(1);
    expect(slots.values[histogram + HISTOGRAM_BOUNDS.length]).toBe(1);
    expect(slots.values[histogram + HISTOGRAM_BOUNDS.length + 1]).toBe(5_000_001.1);
  });

  it("counts on under an overflow label when memory is used up", () => {
    const slots = new Slots(new SharedArrayBuffer(16 * 1024), () => {});
    const made = Array.from({ length: 5000 }, (_, i) => slots.counter("many", { i: String(i) }));
    for (const slot of made) slots.add(slot, 1);
    const definitions = slots.takeFresh();
    const total = definitions.reduce((sum, { slot }) => sum + (slots.values[slot] ?? 0), 0);
    expect(total).toBe(5000);
    expect(definitions.at(-1)?.labels).toEqual({ overflow: "__overflow__" });
  });
});
