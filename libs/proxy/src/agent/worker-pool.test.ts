import { silentLogger, systemClock } from "@lateen/kernel";
import { afterEach, describe, expect, it } from "vitest";
import type { BreakerLimits, ClusterSpec, HealthCheckSpec, PlanDelta } from "../config/plan.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import { type Peer, response } from "../router/testing/wire.ts";
import {
  chainSpec,
  connectPeer,
  EMPTY_DELTA,
  listenerSpec,
  loopbackAddress,
  SELF,
} from "../worker/testing/data-path-rig.ts";
import { Fixtures, GET, manager } from "../worker/testing/fixtures.ts";
import { StatsReader } from "./stats-reader.ts";
import { WorkerPool } from "./worker-pool.ts";

const fixtures = new Fixtures();
const pools: WorkerPool[] = [];
afterEach(async () => {
  fixtures.close();
  await Promise.all(pools.splice(0).map((pool) => pool.stop()));
});

/** What is waited for is the change, however slow the machine. */
const PATIENCE = { timeout: 300_000, interval: 20 };
const LIMITS: BreakerLimits = { maxConnections: 99, maxPendingRequests: 99, maxRequests: 99, maxRetries: 99 };

interface EndpointReport {
  readonly healthy: boolean;
  readonly ejected: boolean;
}

/** Two data-path threads in front of one cluster, as the agent runs them. */
async function twoWorkers(cluster: ClusterSpec) {
  const address = loopbackAddress();
  const full: PlanDelta = {
    ...EMPTY_DELTA,
    generation: 1,
    clusters: [cluster],
    listeners: [listenerSpec("http", 8080, { bindToPort: true, chains: [chainSpec(manager(cluster.name))] })],
  };
  let applied: PlanDelta = { ...EMPTY_DELTA, generation: 0 };
  const pool = new WorkerPool({
    entry: new URL("../worker/testing/mortal-entry.ts", import.meta.url),
    count: 2,
    bootstrap: {
      self: SELF,
      role: "gateway",
      capture: { mode: "none" },
      bindMap: [],
      bindAddress: address,
      lowPortOffset: 0,
      limits: { maxConnections: 1000 },
    },
    clock: systemClock(),
    logger: silentLogger,
    fullPlan: () => applied,
    onMessage: () => {},
    onLines: (_path, _bytes, done) => done(),
    onLost: () => {},
  });
  pools.push(pool);
  await pool.start();
  applied = full;
  expect(await pool.apply(full)).toEqual([]);

  /** A request over a connection of its own to one of them. */
  const ask = async (worker: number): Promise<Peer> => {
    const peer = await connectPeer(address, 8080 + worker);
    fixtures.defer(() => peer.close());
    peer.send(GET);
    return peer;
  };
  const endpoints = async (): Promise<readonly EndpointReport[]> => {
    const reports = (await pool.inspect("clusters")) as readonly (readonly {
      endpoints: readonly EndpointReport[];
    }[])[];
    return reports.flatMap(([report]) => report?.endpoints ?? []);
  };
  const kill = async (index: number): Promise<void> => {
    const { restarts } = pool;
    const delta = { ...EMPTY_DELTA, generation: 100 + index, removedListeners: [`fatal-${index}`] };
    await pool.apply(delta);
    await expect.poll(() => pool.restarts, PATIENCE).toBe(restarts + 1);
  };
  const metric = (name: string): number =>
    new StatsReader()
      .read(pool.stats())
      .filter(({ definition }) => definition.name === name)
      .reduce((sum, { values }) => sum + (values[0] ?? 0), 0);
  return { ask, endpoints, kill, metric };
}

/** An application that answers when it is told to. */
async function held() {
  const asked: Peer[] = [];
  const origin = await fixtures.origin((peer) => void asked.push(peer));
  const arrived = (count: number) => expect.poll(() => asked.length, PATIENCE).toBe(count);
  return { port: origin.port, asked, arrived };
}

const OVERFLOW = "reset reason: overflow";

describe("circuit breakers of two workers", { timeout: 600_000 }, () => {
  it("hold together, and get back what a dead worker had", async () => {
    const app = await held();
    const spec = clusterSpec("app", [app.port], { circuitBreakers: { ...LIMITS, maxRequests: 3 } });
    const { ask, kill, metric } = await twoWorkers(spec);
    const gauge = () => metric("envoy_cluster_circuit_breakers_default_rq_open");
    const first = await ask(0);
    await app.arrived(1);
    const second = await ask(1);
    await app.arrived(2);
    expect(gauge()).toBe(0);
    await ask(0);
    await app.arrived(3);
    expect(gauge()).toBe(1);
    for (const worker of [0, 1]) expect(await (await ask(worker)).message()).toContain(OVERFLOW);
    expect(gauge()).toBe(1);
    // Room that one worker makes is the other's, too.
    app.asked[0]?.send(response("200 OK", "first"));
    expect(await first.message()).toMatch(/first$/);
    await expect.poll(gauge, PATIENCE).toBe(0);
    await ask(1);
    await app.arrived(4);
    expect(await (await ask(0)).message()).toContain(OVERFLOW);
    // Worker 1 has two of the three.
    await kill(1);
    await second.untilEnd();
    await ask(0);
    await app.arrived(5);
    await ask(0);
    await app.arrived(6);
    expect(await (await ask(0)).message()).toContain(OVERFLOW);
  });
});

const CHECK: HealthCheckSpec = {
  timeoutMs: 60_000,
  intervalMs: 3_600_000,
  noTrafficMs: 3_600_000,
  unhealthyMs: 3_600_000,
  unhealthyEdgeMs: 3_600_000,
  healthyEdgeMs: 3_600_000,
  initialJitterMs: 0,
  jitterMs: 0,
  jitterPercent: 0,
  unhealthyThreshold: 1,
  healthyThreshold: 1,
  ask: {
    kind: "http",
    method: "GET",
    host: "app",
    path: "/healthz",
    headers: [],
    http2: false,
    expected: [[200, 201]],
    retriable: [],
  },
};

describe("what one worker finds out of endpoints", { timeout: 600_000 }, () => {
  it("by health checks is asked once and known to all, also to one that starts later", async () => {
    let asked = 0;
    const app = await fixtures.origin((peer) => {
      asked++;
      peer.send(response("200 OK", ""));
    });
    const spec = clusterSpec("app", [app.port], { healthCheck: CHECK, panicPercent: 0 });
    const { endpoints, kill } = await twoWorkers(spec);
    const health = async () => (await endpoints()).map(({ healthy }) => healthy);
    await expect.poll(health, PATIENCE).toEqual([true, true]);
    expect(asked).toBe(1);
    await kill(0);
    await expect.poll(health, PATIENCE).toEqual([true, true]);
    // Who starts is told; whoever takes over, if it was the other that asked, asks for itself.
    expect(asked).toBeLessThanOrEqual(2);
  });

  it("by outlier detection holds for all", async () => {
    const bad = await fixtures.origin((peer) => peer.send(response("503 No", "")));
    const spec = clusterSpec("app", [bad.port], {
      outlier: {
        consecutive5xx: 2,
        consecutiveGatewayFailure: 0,
        splitExternalLocalOriginErrors: false,
        consecutiveLocalOriginFailure: 0,
        intervalMs: 1000,
        baseEjectionMs: 3_600_000,
        maxEjectionPercent: 100,
      },
      panicPercent: 0,
    });
    const { ask, endpoints, metric } = await twoWorkers(spec);
    for (let i = 0; i < 2; i++) await (await ask(1)).message();
    await expect.poll(async () => (await endpoints()).map(({ ejected }) => ejected), PATIENCE).toEqual([true, true]);
    expect(await (await ask(0)).message()).toContain("no healthy upstream");
    expect(metric("envoy_cluster_outlier_detection_ejections_enforced_total")).toBe(1);
  });
});
