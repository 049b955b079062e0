import type { Resource } from "@lateen/mesh-model";
import { xdsTypes } from "@lateen/xds";
import { afterEach, describe, expect, it } from "vitest";
import { AutoProxy, settle } from "./testing/auto-proxy.ts";
import { objectsOf } from "./testing/objects.ts";
import { at, closeAll, prepare, started } from "./testing/started.ts";

afterEach(closeAll);

const { cluster, endpoint, listener } = xdsTypes;

const A = "Service/shop/a";
const B = "Service/shop/b";

describe("before both snapshots are in", () => {
  it.each([
    ["configuration", ({ registry }: ReturnType<typeof prepare>) => registry.set()],
    ["service registry", ({ config }: ReturnType<typeof prepare>) => config.snapshot(1)],
  ])("refuses streams: without %s", async (missing, feed) => {
    const parts = prepare();
    feed(parts);
    const start = parts.pilot.start();
    await settle();
    expect(parts.pilot).toMatchObject({ ready: false, missing: [missing] });
    const proxy = new AutoProxy(parts.pilot.ads);
    expect(proxy.closed).toEqual({ code: 14, message: `not ready: waiting for ${missing}` });
    parts.clock.advance(5000);
    await start;
    expect(parts.logger.of("pilot.not_ready")).toHaveLength(1);
    expect(parts.compiler.changes).toEqual([]);
  });

  it("becomes ready when the rest arrives late", async () => {
    const parts = prepare();
    const start = parts.pilot.start();
    parts.clock.advance(5000);
    await start;
    parts.registry.set();
    parts.config.snapshot(7, at("a", "1"));
    expect(parts.pilot.ready).toBe(true);
    expect(parts.pilot.status().revision).toBe(7);
  });

  it("tries a registry again that cannot be watched", async () => {
    const parts = prepare();
    parts.registry.failures = 2;
    parts.registry.set();
    parts.config.snapshot(1);
    const start = parts.pilot.start();
    await parts.clock.advanceAsync(1000);
    await start;
    expect(parts.registry.watches).toBe(3);
    expect(parts.pilot.ready).toBe(true);
    expect(parts.logger.of("registry.failed")).toHaveLength(2);
  });
});

describe("changes", () => {
  it("are merged while they come and compiled once", async () => {
    const { config, compiler, pilot, advance } = await started();
    const proxy = new AutoProxy(pilot.ads);
    await proxy.subscribe();
    const before = compiler.changes.length;
    for (const version of ["2", "3", "4"]) {
      config.upsert(Number(version), at("a", version));
      await advance(5);
    }
    expect(proxy.list(cluster)).toEqual([`${A}@1`, `${B}@1`]);
    await advance(10);
    expect(proxy.list(cluster)).toEqual([`${A}@4`, `${B}@1`]);
    expect(compiler.changes.length - before).toBe(1);
    expect(pilot.status()).toMatchObject({ revision: 4, proxies: [{ synced: true }] });
  });

  it("of the ConfigMap of the mesh reach the compiler; a wrong one is reported and changes nothing", async () => {
    const { config, compiler, pilot, advance } = await started();
    const map = (mesh: string) =>
      objectsOf(`
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: ${JSON.stringify(mesh)} }
`);
    config.upsert(2, ...map("accessLogFile: /dev/stdout"));
    await advance(10);
    expect(compiler.changes.at(-1)?.meshConfig?.accessLogFile).toBe("/dev/stdout");
    // Admission refuses such a map; a store of another release may still hold one.
    const wrong = map("{}").map((object) => ({ ...object, data: { mesh: "accessLogFile: [1]" } }) as Resource);
    config.upsert(3, ...wrong);
    await advance(10);
    expect(compiler.changes.at(-1)?.meshConfig).toBeUndefined();
    expect(pilot.status().warnings).toHaveLength(1);
    config.remove(4, "ConfigMap/istio-system/istio");
    await advance(10);
    expect(compiler.changes.at(-1)?.meshConfig?.accessLogFile).toBe("");
    expect(pilot.status().warnings).toEqual([]);
  });

  it("are waited for until every proxy acknowledged them", async () => {
    const { config, pilot, advance } = await started();
    const [fast, slow] = [new AutoProxy(pilot.ads, "web"), new AutoProxy(pilot.ads, "cart")];
    await fast.subscribe();
    await slow.subscribe();
    slow.answers = false;
    config.upsert(2, at("a", "2"));
    const outcome = pilot.waitSynced(2, 1000);
    await advance(10);
    expect(pilot.status().proxies.map(({ pod, synced }) => [pod, synced])).toEqual([
      ["cart-1", false],
      ["web-1", true],
    ]);
    await advance(1000);
    expect(await outcome).toEqual({ synced: false, laggards: ["cart-1.shop"] });
    const next = pilot.waitSynced(2, 1000);
    slow.disconnect();
    await advance(1);
    expect(await next).toEqual({ synced: true, laggards: [] });
  });
});

describe("when something fails", () => {
  it("keeps serving, to new streams as well, after the bus and the registry fell silent", async () => {
    const { config, registry, pilot } = await started();
    config.disconnect();
    registry.failures = 99;
    const proxy = new AutoProxy(pilot.ads);
    await proxy.subscribe([A]);
    expect(proxy.list(cluster)).toEqual([`${A}@1`, `${B}@1`]);
    expect(proxy.list(endpoint)).toEqual([`${A}@1`]);
  });

  it("leaves a proxy alone whose resources cannot be compiled, and serves the others", async () => {
    const { config, compiler, pilot, advance } = await started();
    const [web, cart] = [new AutoProxy(pilot.ads, "web"), new AutoProxy(pilot.ads, "cart")];
    await web.subscribe();
    await cart.subscribe();
    compiler.failFor = { pod: "web-1", typeUrl: cluster };
    config.upsert(2, at("a", "2"));
    config.remove(2, B);
    await advance(10);
    expect(web.list(cluster)).toEqual([`${A}@1`, `${B}@1`]);
    expect(cart.list(cluster)).toEqual([`${A}@2`]);
    // Listeners may refer to clusters, so they wait for them.
    expect([web.list(listener), cart.list(listener)]).toEqual([["pilot@2"], ["pilot@1"]]);
    const status = pilot.status().proxies.find(({ pod }) => pod === "web-1");
    expect(status?.types[cluster]?.failure).toBe("cannot compile");
    compiler.failFor = undefined;
    config.upsert(3, at("c", "1"));
    await advance(10);
    expect(web.list(cluster)).toEqual([`${A}@2`, "Service/shop/c@1"]);
    expect(web.list(listener)).toEqual(["pilot@2"]);
    expect(pilot.status().proxies.every(({ synced }) => synced)).toBe(true);
  });

  it("takes nothing from a proxy that comes back while its resources cannot be compiled", async () => {
    const { compiler, pilot, advance } = await started();
    compiler.failFor = { pod: "*", typeUrl: cluster };
    const proxy = new AutoProxy(pilot.ads);
    proxy.send({ typeUrl: cluster, initialResourceVersions: { [A]: "1", gone: "1" } });
    proxy.send({ typeUrl: listener, initialResourceVersions: { pilot: "7" } });
    await advance(5000);
    expect(proxy.held.size).toBe(0);
    expect(proxy.closed).toBeUndefined();
    expect(pilot.status().proxies).toMatchObject([{ synced: false }]);
  });

  it("serves the other names when one cannot be compiled", async () => {
    const { config, compiler, pilot, advance } = await started();
    const proxy = new AutoProxy(pilot.ads);
    await proxy.subscribe([A, B]);
    compiler.failFor = { pod: "*", typeUrl: endpoint, name: A };
    config.upsert(2, at("a", "2"), at("b", "2"));
    await advance(10);
    expect(proxy.list(endpoint)).toEqual([`${A}@1`, `${B}@2`]);
  });

  it("takes the other objects over when one cannot be, and says so", async () => {
    const { config, compiler, pilot, logger, advance } = await started();
    const proxy = new AutoProxy(pilot.ads);
    await proxy.subscribe();
    compiler.poison = A;
    config.upsert(2, at("a", "2"), at("b", "2"));
    await advance(10);
    expect(proxy.list(cluster)).toEqual([`${A}@1`, `${B}@2`]);
    expect(pilot.status().warnings).toMatchObject([{ code: "LTN3505", level: "error" }]);
    expect(logger.of("compile.object_refused")).toHaveLength(1);
    compiler.poison = undefined;
    config.upsert(3, at("a", "3"));
    await advance(10);
    expect(proxy.list(cluster)).toEqual([`${A}@3`, `${B}@2`]);
    expect(pilot.status().warnings).toEqual([]);
  });

  it("ends a stream whose transport throws, and only that", async () => {
    const { pilot, logger } = await started();
    let closedWith: number | undefined;
    const session = pilot.ads.openDelta(
      { namespace: "shop", serviceAccount: "web", via: "token" },
      {
        send: () => {
          throw new Error("broken pipe");
        },
        close: (code) => {
          closedWith = code;
        },
      },
    );
    const healthy = new AutoProxy(pilot.ads, "cart");
    await healthy.subscribe();
    const request = new AutoProxy({
      openSotw: () => session as never,
      openDelta: () => session,
    });
    request.send({ typeUrl: cluster });
    expect(closedWith).toBe(13);
    expect(logger.of("stream.failed")).toHaveLength(1);
    expect(pilot.status().proxies.map(({ pod }) => pod)).toEqual(["cart-1"]);
  });

  it("refuses streams beyond the bound and serves again when one ended", async () => {
    const { pilot } = await started({ connectedLimits: { streams: 1 } });
    const first = new AutoProxy(pilot.ads, "web");
    await first.subscribe();
    expect(new AutoProxy(pilot.ads, "cart").closed?.code).toBe(8);
    first.disconnect();
    expect(new AutoProxy(pilot.ads, "cart").closed).toBeUndefined();
  });

  it("refuses an identity more streams than its share", async () => {
    const { pilot } = await started({ connectedLimits: { streamsPerIdentity: 1 } });
    const first = new AutoProxy(pilot.ads, "web");
    expect(new AutoProxy(pilot.ads, "web").closed?.code).toBe(8);
    expect(new AutoProxy(pilot.ads, "cart").closed).toBeUndefined();
    first.disconnect();
    expect(new AutoProxy(pilot.ads, "web").closed).toBeUndefined();
  });

  it("refuses an identity more kinds of clients than its share", async () => {
    const { pilot } = await started({ connectedLimits: { kindsPerIdentity: 2 } });
    const proxy = async (kind: string, app = "web") => {
      const one = new AutoProxy(pilot.ads, app, undefined, { LABELS: { kind } });
      await one.subscribe();
      return one;
    };
    const first = await proxy("a");
    expect((await proxy("b")).closed).toBeUndefined();
    expect((await proxy("c")).closed?.code).toBe(8);
    expect((await proxy("b")).closed).toBeUndefined();
    expect((await proxy("c", "cart")).closed).toBeUndefined();
    first.disconnect();
    expect((await proxy("c")).closed).toBeUndefined();
  });

  it("lets the compiler forget clients that come and go, each of another kind", async () => {
    const { pilot, compiler } = await started();
    const stays = new AutoProxy(pilot.ads, "cart", undefined, { LABELS: { kind: "stays" } });
    await stays.subscribe();
    for (let round = 0; round < 100; round++) {
      const one = new AutoProxy(pilot.ads, "web", undefined, { LABELS: { kind: `${round}` } });
      await one.subscribe();
      one.disconnect();
      expect(compiler.kinds).toBeLessThan(30);
    }
    expect(stays.closed).toBeUndefined();
  });

  it("ends every stream and leaves no timer when its scope closes", async () => {
    const { scope, clock, pilot, config } = await started();
    const proxy = new AutoProxy(pilot.ads);
    await proxy.subscribe();
    config.upsert(2, at("a", "2"));
    const waiting = pilot.waitSynced(99, 60_000);
    await scope.close();
    proxy.disconnect();
    expect(proxy.closed).toEqual({ code: 14, message: "the control plane is shutting down" });
    expect((await waiting).synced).toBe(false);
    expect(clock.pending).toBe(0);
  });
});

describe("the newest stream of a proxy counts", () => {
  it("does not wait for a connection whose end was not noticed", async () => {
    const { config, pilot, advance } = await started();
    const dead = new AutoProxy(pilot.ads);
    await dead.subscribe();
    dead.answers = false;
    const alive = new AutoProxy(pilot.ads);
    await alive.subscribe();
    config.upsert(2, at("a", "2"));
    await advance(10);
    expect(await pilot.waitSynced(2, 0)).toEqual({ synced: true, laggards: [] });
    expect(pilot.status().proxies).toHaveLength(1);
  });
});

describe("a gRPC library", () => {
  it("that has called nothing yet, or what did not change, is nobody to wait for", async () => {
    const { config, pilot, advance } = await started();
    const idle = new AutoProxy(pilot.ads, "web", undefined, { GENERATOR: "grpc" });
    idle.send({ typeUrl: listener, resourceNamesSubscribe: ["a.shop.svc.cluster.local:80"] });
    await advance(10);
    config.upsert(2, at("a", "2"));
    await advance(10);
    idle.answers = false;
    config.upsert(3, at("b", "2"));
    await advance(200);
    expect(await pilot.waitSynced(3, 0)).toEqual({ synced: true, laggards: [] });
    expect(pilot.status().proxies).toMatchObject([{ synced: true }]);
  });

  it("that does not answer what it was sent is", async () => {
    const { config, pilot, advance } = await started();
    const stuck = new AutoProxy(pilot.ads, "web", undefined, { GENERATOR: "grpc" });
    stuck.send({ typeUrl: endpoint, resourceNamesSubscribe: ["Service/shop/a"] });
    await advance(10);
    stuck.answers = false;
    config.upsert(2, at("a", "2"));
    await advance(200);
    expect(await pilot.waitSynced(2, 0)).toEqual({ synced: false, laggards: ["web-1.shop"] });
  });
});

describe("options", () => {
  it.each([
    [{ debounce: { quietMs: -1 } }],
    [{ debounce: { quietMs: 100, maxMs: 50 } }],
    [{ connectedLimits: { streams: 0 } }],
    [{ connectedLimits: { streamsPerIdentity: 0 } }],
    [{ connectedLimits: { kindsPerIdentity: 0 } }],
    [{ firstSnapshotsMs: Number.NaN }],
  ])("%j are refused", (options) => {
    expect(() => prepare(options)).toThrow(expect.objectContaining({ code: "LTN3501" }));
  });
});

describe("metrics", () => {
  it("have Istio's names", async () => {
    const { config, pilot, advance } = await started();
    const proxy = new AutoProxy(pilot.ads);
    await proxy.subscribe();
    config.upsert(2, at("a", "2"));
    await advance(10);
    const text = pilot.metrics();
    for (const line of [
      'pilot_xds{version="unknown"} 1',
      'pilot_xds_pushes{type="cds"} 2',
      'pilot_xds_pushes{type="lds"} 1',
      "pilot_services 2",
      "pilot_virt_services 0",
      "pilot_no_ip 0",
      "pilot_conflict_inbound_listener 0",
      "pilot_conflict_outbound_listener_tcp_over_current_tcp 0",
      "pilot_duplicate_envoy_clusters 0",
      "pilot_vservice_dup_domain 0",
      "pilot_destrule_subsets 0",
      "pilot_xds_cds_reject 0",
      "pilot_xds_rds_reject 0",
      'pilot_push_triggers{type="service"} 2',
      'pilot_inbound_updates{type="config"} 2',
    ]) {
      expect(text).toContain(`${line}\n`);
    }
    for (const name of [
      "pilot_proxy_convergence_time_count",
      "pilot_proxy_queue_time_count",
      'pilot_xds_push_time_count{type="cds"}',
      'pilot_xds_config_size_bytes_count{type="cds"}',
      "lateen_xds_age_at_push_seconds_count",
    ]) {
      expect(text).toMatch(new RegExp(`^${name} [1-9]`.replace(/[{}]/g, "\\$&"), "m"));
    }
  });
});
