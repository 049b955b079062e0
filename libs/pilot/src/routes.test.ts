import { createCompiler } from "@lateen/compiler";
import { Scope } from "@lateen/kernel";
import { defaultMeshConfig, type MeshConfig } from "@lateen/mesh-model";
import { manualClock, recordingLogger } from "@lateen/test-support";
import { xdsTypes } from "@lateen/xds";
import { fastify } from "fastify";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PilotServer } from "./pilot-server.ts";
import { pilotRoutes } from "./routes.ts";
import { AutoProxy, settle } from "./testing/auto-proxy.ts";
import { ConfigFeed, RegistryFeed } from "./testing/feeds.ts";
import { objectsOf, pod, service } from "./testing/objects.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

const tls = objectsOf(`
apiVersion: v1
kind: Secret
metadata: { name: shop-cert, namespace: istio-system }
type: kubernetes.io/tls
data: { tls.crt: ${Buffer.from("CERT").toString("base64")}, tls.key: ${Buffer.from("TOP-SECRET").toString("base64")} }
`);

const route = objectsOf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: cart, namespace: shop }
spec: { parentRefs: [{ name: nobody }], rules: [{ backendRefs: [{ name: cart, port: 80 }] }] }
`);

let scope: Scope;
beforeEach(() => {
  scope = new Scope();
});
afterEach(() => scope.close());

async function start({ ready = true, ...mesh }: { readonly ready?: boolean } & Partial<MeshConfig> = {}) {
  const config = new ConfigFeed();
  const registry = new RegistryFeed(pod("cart", "shop", "127.64.0.3"));
  const clock = manualClock();
  const meshConfig = { ...defaultMeshConfig(), ...mesh };
  const pilot = new PilotServer(
    {
      bus: config.bus,
      registry,
      scope,
      clock,
      logger: recordingLogger(),
      meshConfig,
      clusterId: "local",
      firstSnapshotsMs: 0,
    },
    createCompiler({ meshConfig, clusterId: "local" }),
  );
  if (ready) config.snapshot(4, service("cart", "shop", "10.96.0.3"), ...tls, ...route);
  const started = pilot.start();
  await clock.advanceAsync(0);
  await started;
  const app = fastify();
  await app.register(pilotRoutes(pilot));
  scope.defer(() => app.close());
  const ask = (method: "GET" | "POST") => async (url: string) => {
    const response = await app.inject({ method, url });
    return { status: response.statusCode, body: response.json(), text: response.body };
  };
  return { pilot, get: ask("GET"), post: ask("POST"), clock };
}

describe("pilotRoutes", () => {
  it("tells whether it is ready, and what is missing", async () => {
    const unready = await start({ ready: false });
    expect(await unready.get("/ready")).toMatchObject({ status: 503, body: { missing: ["configuration"] } });
    const ready = await start();
    expect(await ready.get("/ready")).toMatchObject({ status: 200, body: { ready: true } });
    expect(await ready.get("/version")).toMatchObject({ status: 200 });
  });

  it("lists proxies", async () => {
    const { pilot, get } = await start();
    await new AutoProxy(pilot.ads, "cart").subscribe();
    const { body } = await get("/debug/syncz");
    expect(body).toMatchObject({ revision: 4, proxies: [{ pod: "cart-1", namespace: "shop" }] });
  });

  it("dumps what a proxy should run", async () => {
    const { pilot, get } = await start();
    await new AutoProxy(pilot.ads, "cart").subscribe();
    const { body } = await get("/debug/config_dump?proxyID=cart-1.shop");
    expect(body.configs.map((config: { "@type": string }) => config["@type"].split(".").at(-1))).toEqual([
      "ClustersConfigDump",
      "EndpointsConfigDump",
      "ListenersConfigDump",
      "RoutesConfigDump",
      "EcdsConfigDump",
      "SecretsConfigDump",
    ]);
    const clusters = body.configs[0].dynamicActiveClusters;
    const cart = clusters.find((entry: { cluster: { name: string } }) =>
      entry.cluster.name.endsWith("||cart.shop.svc.cluster.local"),
    );
    expect(cart.cluster.connectTimeout).toBe("10s");
    expect(JSON.stringify(body)).not.toContain("undecodable");
  });

  it("shows services and where they run", async () => {
    const { get } = await start();
    expect((await get("/debug/registryz")).body).toMatchObject([
      { host: "cart.shop.svc.cluster.local", ports: [{ number: 80 }] },
    ]);
    expect((await get("/debug/endpointz")).body).toMatchObject([
      { svc: "cart.shop.svc.cluster.local", endpoints: [{ address: "127.64.0.3", port: 8080, ready: true }] },
    ]);
  });

  it("tells how Gateway API objects were understood", async () => {
    const { get } = await start();
    expect((await get("/debug/statusz")).body).toMatchObject({
      statuses: {
        "HTTPRoute/shop/cart": {
          parents: [
            {
              conditions: [
                { reason: "NoMatchingParent", lastTransitionTime: expect.stringMatching(/^\d{4}-.*Z$/) },
                {},
              ],
            },
          ],
        },
      },
    });
  });

  it("shows what its list names, and no secret anywhere", async () => {
    const { pilot, get } = await start();
    const proxy = new AutoProxy(pilot.ads, "cart");
    await proxy.subscribe();
    const { body: list } = await get("/debug/list");
    expect(list).toContain("configz");
    expect(Object.keys((await get("/debug")).body).sort()).toEqual(list);
    for (const page of list as readonly string[]) {
      if (page.startsWith("force_disconnect") || page.startsWith("wait")) continue;
      const { status, text } = await get(`/debug/${page.replace("POD.NAMESPACE", "cart-1.shop")}`);
      expect([page, status]).toEqual([page, 200]);
      expect(text).not.toContain(Buffer.from("TOP-SECRET").toString("base64"));
    }
    expect((await get("/debug/adsz")).body).toMatchObject({
      totalClients: 1,
      clients: [{ identity: "shop/cart", protocol: "delta", watches: { [xdsTypes.cluster]: expect.any(Number) } }],
    });
    expect((await get("/debug/resourcesz")).body).toMatchObject({ Service: 1, HTTPRoute: 1 });
    expect(JSON.stringify((await get("/debug/edsz?proxyID=cart-1.shop")).body)).toContain("127.64.0.3");
    expect(JSON.stringify((await get("/debug/ndsz?proxyID=cart-1.shop")).body)).toContain(
      "cart.shop.svc.cluster.local",
    );
    expect((await get("/debug/endpointShardz")).body).toMatchObject({
      "cart.shop.svc.cluster.local": { shop: { Shards: { "Kubernetes/local": [{ address: "127.64.0.3" }] } } },
    });
    expect(Object.keys((await get("/debug/instancesz")).body)).toEqual([expect.stringContaining("cart-1.shop")]);
    expect((await get("/debug/clusterz")).body).toEqual([{ id: "local", syncStatus: "synced" }]);
    expect((await get("/debug/pushcontext")).body).toMatchObject({ revision: 4, objects: { Service: 1 } });
    expect((await get("/debug/ecdsz?proxyID=cart-1.shop")).body).toEqual([]);
    expect(await get("/debug/edsz?proxyID=nobody.shop")).toMatchObject({ status: 404 });
    expect(await get("/debug/ndsz")).toMatchObject({ status: 400 });
  });

  it("pushes on request, which says nothing new to who has everything", async () => {
    const { pilot, get } = await start();
    const proxy = new AutoProxy(pilot.ads, "cart");
    await proxy.subscribe();
    const before = pilot.pushes;
    const told = proxy.received;
    expect((await get("/debug/adsz?push=true")).body).toEqual({ pushed: 1 });
    expect(pilot.pushes).toBe(before + 1);
    expect((await get("/debug/syncz")).body).toMatchObject({ proxies: [{ synced: true }] });
    await settle();
    expect(proxy.received).toBe(told);
    expect((await get("/debug/adsz?push=no")).body).toMatchObject({ totalClients: 1 });
  });

  it("shows nothing of namespaces that discovery selectors leave out", async () => {
    const { get } = await start({ discoverySelectors: [{ matchLabels: { mesh: "yes" } }] });
    expect((await get("/debug/registryz")).body).toEqual([]);
    expect((await get("/debug/endpointz")).body).toEqual([]);
    expect((await get("/debug/resourcesz")).body).not.toHaveProperty("HTTPRoute");
    const seen = await start({ discoverySelectors: [{ matchLabels: { "kubernetes.io/metadata.name": "shop" } }] });
    expect((await seen.get("/debug/registryz")).body).toMatchObject([{ host: "cart.shop.svc.cluster.local" }]);
  });

  it("ends the streams of a proxy on request, and only by POST", async () => {
    const { pilot, get, post } = await start();
    const proxy = new AutoProxy(pilot.ads, "cart");
    await proxy.subscribe();
    expect(await get("/debug/force_disconnect?proxyID=cart-1.shop")).toMatchObject({ status: 404 });
    expect(proxy.closed).toBeUndefined();
    expect(await post("/debug/force_disconnect?proxyID=cart-1.shop")).toMatchObject({ status: 200 });
    expect(proxy.closed).toMatchObject({ code: 14 });
  });

  it("waits for a revision", async () => {
    const { get } = await start();
    expect((await get("/debug/wait?revision=4")).body).toEqual({ revision: 4, synced: true, laggards: [] });
    expect((await get("/debug/wait?revision=5&timeoutMs=0")).body).toMatchObject({ synced: false });
  });

  it("shows no private key", async () => {
    const { pilot, get } = await start();
    await new AutoProxy(pilot.ads, "cart").subscribe();
    for (const url of ["/debug/config_dump?proxyID=cart-1.shop", "/debug/registryz", "/debug/syncz"]) {
      const { text } = await get(url);
      expect(text).not.toContain("TOP-SECRET");
      expect(text).not.toContain(Buffer.from("TOP-SECRET").toString("base64"));
    }
  });

  it.each([
    ["/debug/config_dump", 400, "LTN3504"],
    ["/debug/config_dump?proxyID=nobody.shop", 404, "LTN3502"],
    ["/debug/wait", 400, "LTN3504"],
    ["/debug/wait?revision=-1", 400, "LTN3504"],
    ["/debug/wait?revision=1&timeoutMs=soon", 400, "LTN3504"],
    ["/debug/wait?revision=1&timeoutMs=9999999", 400, "LTN3504"],
  ])("refuses %s", async (url, status, code) => {
    const { get } = await start();
    expect(await get(url)).toMatchObject({ status, body: { error: { code } } });
  });
});
