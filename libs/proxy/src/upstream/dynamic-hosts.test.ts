import { type ManualClock, manualClock } from "@lateen/test-support";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ClusterSpec, DnsRules, DynamicHostsSpec } from "../config/plan.ts";
import { HeadPool } from "../http1/head.ts";
import { IoLoop } from "../io/io-loop.ts";
import type { DnsAnswer, DnsQuestion } from "../io/resolver.ts";
import { testBackend } from "../io/testing/backend.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import { ClusterCounters } from "../stats/cluster-counters.ts";
import { Slots } from "../stats/slots.ts";
import { TlsContexts } from "../tls/contexts.ts";
import { clientTls } from "../worker/testing/data-path-rig.ts";
import { Cluster, type UpstreamContext } from "./cluster.ts";

const RULES: DnsRules = { refreshMs: 60_000, respectTtl: true, failure: undefined, family: "v4only" };
const HOSTS: DynamicHostsSpec = {
  minRefreshMs: 5000,
  hostTtlMs: 300_000,
  queryTimeoutMs: 4000,
  maxHosts: 2,
  maxPending: 2,
};

let clock: ManualClock;
/** Questions that were not answered yet. */
let asked: {
  readonly question: DnsQuestion;
  answer(addresses: readonly string[], ttlMs?: number): void;
  fail(): void;
}[];
const clusters: Cluster[] = [];
const settled = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  clock = manualClock();
  asked = [];
});
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.destroy();
});

function cluster(hosts: Partial<DynamicHostsSpec> = {}, more: Partial<ClusterSpec> = {}): Cluster {
  const stats = new Slots(new SharedArrayBuffer(8 * 4096), () => {});
  const context: UpstreamContext = {
    io: new IoLoop(clock, testBackend),
    heads: new HeadPool(),
    tls: new TlsContexts(),
    random: () => 0,
    mapDestination: (host, port) => (host === "127.0.0.1" ? undefined : { host, port }),
    lookup: (question) =>
      new Promise<DnsAnswer>((resolve, reject) =>
        asked.push({
          question,
          answer: (addresses, ttlMs) => resolve({ addresses, ttlMs }),
          fail: () => reject(new Error("SERVFAIL")),
        }),
      ),
    counters: (name) => new ClusterCounters(stats, name),
  };
  const spec = clusterSpec("wild", [], {
    discovery: "dynamicForward",
    balance: "clusterProvided",
    endpoints: [],
    dns: RULES,
    dynamicHosts: { ...HOSTS, ...hosts },
    ...more,
  });
  const made = new Cluster(spec, context);
  clusters.push(made);
  return made;
}

/** What a request for the host hears. */
function request(of: Cluster, authority: string): string[] {
  const heard: string[] = [];
  const at = of.requireHost(authority, (outcome) => heard.push(outcome));
  if (typeof at === "string") heard.push(at);
  return heard;
}

it("looks a host up once for all who wait, and knows it then", async () => {
  const made = cluster();
  const [one, two] = [request(made, "A.example:8080"), request(made, "a.example:8080")];
  expect(asked.map(({ question }) => [question.host, question.family])).toEqual([["a.example", "v4only"]]);
  expect([one, two]).toEqual([[], []]);
  asked[0]?.answer(["192.0.2.1", "192.0.2.2"], 10_000);
  await settled();
  expect([one, two]).toEqual([["ready"], ["ready"]]);
  expect(made.hostOf("a.example:8080")?.text).toBe("192.0.2.1:8080");
  expect(request(made, "a.example:8080")).toEqual(["ready"]);
  expect(made.hostOf("a.example")).toBeUndefined();
});

it("goes to the usual port of the cluster's transport", async () => {
  for (const [transport, port] of [
    [{ kind: "raw" as const }, 80],
    [clientTls(), 443],
  ] as const) {
    const made = cluster({}, { transport });
    request(made, "a.example");
    asked.at(-1)?.answer(["192.0.2.1"]);
    await settled();
    expect(made.hostOf("a.example")?.spec.port).toBe(port);
  }
});

it.each([
  ["fails", () => asked[0]?.fail()],
  ["finds no address", () => asked[0]?.answer([])],
  ["takes too long", () => clock.advance(4100)],
])("tells those who wait when a look-up %s, and asks anew for the next", async (_title, happen) => {
  const made = cluster();
  const heard = request(made, "a.example");
  happen();
  await settled();
  expect(heard).toEqual(["failed"]);
  asked[0]?.answer(["192.0.2.1"]);
  await settled();
  expect(made.hostOf("a.example")).toBeUndefined();
  request(made, "a.example");
  expect(asked).toHaveLength(2);
});

it("has a bounded number of hosts and of look-ups", async () => {
  const made = cluster({ maxPending: 1 });
  request(made, "a.example");
  expect(request(made, "b.example")).toEqual(["overflow"]);
  asked[0]?.answer(["192.0.2.1"], 10_000);
  await settled();
  request(made, "b.example");
  asked[1]?.answer(["192.0.2.2"], 10_000);
  await settled();
  expect(request(made, "c.example")).toEqual(["overflow"]);
  expect(asked).toHaveLength(2);
});

it("keeps a host up to date, not more often than it may, and keeps its address while that fails", async () => {
  const made = cluster();
  request(made, "a.example");
  asked[0]?.answer(["192.0.2.1"], 1000);
  await settled();
  const host = made.hostOf("a.example");
  clock.advance(4900);
  expect(asked).toHaveLength(1);
  clock.advance(200);
  asked[1]?.answer(["192.0.2.9"], 20_000);
  await settled();
  expect(made.hostOf("a.example")).toBe(host);
  expect(host?.dialAddress).toEqual({ host: "192.0.2.9", port: 80 });
  clock.advance(20_100);
  asked[2]?.fail();
  await settled();
  expect(made.hostOf("a.example")?.text).toBe("192.0.2.9:80");
  clock.advance(60_100);
  expect(asked).toHaveLength(4);
});

it("forgets hosts that nobody asks for", async () => {
  const made = cluster({ hostTtlMs: 30_000 });
  request(made, "a.example");
  asked[0]?.answer(["192.0.2.1"], 40_000);
  await settled();
  clock.advance(40_100);
  expect(asked).toHaveLength(1);
  expect([made.hostOf("a.example"), [...made.endpoints]]).toEqual([undefined, []]);
});

it("does not go where nothing may be dialled, such as this proxy's own listeners", async () => {
  const made = cluster();
  request(made, "rebound.example");
  asked[0]?.answer(["127.0.0.1"], 10_000);
  await settled();
  expect(made.hostOf("rebound.example")).toBeUndefined();
});

it("speaks TLS to each host by its own name", async () => {
  const made = cluster({}, { transport: clientTls(), autoSni: { name: true, validate: true } });
  for (const [authority, sni] of [
    ["a.example", "a.example"],
    ["192.0.2.7", clientTls().kind === "tls" ? "outbound_" : ""],
  ] as const) {
    request(made, authority);
    asked.at(-1)?.answer(["192.0.2.1"], 10_000);
    await settled();
    const transport = made.hostOf(authority)?.transport;
    expect(transport).toMatchObject({
      sni: expect.stringContaining(sni),
      validation: { sans: [{ type: "dns", match: { kind: "exact", value: authority } }] },
    });
  }
});
