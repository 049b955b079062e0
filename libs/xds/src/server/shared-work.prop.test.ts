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
