import { describe, expect, it } from "vitest";
import { LayeredMap, layersOf } from "./layered-map.ts";

const a = new Map([["a", 1]]);
const b = new Map([
  ["b", 2],
  ["c", 3],
]);

describe("LayeredMap", () => {
  it("is one map of all its layers, in their order", () => {
    const map = new LayeredMap([a, b]);
    expect([...map]).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 3],
    ]);
    expect([...map.keys()]).toEqual(["a", "b", "c"]);
    expect([...map.values()]).toEqual([1, 2, 3]);
    expect(map.size).toBe(3);
    expect([map.get("c"), map.get("d"), map.has("a"), map.has("d")]).toEqual([3, undefined, true, false]);
    const seen: unknown[] = [];
    map.forEach((value, name) => {
      seen.push([name, value]);
    });
    expect(seen).toEqual([...map]);
  });

  it("takes the layers of layered maps, and any other map is its own layer", () => {
    expect(new LayeredMap([new LayeredMap([a]), b]).layers).toEqual([a, b]);
    expect(layersOf(a)).toEqual([a]);
    expect(layersOf(new LayeredMap([a, b]))).toEqual([a, b]);
  });
});
