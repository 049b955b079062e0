import { defaultMeshConfig, type MeshConfig, type ProxyConfig } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { proxySettings } from "./proxy-settings.ts";

function proxyConfig(name: string, namespace: string, spec: ProxyConfig["spec"]): ProxyConfig {
  return {
    apiVersion: "networking.istio.io/v1beta1",
    kind: "ProxyConfig",
    metadata: { name, namespace },
    spec,
  } as ProxyConfig;
}

const mesh = defaultMeshConfig();
const config: MeshConfig = {
  ...mesh,
  defaultConfig: {
    ...mesh.defaultConfig,
    concurrency: 2,
    proxyMetadata: { A: "mesh" },
    terminationDrainDurationMs: 7000,
  },
};
const settings = (proxyConfigs: readonly ProxyConfig[], annotation?: string, base = config) =>
  proxySettings({
    config: base,
    proxyConfigs,
    pod: {
      namespace: "shop",
      labels: { app: "web" },
      annotations: annotation === undefined ? {} : { "proxy.istio.io/config": annotation },
    },
    processors: 4,
  });

const root = proxyConfig("root", "istio-system", { concurrency: 3, environmentVariables: { B: "root" } });
const own = proxyConfig("own", "shop", { concurrency: 5, environmentVariables: { B: "own" } });
const web = proxyConfig("web", "shop", { selector: { matchLabels: { app: "web" } }, concurrency: 6 });
const other = proxyConfig("other", "shop", { selector: { matchLabels: { app: "api" } }, concurrency: 9 });

describe("threads and variables", () => {
  it.each<[string, readonly ProxyConfig[], string | undefined, string, Record<string, string>]>([
    ["of the mesh", [], undefined, "2", { A: "mesh" }],
    ["of the root namespace", [root], undefined, "3", { A: "mesh", B: "root" }],
    ["of the namespace", [root, own], undefined, "5", { A: "mesh", B: "own" }],
    ["of the workload", [web, own, root, other], undefined, "6", { A: "mesh", B: "own" }],
    ["of the pod", [web], "concurrency: 7\nproxyMetadata: { A: pod }", "7", { A: "pod" }],
    ["of a pod whose annotation cannot be read", [web], "concurrency: [", "6", { A: "mesh" }],
    ["for every processor", [], "concurrency: 0", "4", { A: "mesh" }],
    ["at most 64", [], "concurrency: 1000", "64", { A: "mesh" }],
  ])("%s", (_title, objects, annotation, concurrency, environment) => {
    const made = settings(objects, annotation);
    expect(made.flags.concurrency).toBe(concurrency);
    expect(made.environment).toEqual(environment);
  });

  it("are the proxy's own choice where nobody says anything", () => {
    expect(settings([], undefined, mesh).flags).toEqual({ "drain-time": "5s", "drain-duration": "45s" });
  });
});

it("gives requests time to finish", () => {
  expect(settings([])).toMatchObject({ drainMs: 7000, flags: { "drain-time": "7s" } });
  expect(settings([], "terminationDrainDuration: 1500ms")).toMatchObject({
    drainMs: 1500,
    flags: { "drain-time": "1.5s", "drain-duration": "45s" },
  });
  expect(settings([], "drainDuration: 90s").flags).toMatchObject({ "drain-time": "7s", "drain-duration": "90s" });
});

it("says what the bootstrap of a stock Envoy is told, the pod's own before the mesh's", () => {
  const stats = { proxyStatsMatcher: { inclusionPrefixes: ["http"] } };
  const ofMesh = {
    ...mesh,
    defaultConfig: { ...mesh.defaultConfig, bootstrap: { ...stats, runtimeValues: { a: "1" } } },
  };
  expect(settings([], undefined).bootstrap).toEqual({});
  expect(settings([], undefined, ofMesh).bootstrap).toEqual({ ...stats, runtimeValues: { a: "1" } });
  expect(settings([], "runtimeValues: { b: '2' }", ofMesh).bootstrap).toEqual({ ...stats, runtimeValues: { b: "2" } });
});
