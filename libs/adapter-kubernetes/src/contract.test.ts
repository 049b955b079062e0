import { Scope } from "@lateen/kernel";
import { decodeObject, keyOf } from "@lateen/mesh-model";
import type { RawDocument, RegistryObject } from "@lateen/ports";
import { eventually, recordingLogger } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { KubernetesApi } from "./client/api.ts";
import type { ApiObject } from "./client/objects.ts";
import type { ResourceAddress } from "./client/resources.ts";
import { kubernetesConfigSource } from "./config/kubernetes-source.ts";
import { kubernetesConfigStore } from "./config/kubernetes-store.ts";
import { kubernetesSecretStore } from "./identity/secret-store.ts";
import { kubernetesTokenReviewer } from "./identity/token-reviewer.ts";
import { kubernetesLease } from "./lease/kubernetes-lease.ts";
import { kubernetesRegistry } from "./registry/kubernetes-registry.ts";
import { Collector } from "./testing/collector.ts";
import { CONTRACT_WITH, type ContractCluster, contractCluster } from "./testing/contract.ts";
import { configMap, service, slice } from "./testing/objects.ts";

const PATIENCE_MS = 60_000;
const CORE = { group: "", version: "v1" };

/** What an adapter must find true of an API server, whichever it is. */
describe(`the contract with ${CONTRACT_WITH}`, () => {
  let cluster: ContractCluster;
  let api: KubernetesApi;
  let NAMESPACE: string;
  let MAPS: ResourceAddress;
  let SERVICES: ResourceAddress;
  let SLICES: ResourceAddress;
  beforeAll(async () => {
    cluster = await contractCluster();
    api = cluster.api;
    NAMESPACE = cluster.namespace;
    const inIt = { namespace: NAMESPACE };
    MAPS = { ...CORE, ...inIt, plural: "configmaps" };
    SERVICES = { ...CORE, ...inIt, plural: "services" };
    SLICES = { group: "discovery.k8s.io", version: "v1", ...inIt, plural: "endpointslices" };
  });
  afterAll(() => cluster?.close());

  const object = (value: unknown) => value as ApiObject;
  const scopeOfTest = () => {
    const scope = new Scope();
    onTestFinished(() => scope.close());
    return scope;
  };

  it("one version of an object is replaced once", async () => {
    const made = await api.create(MAPS, object(configMap("one", { a: "1" }, NAMESPACE)));
    await expect(api.create(MAPS, object(configMap("one", {}, NAMESPACE)))).rejects.toMatchObject({
      detail: { status: 409, reason: "AlreadyExists" },
    });
    const next = await api.replace(MAPS, { ...made, data: { a: "2" } });
    await expect(api.replace(MAPS, { ...made, data: { a: "3" } })).rejects.toMatchObject({
      detail: { status: 409, reason: "Conflict" },
    });
    expect(next.metadata.resourceVersion).not.toBe(made.metadata.resourceVersion);
    expect(await api.patch(MAPS, "one", { data: { b: "4" } })).toMatchObject({ data: { a: "2", b: "4" } });
    await api.remove(MAPS, "one");
    await expect(api.get(MAPS, "one")).rejects.toMatchObject({ detail: { status: 404, reason: "NotFound" } });
  });

  it("a version from before a compaction is too old, or everything since is told", async () => {
    const scope = scopeOfTest();
    const events: unknown[] = [];
    const reading = api.watch(MAPS, {
      query: { watch: "1", resourceVersion: "1", timeoutSeconds: "2" },
      signal: scope.signal,
      stallMs: 30_000,
      receive: (more) => void events.push(...more),
    });
    const outcome = await reading.then(
      () => "ended",
      (error: { readonly detail?: { readonly status?: number } }) => error.detail?.status,
    );
    const expired = events.some(
      (event) => (event as { readonly object: { readonly code?: number } }).object.code === 410,
    );
    expect(outcome === 410 || outcome === "ended" || expired).toBe(true);
  });

  it("services and endpoints arrive, change and go", async () => {
    const own = (key: string) => key.split("/")[1] === NAMESPACE;
    const collector = new Collector<RegistryObject>();
    await kubernetesRegistry(api).watch(scopeOfTest(), ({ snapshot, upserted, removed }) => {
      const changes = new Map<string, RegistryObject | undefined>();
      for (const one of upserted) if (own(keyOf(one))) changes.set(keyOf(one), one);
      for (const key of removed) if (own(key)) changes.set(key, undefined);
      collector.receive({ snapshot, changes });
    });
    expect(collector.snapshots).toBe(1);
    const headless = { clusterIP: "None", selector: undefined };
    await api.create(SERVICES, object(service("cart", headless, NAMESPACE)));
    const made = await api.create(SLICES, object(slice("cart", ["10.1.0.1"], NAMESPACE)));
    const addresses = () => {
      const found = collector.state.get(`EndpointSlice/${NAMESPACE}/cart-x1`);
      return found?.kind === "EndpointSlice" ? found.endpoints?.flatMap((one) => one.addresses).join() : undefined;
    };
    await collector.until(() => addresses() === "10.1.0.1", PATIENCE_MS);
    await api.replace(SLICES, { ...made, endpoints: [{ addresses: ["10.1.0.2"] }] });
    await collector.until(() => addresses() === "10.1.0.2", PATIENCE_MS);
    await api.remove(SERVICES, "cart");
    await api.remove(SLICES, "cart-x1").catch(() => undefined);
    await collector.until(
      ({ state }) => !state.has(`Service/${NAMESPACE}/cart`) && addresses() === undefined,
      PATIENCE_MS,
    );
  });

  it("the mesh configuration arrives, changes and goes, whatever is installed", async () => {
    const file = `kubernetes/ConfigMap/${NAMESPACE}/istio`;
    const collector = new Collector<RawDocument>();
    let first = true;
    await kubernetesConfigSource(api, { rootNamespace: NAMESPACE }).watch(scopeOfTest(), (documents) => {
      const told = documents.map((one) => [one.file, one.text === undefined ? undefined : one] as const);
      collector.receive({ snapshot: first, changes: new Map(told) });
      first = false;
    });
    expect(collector.snapshots).toBe(1);
    await api.create(MAPS, object(configMap("istio", { mesh: "a: 1" }, NAMESPACE)));
    await collector.until(({ state }) => state.get(file)?.text?.includes("a: 1") === true, PATIENCE_MS);
    await api.patch(MAPS, "istio", { data: { mesh: "a: 2" } });
    await collector.until(({ state }) => state.get(file)?.text?.includes("a: 2") === true, PATIENCE_MS);
    expect(decodeObject(collector.state.get(file)?.value, { file, line: 1, column: 1 }).ok).toBe(true);
    await api.remove(MAPS, "istio");
    await collector.until(({ state }) => !state.has(file), PATIENCE_MS);
  });

  it("a lease has one holder, and the next at once when it is given back", async () => {
    const lease = (identity: string) => kubernetesLease(api, { namespace: NAMESPACE, identity });
    const [first, second] = [scopeOfTest(), scopeOfTest()];
    const held = await lease("a").acquire(first, "leader");
    const waiting = lease("b").acquire(second, "leader");
    expect(await Promise.race([waiting, Promise.resolve("waits")])).toBe("waits");
    await first.close();
    expect((await waiting).fencingToken).toBe(held.fencingToken + 1);
  });

  it("a CA is stored once", async () => {
    const store = kubernetesSecretStore(api, { namespace: NAMESPACE });
    const ca = { certPem: "cert", keyPem: "key", rootPem: "root", chainPem: "" };
    expect(await store.loadCa()).toBeUndefined();
    await store.saveCa(ca);
    expect(await store.loadCa()).toEqual(ca);
    await expect(store.saveCa(ca)).rejects.toMatchObject({ detail: { status: 409 } });
  });

  it("a token that nobody issued is nobody's", async () => {
    const reviewer = kubernetesTokenReviewer(api, { timeoutMs: 60_000 });
    expect(await reviewer.review("a.b.c", "istio-ca")).toEqual({ ok: false, error: "the token is not valid" });
  });

  it("a token is whose it was issued to, for the audience that it was issued for", async () => {
    const accounts = { ...CORE, plural: "serviceaccounts", namespace: NAMESPACE };
    await api.create(accounts, object({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "web" } }));
    const token = await issue("web", "istio-ca");
    const reviewer = kubernetesTokenReviewer(api, { timeoutMs: 60_000 });
    expect(await reviewer.review(token, "istio-ca")).toEqual({
      ok: true,
      value: { namespace: NAMESPACE, serviceAccount: "web" },
    });
    expect(await reviewer.review(token, "another")).toMatchObject({ ok: false });
  });

  /** A token of a service account; the server of the tests issues none, it is told of one. */
  async function issue(name: string, audience: string): Promise<string> {
    if (cluster.server !== undefined) {
      cluster.server.reviewed.set("token-of-web", {
        username: `system:serviceaccount:${NAMESPACE}:${name}`,
        audiences: [audience],
      });
      return "token-of-web";
    }
    const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${name}/token`;
    const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { audiences: [audience] } };
    const answer = await api.request({ method: "POST", path, body });
    return (answer as { readonly status: { readonly token: string } }).status.token;
  }

  it("what galley remembers is there after a restart", async () => {
    const open = () =>
      kubernetesConfigStore(api, { namespace: NAMESPACE, fencingToken: () => 1, logger: recordingLogger() });
    const store = open();
    await store.load();
    const rejection = {
      key: undefined,
      kind: "",
      namespace: "",
      name: "",
      file: "f",
      diagnostics: [],
      lastGoodServes: false,
    };
    await store.commit({ revision: 1, upserted: [], removed: [], rejected: [rejection] });
    await eventually(
      "the record",
      async () => ((await open().load()).rejected.length === 1 ? true : undefined),
      PATIENCE_MS,
    );
    await store.close();
  });
});
