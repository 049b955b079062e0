import fc from "fast-check";
import { expect, it } from "vitest";
import { jsonPatch } from "./patch.ts";
import { applyPatch } from "./testing/apply-patch.ts";

const json = fc.jsonValue({ maxDepth: 4 });

it("makes the one of the other", () => {
  fc.assert(
    fc.property(json, json, (before, after) => {
      expect(JSON.stringify(sorted(applyPatch(before, jsonPatch(before, after))))).toBe(JSON.stringify(sorted(after)));
    }),
    { numRuns: 200 },
  );
});

it("is empty for equals, and escapes names", () => {
  fc.assert(
    fc.property(json, (value) => void expect(jsonPatch(value, structuredClone(value))).toEqual([])),
    { numRuns: 50 },
  );
  expect(jsonPatch({}, { "a/b~c": 1 })).toEqual([{ op: "add", path: "/a~1b~0c", value: 1 }]);
  expect(jsonPatch({ list: [1] }, { list: [1, 2] })).toEqual([{ op: "add", path: "/list/-", value: 2 }]);
});

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  // JSON has no negative zero.
  if (typeof value !== "object" || value === null) return value === 0 ? 0 : value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}
