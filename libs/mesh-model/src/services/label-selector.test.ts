import { expect, it } from "vitest";
import { type LabelSelector, labelSelectorMatches } from "./label-selector.ts";

const LABELS = { app: "a", tier: "web" };

it.each<[string, LabelSelector, boolean]>([
  ["an empty one", {}, true],
  ["equal labels", { matchLabels: { app: "a" } }, true],
  ["another value", { matchLabels: { app: "b" } }, false],
  ["one of a list", { matchExpressions: [{ key: "app", operator: "In", values: ["a", "b"] }] }, true],
  ["none of a list", { matchExpressions: [{ key: "app", operator: "NotIn", values: ["a"] }] }, false],
  ["none of a list, without the label", { matchExpressions: [{ key: "x", operator: "NotIn", values: ["a"] }] }, true],
  ["a label that is there", { matchExpressions: [{ key: "tier", operator: "Exists" }] }, true],
  ["a label that is not there", { matchExpressions: [{ key: "x", operator: "DoesNotExist" }] }, true],
  ["a name that every object has", { matchExpressions: [{ key: "constructor", operator: "Exists" }] }, false],
])("%s", (_, selector, expected) => {
  expect(labelSelectorMatches(selector, LABELS)).toBe(expected);
});
