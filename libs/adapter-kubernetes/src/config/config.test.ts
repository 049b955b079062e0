import { decodeObject, keyOf, type Resource } from "@lateen/mesh-model";
import type { AcceptedObject, RawDocument, RejectedObject } from "@lateen/ports";
import { eventually } from "@lateen/test-support";
import { describe, expect, it, onTestFinished } from "vitest";
import { testCluster } from "../testing/cluster.ts";
import { Collector } from "../testing/collector.ts";
import { configMap, virtualService } from "../testing/objects.ts";
import { kubernetesConfigSource } from "./kubernetes-source.ts";
import { kubernetesConfigStore } from "./kubernetes-store.ts";
import { kubernetesConfigWriter } from "./kubernetes-writer.ts";

const ISTIO = { group: "networking.istio.io", namespaced: true, status: true };
const VIRTUAL_SERVICES = { ...ISTIO, versions: ["v1", "v1beta1"], plural: "virtualservices", kind: "VirtualService" };
const WORKLOAD_ENTRIES = { ...ISTIO, versions: ["v1beta1"], plural: "workloadentries", kind: "WorkloadEntry" };
const FILE = "kubernetes/VirtualService/shop/cart";

async function watching(...objects: readonly Readonly<Record<string, unknown>>[]) {
  return watchingAs("default", ...objects);
}

async function watchingAs(revision: string, ...objects: readonly Readonly<Record<string, unknown>>[]) {
  const cluster = await testCluster(onTestFinished, { resources: [VIRTUAL_SERVICES] });
  cluster.server.apply(...objects);
  const collector = new Collector<RawDocument>();
  let first = true;
  const started = kubernetesConfigSource(cluster.api, { ...cluster.options, revision }).watch(
    cluster.scope,
    (documents) => {
      const told = documents.map((one) => [one.file, one.text === undefined ? undefined : one] as const);
      collector.receive({ snapshot: first, changes: new Map(told) });
      first = false;
    },
  );
  await started;
  return { ...cluster, collector };
}

describe("configuration in the API server", () => {
  it("comes as documents of what users wrote, with generation and time", async () => {
    const noted = virtualService("cart") as { readonly metadata: object };
    const annotations = { "kubectl.kubernetes.io/last-applied-configuration": "{}", mine: "1" };
    const { collector } = await watching(
      { ...noted, metadata: { ...noted.metadata, annotations, managedFields: [{}] }, status: { conditions: [] } },
      configMap("istio", { mesh: "" }, "istio-system"),
      configMap("other", {}, "istio-system"),
    );
    expect(collector.keys).toEqual(["kubernetes/ConfigMap/istio-system/istio", FILE]);
    const { text, value } = collector.state.get(FILE) as RawDocument;
    expect(value).toEqual({
      ...noted,
      metadata: {
        name: "cart",
        namespace: "shop",
        annotations: { mine: "1" },
        creationTimestamp: "2026-01-01T00:00:00Z",
        generation: 1,
      },
    });
    expect(JSON.parse(text ?? "")).toEqual(value);
    expect(decodeObject(value, { file: FILE, line: 1, column: 1 }).ok).toBe(true);
  });

  it("of another revision is not there, and the mesh configuration is the revision's own under the common name", async () => {
    const labelled = (name: string, revision: string) => {
      const rule = virtualService(name) as { readonly metadata: object };
      return { ...rule, metadata: { ...rule.metadata, labels: { "istio.io/rev": revision } } };
    };
    const { collector, server } = await watchingAs(
      "canary",
      virtualService("cart"),
      labelled("new", "canary"),
      labelled("old", "default"),
      configMap("istio", { mesh: "a" }, "istio-system"),
      configMap("istio-canary", { mesh: "b" }, "istio-system"),
      configMap("ratelimit-config", {}, "istio-system"),
    );
    const map = "kubernetes/ConfigMap/istio-system/istio-canary";
    expect(collector.keys).toEqual([
      map,
      "kubernetes/ConfigMap/istio-system/ratelimit-config",
      FILE,
      "kubernetes/VirtualService/shop/new",
    ]);
    expect(collector.state.get(map)?.value).toMatchObject({ metadata: { name: "istio" }, data: { mesh: "b" } });
    server.apply(labelled("cart", "default"));
    await collector.until(({ state }) => !state.has(FILE));
  });

  it("changes by what users write, not by statuses", async () => {
    const { server, collector } = await watching(virtualService("cart"));
    const found = server.get("networking.istio.io/v1", "VirtualService", "cart", "shop");
    server.apply({ ...found, status: { observedGeneration: 1 } });
    server.apply(virtualService("pay"));
    server.delete("networking.istio.io/v1", "VirtualService", "cart", "shop");
    await collector.until(({ state }) => !state.has(FILE));
    expect(collector.later).toEqual(["+kubernetes/VirtualService/shop/pay", `-${FILE}`]);
  });

  it("of kinds that are installed later comes then, also under an older version", async () => {
    const { server, collector } = await watching();
    expect(collector.deliveries).toEqual([[]]);
    server.install(WORKLOAD_ENTRIES);
    server.apply({
      apiVersion: "networking.istio.io/v1beta1",
      kind: "WorkloadEntry",
      metadata: { name: "vm", namespace: "shop" },
      spec: { address: "10.0.0.9" },
    });
    await collector.until(({ state }) => state.size === 1);
    const value = collector.state.get("kubernetes/WorkloadEntry/shop/vm")?.value;
    expect(decodeObject(value, { file: "x", line: 1, column: 1 }).ok).toBe(true);
  });
});

function decoded(value: unknown): Resource {
  const result = decodeObject(value, { file: FILE, line: 1, column: 1 });
  if (!result.ok) throw new Error(JSON.stringify(result.diagnostics));
  return result.object;
}
const accepted = (object: Resource, ownerFile: string | undefined = FILE): AcceptedObject => ({
  object,
  ownerFile,
  revision: 1,
  origin: { file: FILE, line: 1, column: 1 },
});
const rejection = (object: Resource): RejectedObject => ({
  key: keyOf(object),
  kind: object.kind,
  namespace: object.metadata.namespace,
  name: object.metadata.name,
  file: FILE,
  diagnostics: [
    { level: "error", code: "LTN1001", message: "no", path: "spec", origin: { file: FILE, line: 1, column: 1 } },
  ],
  lastGoodServes: true,
});

describe("what galley remembers in a cluster", () => {
  const good = decoded(virtualService("cart"));
  const noChange = { revision: 2, upserted: [], removed: [], rejected: [] };

  async function store(token: number | undefined = 1) {
    const cluster = await testCluster(onTestFinished);
    const open = (fencingToken: number | undefined = token) =>
      kubernetesConfigStore(cluster.api, { ...cluster.options, fencingToken: () => fencingToken });
    const stored = () => cluster.server.get("v1", "ConfigMap", "lateen-galley", "istio-system");
    return { ...cluster, open, stored };
  }

  it("is the last good version of what went bad, over a restart; everything else is the API server's", async () => {
    const { open } = await store();
    const first = open();
    const { revision, objects } = await first.load();
    expect([objects.size, revision > 1e12]).toEqual([0, true]);
    const other = decoded(virtualService("pay"));
    await first.commit({ ...noChange, upserted: [accepted(good), accepted(other)] });
    await first.commit({ ...noChange, rejected: [rejection(good)] });
    await first.close();
    const again = await open().load();
    expect([...again.objects.values()].map(({ object }) => object)).toEqual([good]);
    expect(again.rejected).toEqual([rejection(good)]);
    expect(again.revision).toBeGreaterThanOrEqual(revision);
  });

  it("is not written while nothing was rejected, nor by one who does not lead", async () => {
    const { open, stored } = await store();
    const leader = open();
    await leader.load();
    await leader.commit({ ...noChange, upserted: [accepted(good)] });
    await leader.close();
    expect(stored()).toBeUndefined();
    const replica = kubernetesConfigStore((await store()).api);
    await replica.load();
    await replica.commit({ ...noChange, rejected: [rejection(good)] });
    await replica.close();
    expect(stored()).toBeUndefined();
  });

  it("is not overwritten by a former leader", async () => {
    const { open, stored } = await store();
    const [former, later] = [open(1), open(2)];
    await former.load();
    await later.load();
    await later.commit({ ...noChange, upserted: [accepted(good)], rejected: [rejection(good)] });
    await later.close();
    const written = stored()?.metadata.resourceVersion;
    await former.commit({ ...noChange, rejected: [{ ...rejection(good), name: "stale" }] });
    await former.close();
    expect(stored()?.metadata.resourceVersion).toBe(written);
  });

  it("waits for nobody: what cannot be written is tried again", async () => {
    const { open, server, stored } = await store();
    const one = open();
    await one.load();
    const restore = server.fault(({ verb }) => (verb === "create" ? { status: 500 } : undefined));
    await one.commit({ ...noChange, upserted: [accepted(good)], rejected: [rejection(good)] });
    await eventually("an attempt", async () =>
      server.requests.some(({ verb }) => verb === "create") ? true : undefined,
    );
    restore();
    await eventually("the record", async () => stored());
  });

  it("that cannot be read is left behind", async () => {
    const { open, server } = await store();
    server.apply({ ...configMap("lateen-galley", {}, "istio-system"), binaryData: { "state.json.gz": "!!" } });
    expect((await open().load()).objects.size).toBe(0);
  });

  it("is no place for objects given by command", async () => {
    const { open } = await store();
    const one = open();
    await one.load();
    const commanded = { ...accepted(good), ownerFile: undefined };
    await expect(one.commit({ ...noChange, upserted: [commanded] })).rejects.toMatchObject({ code: "LTN6506" });
  });
});

describe("objects that the mesh makes", () => {
  const entry = (address: string) =>
    decoded({
      apiVersion: "networking.istio.io/v1",
      kind: "WorkloadEntry",
      metadata: { name: "vm", namespace: "shop" },
      spec: { address },
    });

  it("are created, replaced and removed, whoever else changes them", async () => {
    const entries = { ...WORKLOAD_ENTRIES, versions: ["v1"] };
    const { api, server } = await testCluster(onTestFinished, { resources: [entries] });
    const writer = kubernetesConfigWriter(api);
    const spec = () => server.get("networking.istio.io/v1", "WorkloadEntry", "vm", "shop")?.spec;
    await writer.write({ upserted: [entry("10.0.0.1")], removed: [] });
    expect(spec()).toEqual({ address: "10.0.0.1" });
    let conflicts = 2;
    server.fault(({ verb }) => (verb === "update" && conflicts-- > 0 ? { status: 409 } : undefined));
    await writer.write({ upserted: [entry("10.0.0.2")], removed: [] });
    expect(spec()).toEqual({ address: "10.0.0.2" });
    await writer.write({ upserted: [], removed: [keyOf(entry("10.0.0.2")), keyOf(entry("10.0.0.2"))] });
    expect(spec()).toBeUndefined();
    server.fault(({ verb }) => (verb === "get" ? { status: 403 } : undefined));
    await expect(writer.write({ upserted: [entry("10.0.0.3")], removed: [] })).rejects.toMatchObject({
      code: "LTN6501",
      hint: expect.stringContaining("grant"),
    });
  });
});
