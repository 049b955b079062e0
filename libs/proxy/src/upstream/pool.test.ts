import { manualClock } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { LocalityEndpointsSpec } from "../config/plan.ts";
import { stage } from "../router/testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, type Rig, routeSpec } from "../router/testing/rig.ts";
import { type Peer, response } from "../router/testing/wire.ts";

const { client, exchange, origin, rig } = stage(afterEach);
const GET = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
const BREAKERS = { maxConnections: 1000, maxPendingRequests: 1000, maxRequests: 1000, maxRetries: 3 };

function to(ports: readonly number[], overrides: Parameters<typeof clusterSpec>[2] = {}): Promise<Rig> {
  return rig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
    clusters: [clusterSpec("backend", ports, overrides)],
  });
}

function localities(...ports: readonly number[]): readonly LocalityEndpointsSpec[] {
  return clusterSpec("backend", ports).endpoints;
}

const named =
  (name: string) =>
  (peer: Peer): void =>
    peer.send(response("200 OK", name));

describe("connections to an endpoint", () => {
  it("are replaced after the allowed number of requests", async () => {
    const backend = await origin(named("x"));
    const proxy = await to([backend.port], { maxRequestsPerConnection: 2 });
    const peer = await client(proxy.port);
    for (let i = 0; i < 5; i++) {
      peer.send(GET);
      await peer.message();
    }
    expect(backend.connections).toHaveLength(3);
  });

  it("are shared by turns when no more are allowed", async () => {
    const backend = await origin();
    const proxy = await to([backend.port], { circuitBreakers: { ...BREAKERS, maxConnections: 1 } });
    const [first, second] = [await client(proxy.port), await client(proxy.port)];
    first.send(GET);
    const upstream = await backend.connection(0);
    await upstream.message();
    second.send(GET);
    while (proxy.cluster("backend").pendingRequests === 0) await new Promise((resolve) => setImmediate(resolve));
    upstream.send(response("200 OK", "one"));
    expect(await first.message()).toMatch(/one$/);
    await upstream.message();
    upstream.send(response("200 OK", "two"));
    expect(await second.message()).toMatch(/two$/);
    expect(backend.connections).toHaveLength(1);
  });

  it("refuse what would wait beyond the limit", async () => {
    const backend = await origin();
    const proxy = await to([backend.port], {
      circuitBreakers: { ...BREAKERS, maxConnections: 1, maxPendingRequests: 1 },
    });
    const peers = [await client(proxy.port), await client(proxy.port), await client(proxy.port)];
    peers[0]?.send(GET);
    const upstream = await backend.connection(0);
    await upstream.message();
    peers[1]?.send(GET);
    while (proxy.cluster("backend").pendingRequests === 0) await new Promise((resolve) => setImmediate(resolve));
    peers[2]?.send(GET);
    expect(await peers[2]?.message()).toMatch(/^HTTP\/1\.1 503 [\s\S]*overflow$/);
    peers[1]?.close();
    upstream.send(response("200 OK", "one"));
    expect(await peers[0]?.message()).toMatch(/one$/);
  });

  it("end with the accounts at zero, whatever happened to the requests", async () => {
    const backend = await origin();
    const proxy = await to([backend.port]);
    const cluster = proxy.cluster("backend");
    const peers = await Promise.all(Array.from({ length: 6 }, () => client(proxy.port)));
    for (const peer of peers) peer.send(GET);
    const upstreams = await Promise.all(peers.map((_, i) => backend.connection(i)));
    for (const upstream of upstreams) await upstream.message();
    expect(cluster.activeRequests).toBe(6);
    upstreams[0]?.send(response("200 OK", ""));
    upstreams[1]?.close();
    upstreams[2]?.send("nonsense\r\n\r\n");
    upstreams[3]?.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    peers[4]?.socket.resetAndDestroy();
    peers[5]?.socket.resetAndDestroy();
    while (cluster.activeRequests > 1) await new Promise((resolve) => setImmediate(resolve));
    upstreams[3]?.close();
    while (cluster.activeRequests > 0) await new Promise((resolve) => setImmediate(resolve));
    while (proxy.manager.activeExchanges > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(cluster.pendingRequests).toBe(0);
    for (const endpoint of cluster.endpoints) expect(endpoint.active).toBe(0);
  });
});

describe("changes of endpoints", () => {
  it("keep the connections of those that stay and finish requests to those that go", async () => {
    const stays = await origin(named("stays"));
    const goes = await origin();
    const comes = await origin(named("comes"));
    const proxy = await to([goes.port]);
    const peer = await client(proxy.port);
    peer.send(GET);
    const upstream = await goes.connection(0);
    await upstream.message();
    proxy.cluster("backend").setEndpoints(localities(stays.port));
    upstream.send(response("200 OK", "goes"));
    expect(await peer.message()).toMatch(/goes$/);
    await upstream.untilEnd();
    expect(await exchange(proxy.port, GET)).toMatch(/stays$/);
    proxy.cluster("backend").setEndpoints(localities(stays.port, comes.port));
    const seen = new Set<string>();
    for (let i = 0; i < 4; i++) seen.add((await exchange(proxy.port, GET)).slice(-5));
    expect([...seen].sort()).toEqual(["comes", "stays"]);
    expect(stays.connections).toHaveLength(1);
  });

  it("serve whoever was waiting for an endpoint that goes", async () => {
    const backend = await origin(named("served"));
    const proxy = await to([backend.port], { circuitBreakers: { ...BREAKERS, maxConnections: 1 } });
    const peer = await client(proxy.port);
    peer.send(GET);
    while (proxy.manager.activeExchanges === 0) await new Promise((resolve) => setImmediate(resolve));
    proxy.cluster("backend").setEndpoints([]);
    expect(await peer.message()).toMatch(/served$/);
    expect(await exchange(proxy.port, GET)).toMatch(/no healthy upstream$/);
  });
});

describe("balancing", () => {
  it("avoids the busy endpoint with least request", async () => {
    const slow = await origin();
    const fast = await origin(named("fast"));
    const proxy = await to([slow.port, fast.port], { balance: "leastRequest", choices: 2 });
    const waiting: Peer[] = [];
    while (slow.connections.length === 0) {
      const peer = await client(proxy.port);
      peer.send(GET);
      waiting.push(peer);
      await Promise.race([peer.until((text) => text !== ""), slow.connection(0)]);
    }
    for (let i = 0; i < 10; i++) expect(await exchange(proxy.port, GET)).toMatch(/fast$/);
  });
});

describe("connections that may not grow old", () => {
  it("take no request after their time", async () => {
    const clock = manualClock();
    const backend = await origin(named("x"));
    const proxy = await rig({
      clock,
      hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
      clusters: [clusterSpec("backend", [backend.port], { maxConnectionDurationMs: 1000 })],
    });
    const peer = await client(proxy.port);
    for (const wait of [0, 500, 600]) {
      clock.advance(wait);
      peer.send(GET);
      await peer.message();
    }
    expect(backend.connections).toHaveLength(2);
  });
});

describe("a retry budget", () => {
  it.each([
    [{ percent: 0, minimum: 0 }, 0],
    [{ percent: 20, minimum: 3 }, 3],
    [{ percent: 50, minimum: 3 }, 5],
  ])("%o", async (retryBudget, expected) => {
    const proxy = await to([1], { circuitBreakers: { ...BREAKERS, retryBudget } });
    const cluster = proxy.cluster("backend");
    cluster.breaker.activeRequests = 10;
    expect(cluster.breaker.retryLimit).toBe(expected);
    cluster.breaker.activeRequests = 0;
  });
});
