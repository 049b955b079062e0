import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseExposition } from "@lateen/ports";
import {
  RateLimitRequest,
  type RateLimitResponse,
  type RateLimitServiceClient,
} from "@lateen/proto/envoy/service/ratelimit/v3/rls";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControlPlane, type Pod } from "./harness/control-plane.ts";
import { type Answer, ask, type Via } from "./harness/http.ts";
import { noEnvoy } from "./harness/mesh.ts";
import { connected, Redis, type RunningMixer, rateLimitClient, startMixer } from "./harness/mixers.ts";
import { program } from "./harness/programs.ts";
import { type RunningProxy, startAgent, startEnvoy, startOwn } from "./harness/proxies.ts";
import { startHttp, type Upstream } from "./harness/upstream.ts";

const FULL = process.env.LATEEN_TEST_FULL === "1";
const redisServer = program("redis-server");
const missing = noEnvoy() ?? (redisServer.path === undefined ? `no Redis: ${redisServer.reason}` : undefined);
const SAMPLE = resolve(import.meta.dirname, "../../../samples/rate-limiting");
const REDIS_PORT = 26_379;
const LIMIT = 100;
/** What is refused because nobody answered in time is refused too much: where counts are looked at, time is given. */
const REDIS_TIMEOUT = "3s";
const FILTER_TIMEOUT = "20s";

const gateway = (name: string, last: number): Pod => ({
  name,
  namespace: "istio-system",
  address: `127.70.1.${last}`,
  serviceAccount: "istio-ingressgateway-service-account",
  labels: { istio: "ingressgateway", name },
  ports: [],
  mesh: false,
});
interface TestGateway {
  readonly pod: Pod;
  readonly flavor: "envoy" | "own";
  readonly port: number;
}
/** Each has a port of its own, because Envoy binds them on every address. Two of each kind with the full counts, else one. */
const gateways: readonly TestGateway[] = [
  { pod: gateway("envoy-1", 1), flavor: "envoy" as const, port: 18_101 },
  { pod: gateway("own-1", 3), flavor: "own" as const, port: 18_103 },
  { pod: gateway("envoy-2", 2), flavor: "envoy" as const, port: 18_102 },
  { pod: gateway("own-2", 4), flavor: "own" as const, port: 18_104 },
].slice(0, FULL ? 4 : 2);
const web: Pod = {
  ...{ name: "web", namespace: "default", address: "127.70.1.10", serviceAccount: "web", labels: { app: "web" } },
  ...{ ports: [{ containerPort: 9080 }], mesh: false },
};

const object = (apiVersion: string, kind: string, name: string, namespace: string, rest: object) =>
  `---\n${JSON.stringify({ apiVersion, kind, metadata: { name, namespace }, ...rest })}\n`;

/** Services, and a Gateway with its port for each gateway. */
function base(): string {
  const ports = gateways.map(({ port }) => ({ name: `http-${port}`, port, targetPort: port }));
  return [
    ...["default", "istio-system"].map((name) => object("v1", "Namespace", name, "", {})),
    object("v1", "Service", "web", "default", {
      spec: { clusterIP: "10.96.1.1", selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: 9080 }] },
    }),
    object("v1", "Service", "istio-ingressgateway", "istio-system", {
      spec: { clusterIP: "10.96.1.2", selector: { istio: "ingressgateway" }, ports },
    }),
    ...gateways.map(({ pod: { name }, port }) =>
      object("networking.istio.io/v1", "Gateway", name, "istio-system", {
        spec: {
          selector: { name },
          servers: [{ port: { number: port, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
        },
      }),
    ),
    object("networking.istio.io/v1", "VirtualService", "web", "default", {
      spec: {
        hosts: ["*"],
        gateways: gateways.map(({ pod: { name } }) => `istio-system/${name}`),
        http: [{ route: [{ destination: { host: "web", port: { number: 80 } } }] }],
      },
    }),
  ].join("");
}

/** The mixers' Service, as a local mesh and an installation have it. */
function mixerService(ports: readonly number[]): string {
  const port = { name: "grpc-als", port: 9091, protocol: "TCP" };
  return [
    object("v1", "Service", "istio-mixer", "istio-system", { spec: { clusterIP: "10.96.1.3", ports: [port] } }),
    object("v1", "Endpoints", "istio-mixer", "istio-system", {
      subsets: ports.map((own) => ({ addresses: [{ ip: "127.0.0.1" }], ports: [{ ...port, port: own }] })),
    }),
    object("networking.istio.io/v1", "DestinationRule", "istio-mixer", "istio-system", {
      spec: {
        host: "istio-mixer.istio-system.svc.cluster.local",
        trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } },
      },
    }),
  ].join("");
}

/** The sample's limits with those of the tests beside them: without a beginning, so that no test falls on the end of a window. */
function limits(): string {
  const rule = (path: string, more = "") => `
  - key: PATH
    value: ${path}
    rate_limit: { unit: hour, requests_per_unit: ${LIMIT}, algorithm: ROLLING_WINDOW }
    ${more}`;
  const data = {
    "config.yaml": `domain: ratelimit
descriptors:
  - key: PATH
    value: /minute
    rate_limit: { unit: minute, requests_per_unit: ${LIMIT} }${["/shared", "/again", "/modes", "/thawed"].map((path) => rule(path)).join("")}${rule("/shadow", "shadow_mode: true")}
`,
  };
  return object("v1", "ConfigMap", "ratelimit-config", "istio-system", { data });
}

describe.skipIf(missing !== undefined)(`rate limits${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  const stops: (() => Promise<unknown>)[] = [];
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  let plane: ControlPlane;
  let redis: Redis;
  let mixers: readonly RunningMixer[];
  let proxies: readonly RunningProxy[];

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), "lateen-limits-"));
    stops.push(() => rm(folder, { recursive: true, force: true }));
    plane = await ControlPlane.start(folder, base(), [...gateways.map(({ pod }) => pod), web]);
    stops.push(() => plane.stop());
    redis = await Redis.start(REDIS_PORT);
    stops.push(() => redis.stop());
    const application: Upstream = await startHttp("web", web.address, 9080);
    stops.push(() => application.close());
    const shared = { "redis-url": `redis://127.0.0.1:${REDIS_PORT}`, "redis-timeout": REDIS_TIMEOUT };
    const start = async (name: string, flags: Readonly<Record<string, string>>) => {
      const mixer = await startMixer(plane, name, { ...shared, ...flags });
      stops.push(() => mixer.stop());
      return mixer;
    };
    mixers = await Promise.all([
      start("mixer-1", { "quota-fail-mode": "closed" }),
      start("mixer-2", { "quota-fail-mode": "closed" }),
    ]);
    const sample = await readFile(join(SAMPLE, "envoy-filter.yaml"), "utf8");
    const filter = sample.replace("timeout: 1s", `timeout: ${FILTER_TIMEOUT}`);
    await plane.apply(`${mixerService(mixers.map(({ port }) => port))}${limits()}---\n${filter}`, { synced: false });
    proxies = await Promise.all(gateways.map(startGateway));
    await eventually("every gateway asks for limits", async () => {
      const answers = await Promise.all(gateways.map((_, index) => through(index, "/shadow")));
      const told = answers.every(({ status, headers }) => status === 200 && headers["x-ratelimit-limit"] !== undefined);
      if (!told) throw new Error(JSON.stringify(answers.map(({ status, headers, body }) => [status, headers, body])));
      return true;
    }).catch((error: Error) => plane.explain(error));
  }, 240_000);

  afterAll(async () => {
    agent.destroy();
    for (const stop of stops.reverse()) await stop();
  });

  async function startGateway({ pod, flavor, port }: TestGateway): Promise<RunningProxy> {
    const bindMap = [{ port, address: pod.address, bindPort: port }];
    const proxy =
      flavor === "own"
        ? await startOwn(plane, pod, "router", { bindMap })
        : await startEnvoy(program("envoy").path ?? "", plane, await startAgent(plane, pod), pod, {
            kind: "router",
            discovery: "agent",
            protocol: "DELTA_GRPC",
          });
    stops.push(() => proxy.stop());
    return proxy;
  }

  function through(index: number, path: string): Promise<Answer> {
    const one = gateways[index % gateways.length];
    if (one === undefined) throw new Error("no gateway");
    const { pod, port } = one;
    const via: Via = { host: pod.address, port, agent };
    return ask({ path, headers: { host: "shop.test" } }, via);
  }
  /** Status codes of this many requests over all gateways, and how often each came. */
  async function statuses(path: string, count: number): Promise<Readonly<Record<number, number>>> {
    const counts: Record<number, number> = {};
    let next = 0;
    const worker = async () => {
      while (next < count) {
        const { status } = await through(next++, path);
        counts[status] = (counts[status] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    return counts;
  }
  const metric = async (mixer: RunningMixer | undefined, name: string) =>
    parseExposition((await mixer?.metrics()) ?? "")
      .filter((sample) => sample.name === name)
      .reduce((sum, { value }) => sum + value, 0);

  it("are one over two mixers and all gateways, Envoys and our own", async () => {
    expect(await statuses("/shared", 2 * LIMIT)).toEqual({ 200: LIMIT, 429: LIMIT });
    for (const [index] of gateways.entries()) {
      const { status, headers } = await through(index, "/shared");
      expect([status, headers["x-envoy-ratelimited"]]).toEqual([429, "true"]);
      expect(headers["x-ratelimit-limit"]).toBe(`${LIMIT}, ${LIMIT};w=3600`);
      expect(headers["x-ratelimit-remaining"]).toBe("0");
      expect(Number(headers["x-ratelimit-reset"])).toBeGreaterThan(3000);
    }
    const asked = await Promise.all(mixers.map((mixer) => metric(mixer, "mixer_ratelimit_requests_total")));
    expect(Math.min(...asked)).toBeGreaterThan(0);
    expect(proxies).toHaveLength(gateways.length);
  });

  it("in shadow mode refuse nobody and are counted", async () => {
    expect(await statuses("/shadow", LIMIT + 50)).toEqual({ 200: LIMIT + 50 });
    const over = await Promise.all(mixers.map((mixer) => metric(mixer, "mixer_ratelimit_shadow_mode_total")));
    expect(over[0]! + over[1]!).toBeGreaterThanOrEqual(50);
  });

  it("are nobody's business where there are none", async () => {
    expect(await statuses("/free", 20)).toEqual({ 200: 20 });
  });

  it.skipIf(!FULL)("of a minute are kept for a minute", { timeout: 240_000 }, async () => {
    /** Passed requests by the minute in which they came back. */
    const passed = new Map<number, number>();
    const minute = () => Math.floor(Date.now() / 60_000);
    const first = minute() + 1;
    let next = 0;
    const worker = async () => {
      while (minute() <= first) {
        const { status } = await through(next++, "/minute");
        if (status === 200) passed.set(minute(), (passed.get(minute()) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    process.stdout.write(`of ${next} requests ${passed.get(first) ?? 0} passed in a minute of ${LIMIT}\n`);
    expect(Math.abs((passed.get(first) ?? 0) - LIMIT)).toBeLessThanOrEqual(LIMIT / 100);
  });

  it("follow their declared mode while Redis is gone, and count again by themselves", async () => {
    await redis.kill();
    await eventually("both breakers are open", async () => {
      const up = await Promise.all(mixers.map((mixer) => metric(mixer, "mixer_ratelimit_store_up")));
      return up.every((value) => value === 0) ? true : undefined;
    });
    expect(await statuses("/again", 40)).toEqual({ 429: 40 });
    expect(await statuses("/free", 40)).toEqual({ 200: 40 });
    await redis.restart();
    await counting();
    expect(await statuses("/again", LIMIT + 20)).toEqual({ 200: LIMIT, 429: 20 });
  });

  it.skipIf(!FULL)("follow it while Redis is frozen, too", async () => {
    redis.freeze();
    // Those that wait for Redis are refused as well.
    expect(await statuses("/again", 20)).toEqual({ 429: 20 });
    redis.thaw();
    await counting();
    expect((await through(0, "/again")).headers["x-ratelimit-limit"]).toBeDefined();
  });

  async function counting(): Promise<void> {
    await eventually("both count again", async () => {
      const up = await Promise.all(mixers.map((mixer) => metric(mixer, "mixer_ratelimit_store_up")));
      return up.every((value) => value === 1) ? true : undefined;
    });
  }

  it("come from files as well, which may change; what is wrong with one is told, and the last good one stays", async () => {
    const file = join(plane.folder, "limits.yaml");
    const write = (limit: string) =>
      writeFile(file, `domain: files\ndescriptors:\n  - key: PATH\n    rate_limit: { ${limit} }\n`);
    await write("unit: day, requests_per_unit: 1000000");
    const mixer = await startMixer(plane, "mixer-files", { "rate-limit-config": file });
    const client = rateLimitClient(mixer.port, await plane.identity(web));
    const decided = (code: unknown) =>
      eventually(`the answer is ${code}`, async () =>
        (await decision(client, "files", "/a")).code === code ? true : undefined,
      );
    try {
      await decided(1);
      await write("unit: day, requests_per_unit: 0");
      await decided(2);
      await write("unit: fortnight, requests_per_unit: 9");
      // The log comes through a pipe, in its own time.
      await eventually("it is told", async () =>
        (await metric(mixer, "mixer_ratelimit_rejected_documents")) === 1 &&
        /limits\.yaml:4:\d+: .*fortnight.* is not one of second, minute/.test(mixer.log())
          ? true
          : undefined,
      );
      await decided(2);
    } finally {
      client.close();
      await mixer.stop();
    }
  });

  // Those of the other modes are in the mixer's own tests as well.
  const modes = [
    ["open", 1],
    ["closed", 2],
    ["proxy", "UNAVAILABLE"],
  ] as const;
  describe.each(modes.slice(0, FULL ? 3 : 1))("a mixer that is told %s", (mode, expected) => {
    it(`answers ${expected} without Redis, as quickly as the mode is worth`, { timeout: 240_000 }, async () => {
      const mixer = await startMixer(plane, `mixer-${mode}`, {
        "redis-url": `redis://127.0.0.1:${REDIS_PORT}`,
        "redis-timeout": FULL ? "15ms" : "300ms",
        "quota-fail-mode": mode,
      });
      const client = rateLimitClient(mixer.port, await plane.identity(web));
      try {
        await connected(client);
        const up = (value: number) =>
          eventually(`the breaker is ${value === 0 ? "open" : "closed"}`, async () =>
            (await metric(mixer, "mixer_ratelimit_store_up")) === value ? true : undefined,
          );
        await up(1);
        await eventually("it knows its limits", async () =>
          (await decision(client, "ratelimit", "/modes")).code === 1 ? true : undefined,
        );
        const usual = await sideBySide(client, 100);
        const killed: Extra[] = [];
        const frozen: Extra[] = [];
        const open: Extra[] = [];
        for (let round = 0; round < (FULL ? 5 : 1); round++) {
          await redis.kill();
          await up(0);
          killed.push(...(await sideBySide(client, 50)));
          await redis.restart();
          await up(1);
        }
        for (let round = 0; round < (FULL ? 20 : 1); round++) {
          redis.freeze();
          // After as many without an answer nobody waits any more.
          frozen.push(...(await sideBySide(client, 3)));
          open.push(...(await sideBySide(client, 20)));
          redis.thaw();
          await up(1);
        }
        for (const one of [killed, frozen, open]) expect([...new Set(one.map(({ code }) => code))]).toEqual([expected]);
        const text = Object.entries({ usual, killed, frozen, open })
          .map(([name, of]) => `${name} ${quantile(of, 0.5)} / ${quantile(of, 0.95)} (${of.length})`)
          .join(", ");
        process.stdout.write(`${mode}: ms more than without a limit, p50 / p95 (n): ${text}\n`);
        process.stdout.write(`${mode}: ${await decidedByMode(mixer)}\n`);
        if (!FULL) return;
        expect(quantile(killed, 0.5) - quantile(usual, 0.5)).toBeLessThanOrEqual(5);
        expect(quantile(frozen, 0.5)).toBeLessThanOrEqual(20);
        expect(quantile(open, 0.5) - quantile(usual, 0.5)).toBeLessThanOrEqual(1);
      } finally {
        client.close();
        await mixer.stop();
      }
    });
  });
});

/** How quick a mixer was by its own clock, from when a question came in, where its fail mode decided. */
async function decidedByMode(mixer: RunningMixer): Promise<string> {
  const samples = parseExposition(await mixer.metrics()).filter(
    ({ name, labels }) => name.startsWith("mixer_ratelimit_decision_seconds") && labels.by === "mode",
  );
  const within = (le: string) => samples.find(({ labels }) => labels.le === le)?.value ?? Number.NaN;
  return `of ${within("+Inf")} decisions ${within("0.001")} took at most 1 ms, ${within("0.016")} 16 ms, ${within("0.02")} 20 ms`;
}

/** What was answered about a limit, and how many milliseconds later than an answer about none. */
interface Extra {
  readonly code: unknown;
  readonly ms: number;
}

/**
 * Asks so many times about a limit and, at the same time, on the same connection, about nothing that is limited. On a machine that is busy with other
 * things both are late; the difference is what Redis costs.
 */
async function sideBySide(client: RateLimitServiceClient, count: number): Promise<readonly Extra[]> {
  const extras: Extra[] = [];
  for (let i = 0; i < count; i++) {
    const ask = (path: string) => decision(client, "ratelimit", path);
    const [free, limited] = await Promise.all([ask("/free"), ask("/modes")]);
    extras.push({ code: limited.code, ms: limited.ms - free.ms });
  }
  return extras;
}

function quantile(extras: readonly Extra[], share: number): number {
  const sorted = extras.map(({ ms }) => ms).sort((a, b) => a - b);
  return Math.round(100 * (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN)) / 100;
}

/** What a mixer answers about a path, and how long it took. */
function decision(
  client: RateLimitServiceClient,
  domain: string,
  path: string,
): Promise<{ code: unknown; ms: number }> {
  const { promise, resolve: done } = Promise.withResolvers<{ code: unknown; ms: number }>();
  const request = RateLimitRequest.fromPartial({ domain, descriptors: [{ entries: [{ key: "PATH", value: path }] }] });
  const start = performance.now();
  const answer = (code: unknown) => done({ code, ms: performance.now() - start });
  client.shouldRateLimit(request, (error, response?: RateLimitResponse) =>
    answer(error === null ? response?.overallCode : error.code === 14 ? "UNAVAILABLE" : error.code),
  );
  return promise;
}
