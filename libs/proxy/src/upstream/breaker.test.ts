import { afterEach, describe, expect, it } from "vitest";
import type { BreakerLimits } from "../config/plan.ts";
import { clusterSpec, forwardTo, hostSpec, routeSpec, tableSpec } from "../router/testing/rig.ts";
import { response } from "../router/testing/wire.ts";
import { chainSpec, listenerSpec, tcpSpec } from "../worker/testing/data-path-rig.ts";
import { Fixtures, manager } from "../worker/testing/fixtures.ts";
import { Breaker } from "./breaker.ts";
import { clearCluster, clearWorker, SharedLoad, sharedLoadMemory } from "./shared-load.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

const LIMITS: BreakerLimits = { maxConnections: 9, maxPendingRequests: 9, maxRequests: 1, maxRetries: 9 };

it("tells when a limit is reached, and when it is not any more", () => {
  const told: string[] = [];
  const breaker = new Breaker({ ...LIMITS, maxRequests: 2 }, (part, open) => told.push(`${part} ${open}`));
  for (const by of [1, 1, 1, -1, -1, 1] as const) breaker.addRequests(by);
  expect(told).toEqual(["rq true", "rq false", "rq true"]);
});

describe("breakers of several workers", () => {
  const memory = sharedLoadMemory(3);
  afterEach(() => clearCluster(memory, 7));
  const worker = (index: number, limits: Partial<BreakerLimits>, told: string[] = []) =>
    new Breaker(
      { ...LIMITS, ...limits },
      (part, open) => told.push(`${index} ${part} ${open}`),
      new SharedLoad(memory, { index: 7, high: false, worker: index }),
    );

  it("hold each limit together", () => {
    const limits = { maxRequests: 3, maxPendingRequests: 3, maxConnections: 3, maxRetries: 3 };
    const all = [0, 1, 2].map((index) => worker(index, limits));
    const full = () => all.map((it) => [it.requestsFull, it.pendingFull, it.connectionsFull, it.retriesFull]);
    for (const [i, breaker] of all.entries()) {
      expect(full()).toEqual(Array.from({ length: 3 }, () => [false, false, false, false]));
      breaker.addRequests(1);
      breaker.addPending(1);
      breaker.addConnections(1);
      breaker.addRetries(1);
      expect(breaker.activeRequests, `worker ${i}`).toBe(1);
    }
    expect(full()).toEqual(Array.from({ length: 3 }, () => [true, true, true, true]));
    all[0]?.addConnections(-1);
    expect(full()).toEqual(Array.from({ length: 3 }, () => [true, true, false, true]));
  });

  it("take a retry budget of what all of them do", () => {
    const limits = { maxRequests: 99, retryBudget: { percent: 50, minimum: 1 } };
    const [a, b] = [worker(0, limits), worker(1, limits)];
    for (let i = 0; i < 3; i++) a.addRequests(1);
    b.addPending(3);
    expect([a.retryLimit, b.retryLimit]).toEqual([3, 3]);
    for (const breaker of [a, b, b]) breaker.addRetries(1);
    expect([a.retriesFull, b.retriesFull]).toEqual([true, true]);
  });

  it("keep priorities and clusters apart", () => {
    const other = (place: { index: number; high: boolean }) =>
      new Breaker(LIMITS, () => {}, new SharedLoad(memory, { ...place, worker: 1 }));
    worker(0, {}).addRequests(1);
    expect(other({ index: 7, high: false }).requestsFull).toBe(true);
    expect(other({ index: 7, high: true }).requestsFull).toBe(false);
    expect(other({ index: 8, high: false }).requestsFull).toBe(false);
  });

  it("get back what a worker had that died, or whose cluster is another now", () => {
    const [a, b, c] = [0, 1, 2].map((index) => worker(index, { maxRequests: 2 }));
    a?.addRequests(1);
    b?.addRequests(1);
    expect(c?.requestsFull).toBe(true);
    clearWorker(memory, 0);
    expect(c?.requestsFull).toBe(false);
    c?.addRequests(1);
    expect(c?.requestsFull).toBe(true);
    b?.detach();
    expect(c?.requestsFull).toBe(false);
    // What it still has under way is nobody's load any more.
    b?.addRequests(-1);
    expect(c?.requestsFull).toBe(false);
  });

  it("tell that a limit is reached, and on review that it is not any more", () => {
    const told: string[] = [];
    const [a, b] = [worker(0, { maxRequests: 2 }, told), worker(1, { maxRequests: 2 }, told)];
    a.addRequests(1);
    b.addRequests(1);
    expect(told).toEqual(["1 rq true"]);
    expect(b.review()).toBe(true);
    a.addRequests(-1);
    expect(told).toEqual(["1 rq true"]);
    expect(b.review()).toBe(false);
    expect(told).toEqual(["1 rq true", "1 rq false"]);
  });
});

describe("requests of priority HIGH", () => {
  /** `/high` and everything else, with their own limits. */
  async function proxyFor(port: number, high: BreakerLimits | undefined) {
    const routes = [
      routeSpec("/high", forwardTo("backend", { highPriority: true })),
      routeSpec("/", forwardTo("backend")),
    ];
    const spec = { ...manager("backend"), routes: { inline: tableSpec([hostSpec(["*"], routes)]) } };
    const proxy = fixtures.rig();
    await proxy.apply({
      clusters: [
        clusterSpec("backend", [port], {
          circuitBreakers: LIMITS,
          ...(high === undefined ? {} : { highCircuitBreakers: high }),
        }),
      ],
      listeners: [listenerSpec("http", 9000, { bindToPort: true, chains: [chainSpec(spec)] })],
    });
    const ask = async (path: string) => {
      const client = await proxy.dial(9000);
      client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      return client;
    };
    return { proxy, ask };
  }

  it("have limits of their own", async () => {
    const backend = await fixtures.origin();
    const { proxy, ask } = await proxyFor(backend.port, LIMITS);
    const gauge = (priority: string) => proxy.metric(`envoy_cluster_circuit_breakers_${priority}_rq_open`);
    const first = await ask("/one");
    await (await backend.connection(0)).message();
    expect(gauge("default")).toBe(1);
    expect(await (await ask("/two")).message()).toContain("reset reason: overflow");
    const high = await ask("/high");
    await (await backend.connection(1)).message();
    expect([gauge("default"), gauge("high")]).toEqual([1, 1]);
    expect(await (await ask("/high")).message()).toContain("reset reason: overflow");
    expect(proxy.metric("envoy_cluster_upstream_rq_pending_overflow")).toBe(2);
    for (const [index, client] of [first, high].entries()) {
      (await backend.connection(index)).send(response("200 OK", `${index}`));
      expect(await client.message()).toMatch(new RegExp(`${index}$`));
    }
    expect([gauge("default"), gauge("high")]).toEqual([0, 0]);
  });

  it("have Envoy's limits where nothing is said of them", async () => {
    const backend = await fixtures.httpOrigin("app");
    const { ask } = await proxyFor(backend.port, undefined);
    const clients = await Promise.all([ask("/high/1"), ask("/high/2"), ask("/high/3")]);
    for (const client of clients) expect(await client.message()).toContain("app: GET /high");
  });
});

it("counts TCP connections that a limit keeps out as such", async () => {
  const backend = await fixtures.origin();
  const proxy = fixtures.rig();
  await proxy.apply({
    clusters: [clusterSpec("backend", [backend.port], { circuitBreakers: { ...LIMITS, maxConnections: 1 } })],
    listeners: [listenerSpec("tcp", 9000, { bindToPort: true, chains: [chainSpec(tcpSpec("backend"))] })],
  });
  const first = await proxy.dial(9000);
  first.send("a");
  await (await backend.connection(0)).until((text) => text === "a");
  await proxy.resetBy(9000);
  expect(await proxy.record()).toMatchObject({ responseFlags: "UO" });
  expect(proxy.metric("envoy_cluster_upstream_cx_overflow")).toBe(1);
  expect(proxy.metric("envoy_cluster_circuit_breakers_default_cx_open")).toBe(1);
});
