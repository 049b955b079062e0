import { type Authenticator, adsService, connectAds, type GrpcServer, serveGrpc } from "@lateen/adapter-grpc";
import { err, ok, Scope, silentLogger, systemClock } from "@lateen/kernel";
import { defaultMeshConfig } from "@lateen/mesh-model";
import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { createTestCa, eventually } from "@lateen/test-support";
import { createXdsClient, type XdsClient, type XdsUpdate, xdsTypes } from "@lateen/xds";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createPilot, type Pilot, type PilotOptions } from "./index.ts";
import { ConfigFeed, RegistryFeed } from "./testing/feeds.ts";
import { objectsOf, pod, service } from "./testing/objects.ts";

// On a machine that builds at the same time.
vi.setConfig({ testTimeout: 60_000 });

const SERVER_NAME = "istiod.istio-system.svc";
const ca = createTestCa();
const authenticator: Authenticator = {
  async authenticate(uris) {
    const [, namespace, serviceAccount] =
      /^spiffe:\/\/cluster\.local\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uris[0] ?? "") ?? [];
    return namespace && serviceAccount ? ok({ namespace, serviceAccount, via: "certificate" }) : err("no identity");
  },
};

const scopes: Scope[] = [];
afterEach(async () => {
  for (const scope of scopes.splice(0).reverse()) await scope.close();
});
function newScope(): Scope {
  const scope = new Scope();
  scopes.push(scope);
  return scope;
}

interface Mesh {
  readonly config: ConfigFeed;
  readonly registry: RegistryFeed;
  readonly pilot: Pilot;
  readonly server: GrpcServer;
  readonly scope: Scope;
}

async function startMesh({
  port = 0,
  ...overrides
}: Partial<PilotOptions> & { readonly port?: number } = {}): Promise<Mesh> {
  const scope = newScope();
  const config = new ConfigFeed();
  const registry = new RegistryFeed(pod("web", "shop", "127.64.0.2"), pod("cart", "shop", "127.64.0.3"));
  config.snapshot(1, service("web", "shop", "10.96.0.2"), service("cart", "shop", "10.96.0.3"));
  const pilot = await createPilot({
    bus: config.bus,
    registry,
    scope,
    clock: systemClock(),
    logger: silentLogger,
    meshConfig: defaultMeshConfig(),
    clusterId: "local",
    ...overrides,
  });
  const server = await serveGrpc({
    host: "127.0.0.1",
    port,
    tls: { ...ca.issue({ dns: [SERVER_NAME] }), rootPem: ca.rootPem },
    services: [adsService(pilot.ads, authenticator, silentLogger)],
    logger: silentLogger,
  });
  scope.defer(() => server.close(0));
  return { config, registry, pilot, server, scope };
}

/** A proxy that subscribes as a sidecar does, and keeps what it is given. */
class TestProxy {
  readonly held = new Map<string, Map<string, Uint8Array>>();
  readonly updates: string[] = [];
  readonly connections: string[] = [];
  readonly client: XdsClient;
  /** Why a resource is refused; undefined accepts. */
  refuse: (name: string) => string | undefined = () => undefined;
  readonly scope: Scope;
  #wake: (() => void)[] = [];

  constructor(
    mesh: Mesh,
    options: {
      readonly app?: string;
      readonly account?: string;
      readonly claims?: string;
      readonly versions?: ReadonlyMap<string, ReadonlyMap<string, string>>;
    } = {},
  ) {
    const { app = "web", account = app, claims = account } = options;
    this.scope = newScope();
    const certificate = ca.issue({ uris: [`spiffe://cluster.local/ns/shop/sa/${account}`] });
    this.client = createXdsClient({
      node: nodeOf(app, claims),
      scope: this.scope,
      logger: silentLogger,
      connect: (scope, events) =>
        connectAds(
          scope,
          {
            address: `127.0.0.1:${mesh.server.port}`,
            serverName: SERVER_NAME,
            identity: () => ({ rootPem: ca.rootPem, ...certificate }),
          },
          events,
        ),
      onUpdate: (update) => this.#apply(update),
      onConnection: (connected, reason) => {
        this.connections.push(connected ? "connected" : (reason ?? ""));
        this.#changed();
      },
      ...(options.versions === undefined ? {} : { initialVersions: options.versions }),
    });
    this.client.subscribe(xdsTypes.cluster, "*");
    this.client.subscribe(xdsTypes.listener, "*");
  }

  names(typeUrl: string): readonly string[] {
    return [...(this.held.get(typeUrl)?.keys() ?? [])].sort();
  }

  /** `address:port` of the endpoints of a cluster. */
  endpoints(cluster: string): readonly string[] {
    const bytes = this.held.get(xdsTypes.endpoint)?.get(cluster);
    if (bytes === undefined) return [];
    return ClusterLoadAssignment.decode(bytes).endpoints.flatMap(({ lbEndpoints }) =>
      lbEndpoints.map(({ hostIdentifier }) => {
        if (hostIdentifier?.$case !== "endpoint") return "?";
        const address = hostIdentifier.value.address?.address;
        if (address?.$case !== "socketAddress") return "?";
        const port = address.value.portSpecifier;
        return `${address.value.address}:${port?.$case === "portValue" ? port.value : "?"}`;
      }),
    );
  }

  /** Resolves when the condition holds, looked at after every update. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  async #apply(update: XdsUpdate) {
    const held = this.held.get(update.typeUrl) ?? new Map<string, Uint8Array>();
    this.held.set(update.typeUrl, held);
    const failures: { name: string; reason: string }[] = [];
    for (const { name, any } of update.upserted) {
      const reason = this.refuse(name);
      if (reason === undefined) held.set(name, any.value);
      else failures.push({ name, reason });
    }
    for (const name of update.removed) held.delete(name);
    const kind = update.typeUrl.slice(update.typeUrl.lastIndexOf(".") + 1);
    this.updates.push(
      [kind, ...update.upserted.map(({ name }) => `+${name}`), ...update.removed.map((name) => `-${name}`)].join(" "),
    );
    if (update.typeUrl === xdsTypes.cluster) {
      this.client.subscribe(
        xdsTypes.endpoint,
        this.names(xdsTypes.cluster).filter((name) => name.startsWith("outbound|")),
      );
    }
    if (update.typeUrl === xdsTypes.listener) this.client.subscribe(xdsTypes.route, routesOf([...held.values()]));
    this.#changed();
    return failures;
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Names of the route configurations that listeners ask for. */
function routesOf(listeners: readonly Uint8Array[]): readonly string[] {
  const names = new Set<string>();
  for (const bytes of listeners) {
    const listener = Listener.decode(bytes);
    const chains = [...listener.filterChains, ...(listener.defaultFilterChain ? [listener.defaultFilterChain] : [])];
    for (const { configType } of chains.flatMap(({ filters }) => filters)) {
      if (configType?.$case !== "typedConfig" || !configType.value.typeUrl.endsWith(".HttpConnectionManager")) continue;
      const { routeSpecifier } = HttpConnectionManager.decode(configType.value.value);
      if (routeSpecifier?.$case === "rds") names.add(routeSpecifier.value.routeConfigName);
    }
  }
  return [...names];
}

function nodeOf(app: string, account: string): Node {
  return Node.fromPartial({
    id: `sidecar~127.64.0.9~${app}-1.shop~shop.svc.cluster.local`,
    cluster: `${app}.shop`,
    metadata: {
      NAMESPACE: "shop",
      SERVICE_ACCOUNT: account,
      LABELS: { app },
      CLUSTER_ID: "local",
      ISTIO_VERSION: "1.30.0",
      LATEEN_CAPABILITIES: ["http1", "tcp", "tls"],
      LATEEN_EXTENSIONS: ["istio.stats", "istio.peer_metadata"],
    },
  });
}

const CART = "outbound|80||cart.shop.svc.cluster.local";
const synced = async ({ pilot }: Mesh, revision: number) => {
  const outcome = await pilot.waitSynced(revision, 5000);
  expect(outcome).toEqual({ synced: true, laggards: [] });
};

describe("a proxy over TLS", () => {
  it("gets clusters, endpoints, listeners and routes, and is synced when it acknowledged them", async () => {
    const mesh = await startMesh();
    const proxy = new TestProxy(mesh);
    await proxy.until(() => proxy.names(xdsTypes.route).includes("80"));
    await synced(mesh, 1);
    expect(proxy.names(xdsTypes.cluster)).toContain(CART);
    expect(proxy.endpoints(CART)).toEqual(["127.64.0.3:8080"]);
    expect(proxy.names(xdsTypes.listener)).toEqual(expect.arrayContaining(["virtualOutbound", "virtualInbound"]));
    expect(mesh.pilot.status().proxies).toMatchObject([
      { pod: "web-1", namespace: "shop", kind: "sidecar", synced: true, protocol: "delta", version: "1.30.0" },
    ]);
  });

  it("gets a change of configuration and only that", async () => {
    const mesh = await startMesh();
    const proxy = new TestProxy(mesh);
    await proxy.until(() => proxy.names(xdsTypes.route).includes("80"));
    await synced(mesh, 1);
    proxy.updates.length = 0;
    mesh.config.upsert(
      2,
      ...objectsOf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec:
  hosts: [cart]
  http: [{ timeout: 3s, route: [{ destination: { host: cart } }] }]
`),
    );
    await synced(mesh, 2);
    expect(proxy.updates).toEqual(["RouteConfiguration +80"]);
  });

  it("gets endpoints as pods come and go", async () => {
    const mesh = await startMesh();
    const proxy = new TestProxy(mesh);
    await proxy.until(() => proxy.endpoints(CART).length === 1);
    mesh.registry.set(pod("cart", "shop", "127.64.0.77"));
    await proxy.until(() => proxy.endpoints(CART)[0] === "127.64.0.77:8080");
    mesh.registry.delete("Pod/shop/cart-1");
    await proxy.until(() => proxy.endpoints(CART).length === 0);
  });

  it("gets, when it comes back with versions, the differences and the names of what is gone", async () => {
    const mesh = await startMesh();
    const first = new TestProxy(mesh);
    await first.until(() => first.names(xdsTypes.route).includes("80"));
    await synced(mesh, 1);
    const versions = new Map(
      [xdsTypes.cluster, xdsTypes.endpoint, xdsTypes.listener, xdsTypes.route].map(
        (typeUrl) => [typeUrl, new Map(first.client.versions(typeUrl))] as const,
      ),
    );
    await first.scope.close();
    mesh.config.upsert(2, service("late", "shop", "10.96.0.9"));
    mesh.config.remove(2, "Service/shop/cart");
    await mesh.pilot.waitSynced(2, 1000);
    const second = new TestProxy(mesh, { versions });
    for (const [typeUrl, held] of first.held) second.held.set(typeUrl, held);
    await second.until(() => second.updates.some((update) => update.includes(`-${CART}`)));
    expect(second.updates).toContain("Cluster +outbound|80||late.shop.svc.cluster.local");
    expect(second.updates.filter((update) => update.startsWith("Cluster +"))).toHaveLength(1);
  });

  it("sees no change when the control plane starts again with the same world", async () => {
    const before = await startMesh();
    const proxy = new TestProxy(before);
    await proxy.until(() => proxy.names(xdsTypes.route).includes("80"));
    await synced(before, 1);
    proxy.updates.length = 0;
    await before.scope.close();
    await proxy.until(() => !proxy.client.connected);
    const after = await startMesh({ port: before.server.port });
    await proxy.until(() => proxy.client.connected);
    after.config.upsert(2, service("late", "shop", "10.96.0.9"));
    await proxy.until(() => proxy.names(xdsTypes.cluster).some((name) => name.includes("late")));
    await synced(after, 2);
    // What came is the change alone: one cluster with its endpoints, and the route that names it.
    expect(proxy.updates.filter((update) => update.startsWith("Cluster "))).toEqual([
      "Cluster +outbound|80||late.shop.svc.cluster.local",
    ]);
    expect(proxy.updates.filter((update) => update.startsWith("Listener "))).toEqual([]);
  });

  it("is sent nothing by a control plane that starts again with the same world", async () => {
    const before = await startMesh();
    const proxy = new TestProxy(before);
    await proxy.until(() => proxy.names(xdsTypes.route).includes("80"));
    await synced(before, 1);
    expect(before.pilot.metrics()).toMatch(/^pilot_xds_pushes\{type="cds"\} 1$/m);
    await before.scope.close();
    await proxy.until(() => !proxy.client.connected);
    const after = await startMesh({ port: before.server.port });
    while (after.pilot.status().proxies[0]?.synced !== true) await new Promise((resolve) => setImmediate(resolve));
    expect(after.pilot.metrics()).not.toMatch(/^pilot_xds_pushes\{/m);
  });

  it("is refused when it acts for a service account that is not its own", async () => {
    const mesh = await startMesh();
    const proxy = new TestProxy(mesh, { app: "web", account: "cart", claims: "web" });
    await proxy.until(() => proxy.connections.some((text) => text.includes("may not act for service account web")));
    expect(proxy.updates).toEqual([]);
    expect(mesh.pilot.metrics()).toMatch(/pilot_xds_refused_total [1-9]/);
  });
});

describe("refusals", () => {
  it("names who refused what, and forgets it when it is mended", async () => {
    const mesh = await startMesh();
    const proxy = new TestProxy(mesh);
    await proxy.until(() => proxy.names(xdsTypes.route).includes("80"));
    await synced(mesh, 1);
    proxy.refuse = (name) => (name.includes("late") ? "cannot have it" : undefined);
    mesh.config.upsert(2, service("late", "shop", "10.96.0.9"));
    const reason = () => mesh.pilot.status().proxies[0]?.types[xdsTypes.cluster]?.nack?.reason;
    expect(await eventually("the refusal is told", async () => reason())).toContain("cannot have it");
    expect(await mesh.pilot.waitSynced(2, 300)).toEqual({ synced: false, laggards: ["web-1.shop"] });
    expect(mesh.pilot.status().proxies[0]?.synced).toBe(false);
    expect(mesh.pilot.metrics()).toContain('pilot_total_xds_rejects{type="cds"} 1');
    mesh.config.remove(3, "Service/shop/late");
    await synced(mesh, 3);
  });
});
