import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KubernetesApi } from "./client/api.ts";
import type { ApiObject } from "./client/objects.ts";
import { collectionPath, type ResourceAddress } from "./client/resources.ts";
import { CONTRACT_WITH, type ContractCluster, contractCluster } from "./testing/contract.ts";
import { configMap } from "./testing/objects.ts";

/**
 * What the adapter's code takes for granted of API servers. The one in this process must be like a real one in all of it, because every other
 * test of the adapter believes it; `npm run test:k8s` asks a real one the same.
 */
describe(`what is taken for granted of ${CONTRACT_WITH}`, () => {
  let cluster: ContractCluster;
  let api: KubernetesApi;
  let MAPS: ResourceAddress;
  beforeAll(async () => {
    cluster = await contractCluster();
    api = cluster.api;
    MAPS = { group: "", version: "v1", plural: "configmaps", namespace: cluster.namespace };
  });
  afterAll(() => cluster?.close());

  const object = (value: unknown) => value as ApiObject;
  const make = (name: string, labels: Readonly<Record<string, string>> = {}, data = { a: "1" }) =>
    api.create(MAPS, object({ ...configMap(name, data, cluster.namespace), metadata: { name, labels } }));
  const list = async (query: Readonly<Record<string, string | undefined>>, accept?: string) =>
    (await api.request({
      method: "GET",
      path: collectionPath(MAPS),
      query,
      ...(accept === undefined ? {} : { accept }),
    })) as {
      readonly kind: string;
      readonly metadata: { readonly resourceVersion: string; readonly continue?: string; remainingItemCount?: number };
      readonly items: readonly ApiObject[];
    };
  const names = (page: { readonly items: readonly ApiObject[] }) => page.items.map(({ metadata }) => metadata.name);

  it("pages are of one version, however much changes between them", async () => {
    for (const name of ["page-a", "page-b", "page-c"]) await make(name, { of: "pages" });
    const selected = { labelSelector: "of" };
    const all = await list({});
    const first = await list({ limit: "2" });
    const whole = names(all);
    expect(first.metadata.remainingItemCount).toBe(whole.length - 2);
    await make("page-z", { of: "pages" });
    let page = first;
    const seen = [...names(first)];
    while (page.metadata.continue) {
      page = await list({ limit: "2", continue: page.metadata.continue });
      expect(page.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
      seen.push(...names(page));
    }
    expect(seen).toEqual(whole);
    // With a selector nobody counts what is left.
    expect((await list({ ...selected, limit: "2" })).metadata.remainingItemCount).toBeUndefined();
    expect(names(await list(selected))).toEqual(["page-a", "page-b", "page-c", "page-z"]);
  });

  it("a list that goes on from nowhere is refused", async () => {
    await expect(list({ limit: "1", continue: "bm90aGluZw" })).rejects.toMatchObject({ detail: { status: 400 } });
  });

  it("items of a list have no kind, the list has", async () => {
    await make("kinds");
    const page = await list({ fieldSelector: "metadata.name=kinds" });
    expect(page.kind).toBe("ConfigMapList");
    expect(page.items).toHaveLength(1);
    expect(page.items[0]).not.toHaveProperty("kind");
    const accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    const short = await list({ fieldSelector: "metadata.name=kinds" }, accept);
    expect(short.kind).toBe("PartialObjectMetadataList");
    expect(short.items[0]).not.toHaveProperty("data");
    expect(short.items[0]?.metadata.name).toBe("kinds");
  });

  /** Reads a watch until it has told so many changes, or the server ends it. */
  async function watched(query: Readonly<Record<string, string>>, count: number, during = async () => {}) {
    const events: { readonly type: string; readonly object: ApiObject & { readonly data?: unknown } }[] = [];
    const enough = new AbortController();
    const changes = () => events.filter(({ type }) => type !== "BOOKMARK");
    const reading = api.watch(MAPS, {
      query: { watch: "1", timeoutSeconds: "300", ...query },
      signal: enough.signal,
      stallMs: 300_000,
      receive: (more) => {
        events.push(...(more as typeof events));
        if (count > 0 && changes().length >= count) enough.abort();
      },
    });
    const ended = reading.catch((error: unknown) => {
      if (!enough.signal.aborted) throw error;
    });
    await during();
    await ended;
    return changes();
  }

  it("what begins to match a selector is added, what ceases to is deleted with its last state and the version of the change", async () => {
    const { resourceVersion } = (await list({})).metadata;
    let last: ApiObject | undefined;
    const events = await watched({ resourceVersion, labelSelector: "colour=red" }, 5, async () => {
      await make("paint");
      await api.patch(MAPS, "paint", { metadata: { labels: { colour: "red" } } });
      await api.patch(MAPS, "paint", { data: { a: "2" } });
      last = await api.patch(MAPS, "paint", { metadata: { labels: { colour: null } }, data: { a: "3" } });
      await make("red", { colour: "red" });
      await api.remove(MAPS, "red");
    });
    expect(events.map(({ type, object: { metadata } }) => `${type} ${metadata.name}`)).toEqual([
      "ADDED paint",
      "MODIFIED paint",
      "DELETED paint",
      "ADDED red",
      "DELETED red",
    ]);
    expect(events[2]?.object.metadata.resourceVersion).toBe(last?.metadata.resourceVersion);
    expect(events[2]?.object.data).toEqual({ a: "2" });
    expect(Number(events[4]?.object.metadata.resourceVersion)).toBeGreaterThan(
      Number(events[3]?.object.metadata.resourceVersion),
    );
  });

  it("a watch of what does not change may say nothing at all until it ends", async () => {
    const { resourceVersion } = (await list({})).metadata;
    const query = { resourceVersion, allowWatchBookmarks: "true", timeoutSeconds: "1" };
    expect(await watched(query, 0)).toEqual([]);
  });

  it("a watch without a version tells first what there is", async () => {
    await make("there", { is: "there" });
    const events = await watched({ labelSelector: "is=there" }, 1);
    expect(events.map(({ type, object: { metadata } }) => `${type} ${metadata.name}`)).toEqual(["ADDED there"]);
  });

  it("writing what is there already is no change", async () => {
    const made = await make("same");
    const again = await api.patch(MAPS, "same", { data: { a: "1" } });
    expect(again.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
    expect((await api.replace(MAPS, again)).metadata.resourceVersion).toBe(made.metadata.resourceVersion);
  });

  it("what would create an object must not have a version, and what patches it may want one", async () => {
    const made = await make("versions");
    const { resourceVersion } = made.metadata;
    const copy = { ...made, metadata: { name: "versions-2", resourceVersion } };
    await expect(api.create(MAPS, object(copy))).rejects.toMatchObject({ detail: { status: 500 } });
    await api.patch(MAPS, "versions", { metadata: { resourceVersion }, data: { b: "2" } });
    await expect(
      api.patch(MAPS, "versions", { metadata: { resourceVersion }, data: { b: "3" } }),
    ).rejects.toMatchObject({ detail: { status: 409, reason: "Conflict" } });
  });

  it("a status is written apart, and nothing else with it", async () => {
    const ingresses = { group: "networking.k8s.io", version: "v1", plural: "ingresses", namespace: cluster.namespace };
    const address = { loadBalancer: { ingress: [{ ip: "192.0.2.7" }] } };
    const made = await api.create(
      ingresses,
      object({
        apiVersion: "networking.k8s.io/v1",
        kind: "Ingress",
        metadata: { name: "site" },
        spec: { defaultBackend: { service: { name: "web", port: { number: 80 } } } },
        status: address,
      }),
    );
    expect(made.status ?? {}).not.toMatchObject(address);
    const other = { defaultBackend: { service: { name: "other", port: { number: 80 } } } };
    const told = await api.patch(ingresses, "site", { status: address, spec: other }, "status");
    expect(told).toMatchObject({ status: address, spec: made.spec as object });
    expect(told.metadata.generation).toBe(made.metadata.generation);
    const replaced = await api.replace(ingresses, { ...told, spec: other, status: {} });
    expect(replaced).toMatchObject({ status: address, spec: other });
    expect(replaced.metadata.generation).toBe(Number(made.metadata.generation) + 1);
  });

  it.each([
    ["a group that is not there", { group: "absent.example", version: "v1", plural: "things" }],
    ["a kind that is not there", { group: "networking.k8s.io", version: "v1", plural: "things" }],
    ["a version that is not there", { group: "networking.k8s.io", version: "v9", plural: "ingresses" }],
  ])("%s is not found", async (_, address) => {
    await expect(api.request({ method: "GET", path: collectionPath(address) })).rejects.toMatchObject({
      code: "LTN6501",
      detail: { status: 404 },
    });
  });

  it("a patch of another kind than it takes is refused", async () => {
    await make("patched");
    await expect(
      api.request({
        method: "PATCH",
        path: `${collectionPath(MAPS)}/patched`,
        body: {},
        contentType: "application/nonsense+json",
      }),
    ).rejects.toMatchObject({ detail: { status: 415 } });
  });
});
