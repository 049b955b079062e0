import { describe, expect, it } from "vitest";
import { NameLists } from "./name-list.ts";

const many = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `name-${from + at}`);

describe("NameLists", () => {
  it("gives the same list to all who arrive at it in the same way", () => {
    const lists = new NameLists();
    const one = lists.with(lists.with(undefined, many(0, 100)), many(100, 200));
    const other = lists.with(lists.with(undefined, many(0, 100)), many(100, 200));
    expect(one).toBe(other);
    expect([...one]).toEqual(many(0, 200));
    const third = lists.without(one, many(50, 60));
    expect(lists.without(other, many(50, 60))).toBe(third);
    expect([...third]).toEqual([...many(0, 50), ...many(60, 200)]);
  });

  it("leaves lists as they are, and stays with them where nothing changes", () => {
    const lists = new NameLists();
    const base = lists.with(undefined, ["a", "b"]);
    expect([...lists.with(base, ["c"])]).toEqual(["a", "b", "c"]);
    expect([...lists.without(base, ["a"])]).toEqual(["b"]);
    expect([...base]).toEqual(["a", "b"]);
    expect(lists.with(base, ["a"])).toBe(base);
    expect(lists.without(base, ["x"])).toBe(base);
  });

  it("does not grow deeper with every step", () => {
    const lists = new NameLists();
    let list = lists.with(undefined, ["first"]);
    for (let step = 0; step < 100; step++) list = lists.with(list, [`step-${step}`]);
    expect(list).toMatchObject({ size: 101 });
    expect(list.depth).toBeLessThan(10);
  });

  it("remembers a bounded amount, whatever clients ask for", () => {
    const lists = new NameLists();
    for (let client = 0; client < 400; client++) lists.with(undefined, [`${client}`.repeat(3), "x".repeat(50_000)]);
    expect(lists.characters).toBeLessThanOrEqual(8 * 1024 * 1024);
    const before = lists.characters;
    lists.with(undefined, ["y".repeat(2_000_000)]);
    expect(lists.characters).toBe(before);
  });
});
