import { LayeredMap } from "@lateen/kernel";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EncodedResource } from "../types.ts";
import { SharedWork } from "./shared-work.ts";

const resource = (name: string, version: string, bytes = 8): EncodedResource => ({
  name,
  version,
  any: { typeUrl: "t", value: Buffer.alloc(bytes) },
});
const world = fc
  .dictionary(fc.constantFrom("a", "b", "c", "d", "e"), fc.integer({ min: 1, max: 3 }).map(String))
  .map((versions) => new Map(Object.entries(versions).map(([name, version]) => [name, resource(name, version)])));

describe("SharedWork", () => {
  it("finds the difference of two full states, once for all who need it", () => {
    fc.assert(
      fc.property(world, world, (before, after) => {
        const work = new SharedWork();
        const { upserted, removed } = work.difference(before, after);
        expect(work.difference(before, after).upserted).toBe(upserted);
        const state = new Map([...before].map(([name, { version }]) => [name, version]));
        for (const name of removed) expect(state.delete(name)).toBe(true);
        for (const { name, version } of upserted) {
          expect(state.get(name)).not.toBe(version);
          state.set(name, version);
        }
        expect(state).toEqual(new Map([...after].map(([name, { version }]) => [name, version])));
      }),
    );
  });

  it("cuts lists into pieces of limited size without losing order or anything", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 500 })), fc.integer({ min: 1, max: 2000 }), (sizes, limit) => {
        const list = sizes.map((bytes, at) => resource(`r${at}`, "1", bytes));
        const { parts } = new SharedWork().parts(list, limit);
        expect(parts.flat()).toEqual(list);
        for (const part of parts) {
          expect(part.length).toBeGreaterThan(0);
          const bytes = part.reduce((sum, { any }) => sum + any.value.length, 0);
          if (part.length > 1) expect(bytes).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });

  it("says of layered maps what it says of plain ones, whatever it was asked before", () => {
    const layers = fc.array(fc.tuple(world, world), { minLength: 1, maxLength: 6 });
    const named = (map: ReadonlyMap<string, EncodedResource>, prefix: string) =>
      new Map([...map.values()].map((one) => [`${prefix}${one.name}`, { ...one, name: `${prefix}${one.name}` }]));
    const asked = fc.uniqueArray(fc.constantFrom("0a", "0b", "0e", "1a", "1c", "1d", "x"));
    fc.assert(
      fc.property(layers, asked, (steps, names) => {
        const work = new SharedWork();
        const list = work.names.with(undefined, names);
        for (const [first, second] of steps) {
          const parts = [named(first, "0"), named(second, "1")];
          const layered = new LayeredMap(parts);
          const plain = new Map(layered);
          const fresh = new SharedWork();
          expect([...work.within(layered, list)]).toEqual([...fresh.within(plain, list)]);
          expect(new Set(work.outside(layered, list))).toEqual(new Set(fresh.outside(plain, list)));
        }
      }),
    );
  });

  it("looks into the layers that changed only", () => {
    const work = new SharedWork();
    const layer = (of: number, version: string) =>
      new Map(Array.from({ length: 50 }, (_, at) => [`${of}/${at}`, resource(`${of}/${at}`, version)] as const));
    const layers = Array.from({ length: 64 }, (_, of) => layer(of, "1"));
    const before = new LayeredMap(layers);
    const names = work.names.with(undefined, [...before.keys()]);
    expect(work.within(before, names)).toBe(before);
    expect(work.outside(before, names)).toEqual([]);
    const looked = work.looks;
    const after = new LayeredMap(layers.with(7, layer(7, "2")));
    expect(work.within(after, names)).toBe(after);
    expect(work.outside(after, names)).toEqual([]);
    // 50 are compared, and looked for in the list.
    expect(work.looks - looked).toBeLessThanOrEqual(150);
  });

  it("puts a list into the protocol's words once", () => {
    const work = new SharedWork();
    const list = [resource("a", "1"), resource("b", "2")];
    expect(work.messages(list)).toBe(work.messages(list));
    expect(work.messages([...list])).toBe(work.messages(list));
    expect(work.messages(list.slice(0, 1))).not.toBe(work.messages(list));
    expect(work.messages(list.slice(0, 1))[0]).toBe(work.messages(list)[0]);
    expect(work.messages(list).map(({ name, version }) => `${name}@${version}`)).toEqual(["a@1", "b@2"]);
  });
});
