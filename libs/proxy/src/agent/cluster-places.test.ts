import { expect, it } from "vitest";
import { clusterSpec } from "../router/testing/rig.ts";
import { MAX_SHARED_CLUSTERS, SharedLoad } from "../upstream/shared-load.ts";
import { ClusterPlaces } from "./cluster-places.ts";

const bring = (places: ClusterPlaces, ...names: string[]) =>
  places.of({ clusters: names.map((name) => clusterSpec(name, [])) });

it("gives a cluster one place, and the place to another when it is gone and nothing is left there", () => {
  const places = new ClusterPlaces(2);
  const { a = -1, b = -1 } = bring(places, "a", "b");
  expect(a).not.toBe(b);
  expect(bring(places, "a")).toEqual({ a });
  new SharedLoad(places.memory, { index: a, high: true, worker: 1 }).set(2, 5);
  places.release(["a", "never"]);
  const after = bring(places, "c", "d");
  expect(after.c).toBe(a);
  expect([a, b]).not.toContain(after.d);
  expect(new SharedLoad(places.memory, { index: a, high: true, worker: 0 }).total(2)).toBe(0);
});

it("has no place for more clusters than there is room for", () => {
  const places = new ClusterPlaces(1);
  const names = Array.from({ length: MAX_SHARED_CLUSTERS + 1 }, (_, i) => `c${i}`);
  const given = bring(places, ...names);
  expect(Object.keys(given)).toHaveLength(MAX_SHARED_CLUSTERS);
  places.release(["c0"]);
  expect(bring(places, "late")).toEqual({ late: given.c0 });
});
