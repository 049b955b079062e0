import { expect, it, onTestFinished } from "vitest";
import { isPermitted, type PermittedComponent } from "../permissions.ts";
import { testCluster } from "../testing/cluster.ts";
import { KEY_SETS_MAP, kubernetesKeySetStore } from "./key-set-store.ts";

async function keeping(component: PermittedComponent = "pilot") {
  const cluster = await testCluster(onTestFinished);
  cluster.server.authorize = (request) => isPermitted(component, request);
  return { ...cluster, store: kubernetesKeySetStore(cluster.api) };
}

it.each(["pilot", "control-plane"] as const)(
  "%s may keep key sets, and finds what was kept last",
  async (component) => {
    const { store, api } = await keeping(component);
    expect(await store.load()).toEqual(new Map());
    await store.save("https://gone/keys", undefined);
    await store.save("https://a/keys", "1");
    await store.save("https://b/keys", "2");
    await store.save("https://a/keys", "3");
    await store.save("https://b/keys", undefined);
    expect(await kubernetesKeySetStore(api).load()).toEqual(new Map([["https://a/keys", "3"]]));
  },
);

it("keeps what replicas write at the same time", async () => {
  const { store, api } = await keeping();
  const urls = Array.from({ length: 8 }, (_, i) => `https://issuer-${i}/keys`);
  const other = kubernetesKeySetStore(api);
  await Promise.all(urls.map((url, i) => (i % 2 === 0 ? store : other).save(url, String(i))));
  expect(await store.load()).toEqual(new Map(urls.map((url, i) => [url, String(i)])));
});

it("leaves out what is not its own", async () => {
  const { store, server } = await keeping();
  server.apply({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: KEY_SETS_MAP, namespace: "istio-system" },
    data: { a: "text", b: '{"url":"https://b","keys":"{}"}', c: "null" },
  });
  await store.save("https://a/keys", "1");
  expect(await store.load()).toEqual(new Map([["https://a/keys", "1"]]));
});

it("tells when the API server refuses", async () => {
  const { store, server } = await keeping();
  server.fault(() => ({ status: 413 }));
  await expect(store.save("https://a/keys", "1")).rejects.toMatchObject({ detail: { status: 413 } });
  await expect(store.load()).rejects.toMatchObject({ detail: { status: 413 } });
});
