import type { ResourceKey } from "@lateen/mesh-model";
import { expect, it } from "vitest";
import type { WorldChange } from "../feed/world.ts";
import { StatusTimes } from "./status-times.ts";

const KEY = "HTTPRoute/shop/cart" as ResourceKey;
const metadata = { namespace: "shop", name: "cart" };
const written = { upserted: [{ kind: "HTTPRoute", metadata }], removed: [] } as unknown as WorldChange;
const other: WorldChange = { upserted: [], removed: [] };

const parent = (name: string, accepted: string, resolved = "True") => ({
  parentRef: { name },
  conditions: [
    { type: "Accepted", status: accepted },
    { type: "ResolvedRefs", status: resolved },
  ],
});
const status = (...parents: readonly ReturnType<typeof parent>[]) => ({ parents });
function timesOf(times: StatusTimes, found: ReturnType<typeof status>): unknown {
  const { parents } = times.stamped(KEY, found) as {
    readonly parents: readonly { readonly conditions: readonly { readonly lastTransitionTime?: string }[] }[];
  };
  return parents.map(({ conditions }) => conditions.map(({ lastTransitionTime }) => lastTransitionTime));
}

it("a condition keeps its time until its status is another", () => {
  const times = new StatusTimes();
  times.observe(written, () => status(parent("a", "False")), "1");
  times.observe(written, () => status(parent("a", "False")), "2");
  expect(timesOf(times, status(parent("a", "False")))).toEqual([["1", "1"]]);
  // The Gateway came: nothing of the route itself was changed.
  times.observe(other, () => status(parent("a", "True")), "3");
  expect(timesOf(times, status(parent("a", "True")))).toEqual([["3", "1"]]);
});

it("a parent has its times wherever it is in the list", () => {
  const times = new StatusTimes();
  times.observe(written, () => status(parent("a", "True")), "1");
  const both = status(parent("b", "True"), parent("a", "True"));
  times.observe(written, () => both, "2");
  expect(timesOf(times, both)).toEqual([
    ["2", "2"],
    ["1", "1"],
  ]);
});

it("an object that was removed begins anew", () => {
  const times = new StatusTimes();
  const found = status(parent("a", "True"));
  times.observe(written, () => found, "1");
  times.observe({ upserted: [], removed: [KEY] }, () => found, "2");
  expect(times.stamped(KEY, found)).toEqual(found);
  times.observe(written, () => found, "3");
  expect(timesOf(times, found)).toEqual([["3", "3"]]);
});

it("what cannot be said now has the times it had", () => {
  const times = new StatusTimes();
  const found = status(parent("a", "True"));
  times.observe(written, () => found, "1");
  const fails = () => {
    throw new Error("no");
  };
  expect(() => times.observe(written, fails, "2")).not.toThrow();
  expect(timesOf(times, found)).toEqual([["1", "1"]]);
});
