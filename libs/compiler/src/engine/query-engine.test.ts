import { describe, expect, it } from "vitest";
import { defineQuery, QueryEngine } from "./query-engine.ts";

/** Counts how often each query ran since the last look. */
function worked(engine: QueryEngine): Readonly<Record<string, number>> {
  const { computed } = engine.stats();
  engine.resetStats();
  return computed;
}

const number = defineQuery<string, number>({ name: "number", compute: (read, cell) => Number(read.input(cell) ?? 0) });
const parity = defineQuery<string, number>({ name: "parity", compute: (read, cell) => read.ask(number, cell) % 2 });
const label = defineQuery<string, string>({
  name: "label",
  compute: (read, cell) => (read.ask(parity, cell) === 0 ? "even" : "odd"),
});
const sum = defineQuery<string, number>({
  name: "sum",
  compute: (read, cells) => cells.split(",").reduce((total, cell) => total + read.ask(number, cell), 0),
});

describe("what is recomputed", () => {
  it("nothing, while nothing it read changed", () => {
    const engine = new QueryEngine();
    engine.set([["a", 1]]);
    expect(engine.ask(label, "a")).toBe("odd");
    worked(engine);
    engine.set([["b", 1]]);
    expect(engine.ask(label, "a")).toBe("odd");
    expect(worked(engine)).toEqual({});
  });

  it("only what read the changed cell", () => {
    const engine = new QueryEngine();
    engine.set([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
    expect([engine.ask(sum, "a,b"), engine.ask(sum, "b,c"), engine.ask(sum, "c")]).toEqual([3, 5, 3]);
    worked(engine);
    engine.set([["a", 5]]);
    expect([engine.ask(sum, "a,b"), engine.ask(sum, "b,c"), engine.ask(sum, "c")]).toEqual([7, 5, 3]);
    expect(worked(engine)).toEqual({ number: 1, sum: 1 });
  });

  it("stops where an answer comes out the same", () => {
    const engine = new QueryEngine();
    engine.set([["a", 1]]);
    engine.ask(label, "a");
    worked(engine);
    engine.set([["a", 3]]);
    expect(engine.ask(label, "a")).toBe("odd");
    expect(worked(engine)).toEqual({ number: 1, parity: 1 });
  });

  it("once per change, however many ask", () => {
    const engine = new QueryEngine();
    engine.set([["a", 1]]);
    for (const _ of [1, 2, 3]) engine.ask(label, "a");
    expect(worked(engine)).toEqual({ label: 1, number: 1, parity: 1 });
  });

  it("several changes before the next question count as one", () => {
    const engine = new QueryEngine();
    engine.set([["a", 1]]);
    engine.ask(label, "a");
    worked(engine);
    for (const value of [2, 3, 4]) engine.set([["a", value]]);
    expect(engine.ask(label, "a")).toBe("even");
    expect(worked(engine)).toEqual({ label: 1, number: 1, parity: 1 });
  });
});

describe("reads that depend on answers", () => {
  const either = defineQuery<string, number>({
    name: "either",
    compute: (read) => (read.input("useA") === true ? read.ask(number, "a") : read.ask(number, "b")),
  });

  it("forget what is no longer read", () => {
    const engine = new QueryEngine();
    engine.set([
      ["useA", true],
      ["a", 1],
      ["b", 2],
    ]);
    expect(engine.ask(either, "")).toBe(1);
    engine.set([["useA", false]]);
    expect(engine.ask(either, "")).toBe(2);
    worked(engine);
    engine.set([["a", 9]]);
    expect(engine.ask(either, "")).toBe(2);
    expect(worked(engine)).toEqual({});
  });
});

describe("what is looked at", () => {
  const NAMES = Array.from({ length: 1000 }, (_, at) => `n${at}`);
  const sum = defineQuery<string, number>({
    name: "sum",
    compute: (read) => NAMES.reduce((total, name) => total + read.ask(parity, name), 0),
  });

  it("is what changed, when a result of many others holds", () => {
    const engine = new QueryEngine();
    engine.set(NAMES.map((name) => [name, 1]));
    expect(engine.ask(sum, "")).toBe(1000);
    engine.resetStats();
    engine.set([["n500", 3]]);
    expect(engine.ask(sum, "")).toBe(1000);
    expect(engine.stats().looked).toBeLessThan(10);
    engine.set([["n500", 4]]);
    expect(engine.ask(sum, "")).toBe(999);
  });

  it("may be out of date: a result that is not read any more may fail", () => {
    const strict = defineQuery<string, number>({
      name: "strict",
      compute: (read, name) => {
        if (read.input(name) === undefined) throw new TypeError("gone");
        return Number(read.input(name));
      },
    });
    const all = defineQuery<string, number>({
      name: "all",
      compute: (read) =>
        (read.input("names") as readonly string[]).reduce((total, name) => total + read.ask(strict, name), 0),
    });
    const engine = new QueryEngine();
    engine.set([
      ["a", 1],
      ["b", 2],
      ["names", ["a", "b"]],
    ]);
    expect(engine.ask(all, "")).toBe(3);
    engine.set([
      ["b", undefined],
      ["names", ["a"]],
    ]);
    expect(engine.ask(all, "")).toBe(1);
  });
});

describe("identity", () => {
  it("an equal answer keeps the old object", () => {
    const list = defineQuery<string, readonly number[]>({
      name: "list",
      compute: (read) => [Number(read.input("a")) > 0 ? 1 : 0],
      equal: (before, after) => before.join() === after.join(),
    });
    const engine = new QueryEngine();
    engine.set([["a", 1]]);
    const before = engine.ask(list, "");
    engine.set([["a", 2]]);
    expect(engine.ask(list, "")).toBe(before);
    engine.set([["a", 0]]);
    expect(engine.ask(list, "")).not.toBe(before);
  });

  it("setting the same value is no change", () => {
    const engine = new QueryEngine();
    engine.set([["a", 1]]);
    const { revision } = engine;
    engine.set([["a", 1]]);
    expect(engine.revision).toBe(revision);
  });
});

describe("failures", () => {
  it("a query that reads itself is an error, not a hang", () => {
    const loop: ReturnType<typeof defineQuery<string, number>> = defineQuery<string, number>({
      name: "loop",
      compute: (read, cell) => read.ask(loop, cell),
    });
    expect(() => new QueryEngine().ask(loop, "a")).toThrow("query loop a reads itself");
  });

  it("a query that failed is tried again", () => {
    const strict = defineQuery<string, number>({
      name: "strict",
      compute: (read, cell) => {
        const value = read.input(cell);
        if (typeof value !== "number") throw new TypeError("not a number");
        return value;
      },
    });
    const engine = new QueryEngine();
    expect(() => engine.ask(strict, "a")).toThrow("not a number");
    engine.set([["a", 1]]);
    expect(engine.ask(strict, "a")).toBe(1);
    engine.set([["a", "x"]]);
    expect(() => engine.ask(strict, "a")).toThrow("not a number");
    engine.set([["a", 2]]);
    expect(engine.ask(strict, "a")).toBe(2);
  });
});

describe("forgetting", () => {
  it("drops what nobody asked for lately, with what only that read", () => {
    const engine = new QueryEngine();
    engine.set([
      ["a", 1],
      ["b", 1],
    ]);
    engine.ask(label, "a");
    engine.ask(label, "b");
    expect(engine.stats().memos).toBe(6);
    engine.set([["c", 1]]);
    engine.ask(label, "a");
    engine.forget(engine.revision);
    expect(engine.stats().memos).toBe(3);
    expect(engine.ask(label, "b")).toBe("odd");
  });
});
