import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { EncodedResource } from "../types.ts";
import { NameSet } from "./name-set.ts";
import { SharedWork } from "./shared-work.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

type Resources = ReadonlyMap<string, EncodedResource>;
const resource = (name: string): EncodedResource => ({
  name,
  version: "1",
  any: { typeUrl: "t", value: Buffer.from(name) },
});
const all = (names: Iterable<string>): Resources => new Map([...names].map((name) => [name, resource(name)]));

/** Lists are long often enough to be shared. */
const names = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 150 }), { maxLength: 6 }),
  fc
    .tuple(fc.integer({ min: 0, max: 80 }), fc.integer({ min: 60, max: 90 }))
    .map(([from, length]) => Array.from({ length }, (_, at) => from + at)),
);
const step = fc.record({ kind: fc.constantFrom("add", "delete", "within", "outside"), names });

describe("NameSet", () => {
  it("is a set, whatever part of it is shared, and tells what of everything is asked for", () => {
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 12 }), { minLength: 2, maxLength: 3 }), (streams) => {
        const work = new SharedWork();
        for (const steps of streams) {
          const set = new NameSet(work);
          const model = new Set<string>();
          for (const { kind, names: numbers } of steps) {
            const list = numbers.map((number) => `n${number}`);
            const world = all(list);
            if (kind === "add") {
              set.add(list);
              for (const name of list) model.add(name);
            } else if (kind === "delete") {
              set.delete(list);
              for (const name of list) model.delete(name);
            } else if (kind === "within") {
              const expected = [...world.keys()].filter((name) => model.has(name));
              expect([...set.within(world).keys()]).toEqual(expected);
              if (expected.length === world.size) expect(set.within(world)).toBe(world);
            } else {
              const expected = [...model].filter((name) => !world.has(name));
              expect(new Set(set.outside(world))).toEqual(new Set(expected));
            }
            expect(set.size).toBe(model.size);
            expect(new Set(set)).toEqual(model);
            expect(new Set(set.toSet())).toEqual(model);
            for (const number of [0, 70, 150]) expect(set.has(`n${number}`)).toBe(model.has(`n${number}`));
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it("gives clients that asked alike the identical part", () => {
    const work = new SharedWork();
    const world = all(Array.from({ length: 200 }, (_, at) => `n${at}`));
    const parts = [0, 1].map(() => {
      const set = new NameSet(work);
      set.add(Array.from({ length: 100 }, (_, at) => `n${at}`));
      set.add(["n150", "n140"]);
      return set.within(world);
    });
    expect(parts[0]?.size).toBe(102);
    expect(parts[1]).toBe(parts[0]);
  });
});
