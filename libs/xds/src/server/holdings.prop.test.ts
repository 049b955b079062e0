import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { EncodedResource } from "../types.ts";
import { type Held, Holdings } from "./holdings.ts";
import { SharedWork } from "./shared-work.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

type Resources = ReadonlyMap<string, EncodedResource>;
const NAMES = ["a", "b", "c", "d", "e", "f"] as const;

const world: fc.Arbitrary<Resources> = fc
  .dictionary(fc.constantFrom(...NAMES), fc.integer({ min: 1, max: 3 }).map(String))
  .map(
    (versions) =>
      new Map(
        Object.entries(versions).map(([name, version]) => [
          name,
          { name, version, any: { typeUrl: "t", value: Buffer.from(version) } },
        ]),
      ),
  );

/** Two maps without common names as the one map that they make up. */
function layered(one: Resources, other: Resources): Resources {
  const rest = new Map([...other].filter(([name]) => !one.has(name)));
  return Object.assign(new Map([...one, ...rest]), { layers: [one, rest] });
}

const maps = fc.oneof(
  world,
  fc.tuple(world, world).map(([one, other]) => layered(one, other)),
);
const step = fc.oneof(
  fc.record({ kind: fc.constant("settle" as const), desired: maps, keep: fc.subarray([...NAMES]) }),
  fc.record({ kind: fc.constant("owe" as const), name: fc.constantFrom(...NAMES) }),
  fc.record({ kind: fc.constant("absent" as const), name: fc.constantFrom(...NAMES) }),
  fc.record({ kind: fc.constant("delete" as const), name: fc.constantFrom(...NAMES) }),
);

const said = (held: Held | undefined) =>
  held === undefined ? undefined : held.kind === "resource" ? held.resource.version : held.kind;

describe("Holdings", () => {
  it("are what a map of all that was entered would be", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), maps, (steps, next) => {
        const holdings = new Holdings();
        const model = new Map<string, string>();
        for (const one of steps) {
          if (one.kind === "settle") {
            const kept = one.keep.map((name) => [name, model.get(name)] as const);
            const absent = [...model].filter(([name, value]) => value === "absent" && !one.desired.has(name));
            holdings.settle(one.desired, one.keep);
            model.clear();
            for (const [name, { version }] of one.desired) model.set(name, version);
            for (const [name, value] of [...absent, ...kept]) if (value !== undefined) model.set(name, value);
          } else if (one.kind === "delete") {
            holdings.delete(one.name);
            model.delete(one.name);
          } else {
            const kind = one.kind === "owe" ? "owed" : "absent";
            holdings.set(one.name, { kind });
            model.set(one.name, kind);
          }
          for (const name of NAMES) expect(said(holdings.get(name))).toBe(model.get(name));
          expect(new Set(holdings.keys())).toEqual(new Set(model.keys()));
          expect(holdings.size).toBe(model.size);
          expect(holdings.resources).toBe([...model.values()].filter((value) => !/[a-z]/.test(value)).length);
        }
        const work = new SharedWork();
        const differing = holdings.differing(next, work);
        for (const name of NAMES) {
          if (!differing.has(name)) expect(said(holdings.get(name))).toBe(next.get(name)?.version);
        }
        const shared = holdings.shared(next, work);
        if (shared === undefined) return;
        const turned = new Map([...model]);
        for (const { upserted, removed } of shared) {
          for (const name of removed) turned.delete(name);
          for (const { name, version } of upserted) turned.set(name, version);
        }
        expect(turned).toEqual(new Map([...next].map(([name, { version }]) => [name, version])));
      }),
      { numRuns: 300 },
    );
  });

  it("of a client that says what it has are what it said", () => {
    const claims = fc.dictionary(fc.constantFrom(...NAMES), fc.integer({ min: 1, max: 3 }).map(String));
    fc.assert(
      fc.property(claims, fc.option(maps, { nil: undefined }), (versions, desired) => {
        const holdings = new Holdings();
        holdings.claim(new Map(Object.entries(versions)), desired);
        for (const name of NAMES) {
          const held = holdings.get(name);
          expect(held?.kind === "claimed" ? held.version : said(held)).toBe(versions[name]);
        }
        expect(holdings.hasClaims).toBe(Object.keys(versions).length > 0);
        expect(holdings.resources).toBe(Object.keys(versions).length);
      }),
    );
  });
});
