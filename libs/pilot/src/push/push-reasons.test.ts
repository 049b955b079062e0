import type { ResourceKey } from "@lateen/mesh-model";
import { expect, it } from "vitest";
import { objectsOf, pod, service } from "../testing/objects.ts";
import { pushReasons } from "./push-reasons.ts";

const [namespace] = objectsOf("{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }");

it.each([
  ["services", { upserted: [service("a", "shop", "10.0.0.1")], removed: [] }, false, ["service"]],
  [
    "pods, each once",
    { upserted: [pod("a", "shop", "1.1.1.1"), pod("b", "shop", "1.1.1.2")], removed: [] },
    false,
    ["endpoint"],
  ],
  [
    "what is gone",
    { upserted: [], removed: ["Pod/shop/a", "VirtualService/shop/a"] as ResourceKey[] },
    false,
    ["endpoint", "config"],
  ],
  ["settings", { upserted: [namespace!], removed: [] }, true, ["namespace", "global"]],
  ["nothing that is known", { upserted: [], removed: [] }, false, ["unknown"]],
])("are named for %s", (_title, change, settings, expected) => {
  expect([...pushReasons(change, settings)]).toEqual(expected);
});
