import { expect, it } from "vitest";
import type { Resource } from "../kinds/index.ts";
import { effectiveProxyConfig } from "./proxy-configs.ts";

type Spec = NonNullable<Resource<"ProxyConfig">["spec"]>;

function object(name: string, namespace: string, spec: Spec, creationTimestamp?: string): Resource<"ProxyConfig"> {
  return {
    apiVersion: "networking.istio.io/v1beta1",
    kind: "ProxyConfig",
    metadata: { name, namespace, ...(creationTimestamp === undefined ? {} : { creationTimestamp }) },
    spec,
  } as Resource<"ProxyConfig">;
}

const WEB = { matchLabels: { app: "web" } };
const root = object("root", "istio-system", { concurrency: 1, environmentVariables: { A: "root", B: "root" } });
const wide = object("wide", "shop", { environmentVariables: { A: "wide" }, image: { imageType: "wide" } });
const web = object("web", "shop", { selector: WEB, concurrency: 0, image: { imageType: "" } });
const api = object("api", "shop", { selector: { matchLabels: { app: "api" } }, concurrency: 9 });
const rootWeb = object("root-web", "istio-system", { selector: WEB, concurrency: 8 });

it.each<[string, readonly Resource<"ProxyConfig">[], object]>([
  ["nothing", [], {}],
  ["the root namespace's", [root], { concurrency: 1, environmentVariables: { A: "root", B: "root" } }],
  [
    "the namespace's over it, variables one by one",
    [wide, root],
    { concurrency: 1, environmentVariables: { A: "wide", B: "root" }, imageType: "wide" },
  ],
  [
    "the workload's over both, and nothing that it leaves open; 0 is something",
    [web, api, wide, root],
    { concurrency: 0, environmentVariables: { A: "wide", B: "root" }, imageType: "wide" },
  ],
  ["none of other workloads, nor of another namespace", [api, rootWeb, object("x", "other", { concurrency: 7 })], {}],
  [
    "the oldest of one level",
    [
      object("a", "shop", { concurrency: 5 }, "2026-02-01T00:00:00Z"),
      object("b", "shop", { concurrency: 4, environmentVariables: { A: "b" } }, "2026-01-01T00:00:00Z"),
    ],
    { concurrency: 4, environmentVariables: { A: "b" } },
  ],
  [
    "the first by name of equally old ones",
    [object("d", "shop", { concurrency: 5 }), object("c", "shop", { concurrency: 4 })],
    { concurrency: 4 },
  ],
])("%s", (_title, objects, expected) => {
  const workload = { rootNamespace: "istio-system", namespace: "shop", labels: { app: "web", version: "v1" } };
  const nothing = { concurrency: undefined, environmentVariables: {}, imageType: undefined };
  expect(effectiveProxyConfig(objects, workload)).toEqual({ ...nothing, ...expected });
});

it("a workload without labels is none of those that are selected", () => {
  const workload = { rootNamespace: "istio-system", namespace: "istio-system", labels: {} };
  expect(effectiveProxyConfig([rootWeb], workload).concurrency).toBeUndefined();
  expect(effectiveProxyConfig([rootWeb], { ...workload, labels: { app: "web" } }).concurrency).toBe(8);
});
