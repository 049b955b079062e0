import { expect, it } from "vitest";
import { nearestName } from "./nearest.ts";

it.each([
  ["timeuot", ["timeout", "retries"], "timeout"],
  ["destinaton", ["destination"], "destination"],
  ["trafficpolicy", ["trafficPolicy", "host"], "trafficPolicy"],
  ["prot", ["port", "protocol"], "port"],
  ["hosts", ["host", "hosts"], "hosts"],
  ["somethingElse", ["host", "port"], undefined],
  ["x", [], undefined],
  ["", ["a"], "a"],
])("%s among %j: %s", (word, candidates, expected) => {
  expect(nearestName(word, candidates)).toBe(expected);
});

it("stays quick on long words", () => {
  expect(nearestName("a".repeat(2000), ["b".repeat(10), "c".repeat(5000)])).toBeUndefined();
});

it.each([
  ["networking.istoi.io", "networking.istio.io"],
  ["networking.gke.io", undefined],
])("%s within a distance of 2: %s", (word, expected) => {
  expect(nearestName(word, ["networking.istio.io"], 2)).toBe(expected);
});
