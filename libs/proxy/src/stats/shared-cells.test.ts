import { describe, expect, it } from "vitest";
import { SHARED_CELL_BYTES, SharedCells } from "./shared-cells.ts";

describe("shared cells", () => {
  it("workers with the same memory meet at the same cell", () => {
    const memory = new SharedArrayBuffer(SHARED_CELL_BYTES);
    const [one, two] = [new SharedCells(memory), new SharedCells(memory)];
    expect(one.find("a").exchange(0, 1_800_000_000_000_123)).toBe(0);
    expect(two.find("a").load()).toBe(1_800_000_000_000_123);
    expect(two.find("b").load()).toBe(0);
    expect(two.find("a").exchange(5, 7)).toBe(1_800_000_000_000_123);
    expect(one.find("a").load()).toBe(1_800_000_000_000_123);
  });

  it("what finds no place counts for itself", () => {
    const cells = new SharedCells(new SharedArrayBuffer(16 * 2));
    for (const name of ["a", "b"]) cells.find(name).exchange(0, 1);
    const spare = cells.find("c");
    expect(spare.load()).toBe(0);
    expect(spare.exchange(0, 2)).toBe(0);
    expect([cells.find("a").load(), cells.find("b").load(), spare.load()]).toEqual([1, 1, 2]);
  });
});
