import { resourceKey } from "@lateen/mesh-model";
import type { AcceptedObject, StateDelta } from "@lateen/ports";
import { expect, it } from "vitest";
import { rateLimitsOfConfigMap } from "./follow-config-map.ts";

const KEY = resourceKey("ConfigMap", "istio-system", "ratelimit-config");
const PLACE = "ConfigMap/istio-system/ratelimit-config#";

function delta(data: Record<string, string> | undefined, options: Partial<StateDelta<AcceptedObject>> = {}) {
  const object = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "ratelimit-config", namespace: "istio-system" },
    ...(data === undefined ? {} : { data }),
  };
  const value = { object } as unknown as AcceptedObject;
  const upserted = data === undefined ? [] : [{ key: KEY, value, revision: 1 }];
  return { snapshot: false, revision: 1, upserted, removed: [], ...options };
}

it("tells keys that come, change and go, each once", () => {
  const changes = rateLimitsOfConfigMap("istio-system");
  expect(changes(delta({ a: "1", b: "2" }, { snapshot: true }))).toEqual([
    { name: `${PLACE}a`, text: "1" },
    { name: `${PLACE}b`, text: "2" },
  ]);
  expect(changes(delta({ a: "1", b: "3", c: "4" }))).toEqual([
    { name: `${PLACE}b`, text: "3" },
    { name: `${PLACE}c`, text: "4" },
  ]);
  expect(changes(delta(undefined))).toEqual([]);
  expect(changes(delta({ a: "1", b: "3" }, { snapshot: true }))).toEqual([{ name: `${PLACE}c`, text: undefined }]);
  expect(changes(delta(undefined, { removed: [KEY] }))).toEqual([
    { name: `${PLACE}a`, text: undefined },
    { name: `${PLACE}b`, text: undefined },
  ]);
  expect(changes(delta(undefined, { removed: [KEY] }))).toEqual([]);
});

it("takes a snapshot without the ConfigMap for its end", () => {
  const changes = rateLimitsOfConfigMap("istio-system");
  changes(delta({ a: "1" }, { snapshot: true }));
  expect(changes(delta(undefined, { snapshot: true }))).toEqual([{ name: `${PLACE}a`, text: undefined }]);
});

it("heeds no ConfigMap of another namespace", () => {
  expect(rateLimitsOfConfigMap("other")(delta({ a: "1" }, { snapshot: true }))).toEqual([]);
});
