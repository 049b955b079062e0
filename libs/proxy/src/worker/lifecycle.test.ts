import { manualClock } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { NetworkFilterRuntime } from "../chain/spi.ts";
import { clusterSpec, managerSpec } from "../router/testing/rig.ts";
import { type Peer, response } from "../router/testing/wire.ts";
import { chainSpec, listenerSpec, originalDst, serverTls, tcpSpec } from "./testing/data-path-rig.ts";
import { catchAll, Fixtures, GET, inbound, manager } from "./testing/fixtures.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

function bound(port: number, chains: Parameters<typeof listenerSpec>[2]): ReturnType<typeof listenerSpec> {
  return listenerSpec(`l${port}`, port, { bindToPort: true, ...chains });
}

describe("updates", () => {
  it("keep connections of a chain that stays as it is", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.rig();
    const chain = chainSpec(manager("app"));
    await proxy.apply({ clusters: [clusterSpec("app", [app.port])], listeners: [bound(8080, { chains: [chain] })] });
    const client = await proxy.dial(8080);
    client.send(GET);
    await client.message();
    const other = chainSpec(tcpSpec("app"), { destinationPort: 1 });
    await proxy.apply({ listeners: [bound(8080, { chains: [other, structuredClone(chain)] })] });
    client.send(GET);
    const answer = await client.message();
    expect(answer).toContain("app: GET /x");
    expect(answer).not.toContain("connection: close");
  });

  it("hand HTTP connections of a changed chain to the one in its place", async () => {
    const asked = Promise.withResolvers<Peer>();
    let requests = 0;
    const app = await fixtures.origin((peer) => {
      if (requests++ === 0) asked.resolve(peer);
      else peer.send(response("200 OK", "next"));
    });
    const proxy = fixtures.rig();
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(8080, { chains: [chainSpec({ ...manager("app"), serverHeader: "overwrite" })] })],
    });
    const [idle, busy] = [await proxy.dial(8080), await proxy.dial(8080)];
    busy.send(GET);
    const peer = await asked.promise;
    const changed = { ...manager("app"), serverName: "other", serverHeader: "overwrite" } as const;
    await proxy.apply({ listeners: [bound(8080, { chains: [chainSpec(changed)] })] });
    // What is under way ends as it began, and the connection goes on.
    peer.send(response("200 OK", "late"));
    const first = await busy.message();
    expect(first).toMatch(/server: lateen-test\r\n[\s\S]*late$/);
    expect(first).not.toContain("connection: close");
    for (const client of [busy, idle]) {
      client.text = "";
      client.send(GET);
      const answer = await client.message();
      expect(answer).toMatch(/server: other\r\n[\s\S]*next$/);
      expect(answer).not.toContain("connection: close");
    }
  });

  it.each([
    ["another port's chain", { destinationPort: 1 }, {}],
    ["a chain with TLS", {}, { transport: serverTls({}) }],
    ["a chain of bytes", undefined, {}],
  ])("let connections finish what they do where only %s is left", async (_title, match, more) => {
    const asked = Promise.withResolvers<Peer>();
    const app = await fixtures.origin((peer) => asked.resolve(peer));
    const proxy = fixtures.rig();
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(8080, { chains: [chainSpec(manager("app"))] })],
    });
    const idle = await proxy.dial(8080);
    const busy = await proxy.dial(8080);
    busy.send(GET);
    const peer = await asked.promise;
    const left = match === undefined ? chainSpec(tcpSpec("app")) : chainSpec(manager("app"), match, more);
    await proxy.apply({ listeners: [bound(8080, { chains: [left] })] });
    await idle.untilEnd();
    peer.send(response("200 OK", "late"));
    expect(await busy.untilEnd()).toMatch(/connection: close[\s\S]*late$/);
  });

  it("close the socket of a removed listener and keep its byte streams for a while", async () => {
    const clock = manualClock();
    const app = await fixtures.origin();
    const proxy = fixtures.rig({ clock });
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(9000, { chains: [chainSpec(tcpSpec("app"))] })],
    });
    const client = await proxy.dial(9000);
    const server = await app.connection(0);
    await proxy.apply({ removedListeners: ["l9000"], removedClusters: ["app"] });
    await expect(proxy.dial(9000)).rejects.toThrow("ECONNREFUSED");
    client.send("still here");
    expect(await server.until((text) => text !== "")).toBe("still here");
    clock.advance(45_100);
    await client.untilEnd();
  });

  it("let HTTP connections of a removed listener go little by little over the drain's duration", async () => {
    const clock = manualClock();
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.rig({ clock, random: () => 0.5, bootstrap: () => ({ drainMs: 10_000 }) });
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(8080, { chains: [chainSpec(manager("app"))] })],
    });
    const ask = async (client: Peer) => {
      client.send(GET);
      return client.message();
    };
    const [busy, other, idle] = [await proxy.dial(8080), await proxy.dial(8080), await proxy.dial(8080)];
    for (const client of [busy, other, idle]) expect(await ask(client)).toContain("app: GET /x");
    await proxy.apply({ removedListeners: ["l8080"] });
    // Less than half of the time is over, and chance says one half.
    clock.advance(4000);
    expect(await ask(busy)).not.toContain("connection: close");
    clock.advance(2000);
    expect(await ask(busy)).toContain("connection: close");
    await busy.untilEnd();
    expect(idle.ended || other.ended).toBe(false);
    // Those that ask for nothing go, too, before the end.
    clock.advance(3900);
    await idle.untilEnd();
    await other.untilEnd();
  });

  it("break connections when the drain's duration is over", async () => {
    const clock = manualClock();
    const asked = Promise.withResolvers<Peer>();
    const app = await fixtures.origin((peer) => asked.resolve(peer));
    const proxy = fixtures.rig({ clock, bootstrap: () => ({ drainMs: 3000 }) });
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(8080, { chains: [chainSpec(manager("app"))] })],
    });
    const client = await proxy.dial(8080);
    client.send(GET);
    await asked.promise;
    await proxy.apply({ removedListeners: ["l8080"] });
    clock.advance(2900);
    expect(client.ended).toBe(false);
    clock.advance(200);
    await client.untilEnd();
  });

  it("report what cannot be put in force and keep the version before", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.rig();
    const good = bound(8080, { chains: [chainSpec(manager("app"))] });
    await proxy.apply({ clusters: [clusterSpec("app", [app.port])], listeners: [good] });
    const bad = {
      ...good,
      chains: [chainSpec(manager("app"), {}, { networkFilters: [{ name: "nobody", config: {} }] })],
    };
    const twice = { ...bound(8080, { chains: [chainSpec(tcpSpec("app"))] }), name: "second" };
    const tls = {
      ...bound(8443, {}),
      chains: [chainSpec(tcpSpec("app"), {}, { transport: serverTls({ ciphers: ["NONE-SUCH"] }) })],
    };
    const failures = await proxy.tryApply({ listeners: [bad, twice, tls] });
    expect(failures).toMatchObject([
      { resource: "listener", name: "l8080", reason: expect.stringContaining("nobody") },
      { resource: "listener", name: "l8443", reason: expect.stringMatching(/cipher/) },
      { resource: "listener", name: "second", reason: expect.stringContaining("8080 is the address of l8080") },
    ]);
    const client = await proxy.dial(8080);
    client.send(GET);
    expect(await client.message()).toContain("app: GET /x");
  });

  it("report a port that somebody else has", async () => {
    const first = fixtures.rig();
    const second = fixtures.rig({ bootstrap: () => ({ bindAddress: first.address }) });
    const listener = bound(8080, { chains: [chainSpec(tcpSpec("app"))] });
    await first.apply({ listeners: [listener] });
    expect(await second.tryApply({ listeners: [listener] })).toEqual([
      { resource: "listener", name: "l8080", reason: `cannot listen on ${first.address}:8080: the address is in use` },
    ]);
  });

  it("move ports as the bind map and the offset of low ports say", async () => {
    const app = await fixtures.httpOrigin("gateway");
    const proxy = fixtures.rig({
      bootstrap: (address) => ({
        lowPortOffset: 8000,
        bindMap: [{ port: 443, address, bindPort: 9443 }],
      }),
    });
    const chain = (port: number) => chainSpec(manager("app"), { destinationPort: port });
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(80, { chains: [chain(80)] }), bound(443, { chains: [chain(443)] })],
    });
    for (const port of [8080, 9443]) {
      const client = await proxy.dial(port);
      client.send(GET);
      expect(await client.message()).toContain("gateway: GET /x");
    }
  });

  it("swap routes and clusters together", async () => {
    const [a, b] = [await fixtures.httpOrigin("a"), await fixtures.httpOrigin("b")];
    const proxy = fixtures.rig();
    const rds = managerSpec({ routes: { rds: "r" } });
    const table = (cluster: string) => {
      const { routes } = manager(cluster);
      if (!("inline" in routes)) throw new Error("inline");
      return { ...routes.inline, name: "r" };
    };
    await proxy.apply({
      clusters: [clusterSpec("a", [a.port])],
      routes: [table("a")],
      listeners: [bound(8080, { chains: [chainSpec(rds)] })],
    });
    const client = await proxy.dial(8080);
    client.send(GET);
    expect(await client.message()).toContain("a: GET /x");
    await proxy.apply({ clusters: [clusterSpec("b", [b.port])], routes: [table("b")], removedClusters: ["a"] });
    client.send(GET);
    expect(await client.message()).toContain("b: GET /x");
  });
});

describe("drain", () => {
  it("stops accepting, lets requests finish, then reports", async () => {
    const asked = Promise.withResolvers<Peer>();
    const app = await fixtures.origin((peer) => asked.resolve(peer));
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      names: { app: ["10.96.0.1"] },
      clusters: [originalDst("inbound|9080||", "inbound"), clusterSpec("app", [app.port])],
      listeners: [
        inbound("PERMISSIVE", "http"),
        catchAll(),
        listenerSpec("0.0.0.0_80", 80, { chains: [chainSpec(manager("app"))] }),
      ],
    });
    const idle = await proxy.dial(15001);
    const busy = await proxy.dial(9080);
    busy.send(GET);
    const peer = await asked.promise;
    proxy.dataPath.drain(10_000);
    await idle.untilEnd();
    await expect(proxy.dial(9080)).rejects.toThrow("ECONNREFUSED");
    expect(proxy.posted.some(({ type }) => type === "drained")).toBe(false);
    peer.send(response("200 OK", "done"));
    expect(await busy.untilEnd()).toMatch(/connection: close[\s\S]*done$/);
    busy.close();
    idle.close();
    await proxy.message("drained");
  });

  it("breaks what has not ended in time", async () => {
    const clock = manualClock();
    const app = await fixtures.origin();
    const proxy = fixtures.rig({ clock });
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(9000, { chains: [chainSpec(tcpSpec("app"))] })],
    });
    const client = await proxy.dial(9000);
    await app.connection(0);
    proxy.dataPath.drain(5000);
    clock.advance(4900);
    expect(client.closed).toBe(false);
    clock.advance(200);
    await client.untilEnd();
    await proxy.message("drained");
  });
});

describe("limits and reports", () => {
  it("refuses connections beyond maxConnections", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.rig({ bootstrap: () => ({ limits: { maxConnections: 1 } }) });
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(8080, { chains: [chainSpec(manager("app"))] })],
    });
    const first = await proxy.dial(8080);
    first.send(GET);
    await first.message();
    await proxy.resetBy(8080);
    expect(proxy.metric("envoy_listener_downstream_global_cx_overflow")).toBe(1);
    first.send(GET);
    await first.message();
  });

  it("tells listeners with their sockets and clusters with their endpoints", async () => {
    const app = await fixtures.origin();
    const proxy = fixtures.rig();
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(9000, { chains: [chainSpec(tcpSpec("app"))] })],
    });
    await proxy.dial(9000);
    await app.connection(0);
    expect(proxy.dataPath.inspect("listeners")).toEqual([
      {
        name: "l9000",
        address: "0.0.0.0",
        port: 9000,
        bound: [{ address: proxy.address, port: 9000 }],
        activeConnections: 1,
      },
    ]);
    expect(proxy.dataPath.inspect("clusters")).toMatchObject([
      { name: "app", endpoints: [{ address: "127.0.0.1", port: app.port, healthy: true, ejected: false }] },
    ]);
  });
});

describe("robustness", () => {
  it("ends the one connection on which a defect came up", async () => {
    const app = await fixtures.httpOrigin("app");
    const broken: NetworkFilterRuntime = {
      name: "broken",
      create: () => ({
        onConnection({ destinationPort }) {
          if (destinationPort === 8081) throw new Error("not thought of");
          return { allowed: true, details: "" };
        },
      }),
    };
    const proxy = fixtures.rig({ networkFilters: [broken] });
    const chains = [chainSpec(manager("app"), {}, { networkFilters: [{ name: "broken", config: {} }] })];
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(8080, { chains }), bound(8081, { chains })],
    });
    const good = await proxy.dial(8080);
    const bad = await proxy.dial(8081);
    await bad.untilEnd();
    expect(bad.text).toBe("");
    good.send(GET);
    expect(await good.message()).toContain("app: GET /x");
    expect(proxy.metric("lateen_proxy_defects_total")).toBe(1);
    expect(proxy.posted).toContainEqual(expect.objectContaining({ type: "defect", message: "not thought of" }));
  });

  it("waits for a slow reader after the last response of a connection", async () => {
    const clock = manualClock();
    const body = "x".repeat(16 * 1024 * 1024);
    const app = await fixtures.origin((peer) => peer.send(response("200 OK", body)));
    const proxy = fixtures.rig({ clock });
    await proxy.apply({
      clusters: [clusterSpec("app", [app.port])],
      listeners: [bound(8080, { chains: [chainSpec(manager("app"))] })],
    });
    const client = await proxy.dial(8080);
    client.socket.pause();
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    await app.connection(0);
    for (let step = 0; step < 10; step++) await clock.advanceAsync(1000);
    client.socket.resume();
    const answer = await client.untilEnd();
    expect(answer.length - answer.indexOf("\r\n\r\n") - 4).toBe(body.length);
  });
});
