import { type ManualClock, manualClock } from "@lateen/test-support";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ClusterSpec, DnsRules } from "../config/plan.ts";
import { HeadPool } from "../http1/head.ts";
import { IoLoop } from "../io/io-loop.ts";
import { Resolver } from "../io/resolver.ts";
import { SystemNames } from "../io/system-names.ts";
import { testBackend } from "../io/testing/backend.ts";
import { NameServer } from "../io/testing/name-server.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import { ClusterCounters } from "../stats/cluster-counters.ts";
import { Slots } from "../stats/slots.ts";
import { TlsContexts } from "../tls/contexts.ts";
import type { SeriesDefinition } from "../worker/protocol.ts";
import { Cluster, type UpstreamContext } from "./cluster.ts";

const RULES: DnsRules = { refreshMs: 60_000, respectTtl: true, failure: undefined, family: "v4only", exact: true };

let server: NameServer;
let clock: ManualClock;
let context: UpstreamContext;
let series: SeriesDefinition[];
let values: Float64Array;
const clusters: Cluster[] = [];

beforeEach(async () => {
  server = await NameServer.start();
  clock = manualClock();
  const resolver = new Resolver(new SystemNames().lookup, clock);
  series = [];
  values = new Float64Array(new SharedArrayBuffer(8 * 4096));
  const stats: Slots = new Slots(values.buffer as SharedArrayBuffer, () => series.push(...stats.takeFresh()));
  context = {
    io: new IoLoop(clock, testBackend),
    heads: new HeadPool(),
    tls: new TlsContexts(),
    random: () => 0,
    mapDestination: (host, port) => ({ host, port }),
    lookup: (question, maxAgeMs) => resolver.ask(question, maxAgeMs),
    counters: (name) => new ClusterCounters(stats, name),
  };
});
afterEach(() => {
  for (const cluster of clusters.splice(0)) cluster.destroy();
  server.close();
});

/** A cluster of one host name, asked of the test's own server. */
function cluster(dns: Partial<DnsRules> = {}, more: Partial<ClusterSpec> = {}, before?: Cluster): Cluster {
  const spec = clusterSpec("shop", [80], { discovery: "strictDns", ...more });
  const named = spec.endpoints.map((locality) => ({
    ...locality,
    endpoints: locality.endpoints.map((endpoint) => ({ ...endpoint, address: "shop.test" })),
  }));
  const rules = { ...RULES, servers: [server.address], ...dns };
  const made = new Cluster({ ...spec, endpoints: named, dns: rules }, context, before);
  clusters.push(made);
  return made;
}
const answers = (addresses: readonly string[], ttl = 5) => server.names.set("shop.test", { addresses, ttl });
const metric = (name: string) =>
  series.filter((one) => one.name === name).reduce((sum, { slot }) => sum + (values[slot] ?? 0), 0);
const addressesOf = (of: Cluster) => [...of.endpoints].map((endpoint) => endpoint.text);
/** The server was asked so often, and its last answer has arrived. */
async function asked(times: number, seen: () => unknown, expected: unknown): Promise<void> {
  await server.wasAsked("A shop.test", times);
  await expect.poll(seen, { timeout: 20_000, interval: 2 }).toEqual(expected);
}

it("asks again when the answer's time is over", async () => {
  answers(["192.0.2.1"], 5);
  const made = cluster();
  await made.warmed();
  expect(addressesOf(made)).toEqual(["192.0.2.1:80"]);
  answers(["192.0.2.2", "192.0.2.3"], 30);
  clock.advance(4900);
  expect(server.asked).toHaveLength(1);
  clock.advance(200);
  await asked(2, () => addressesOf(made), ["192.0.2.2:80", "192.0.2.3:80"]);
  clock.advance(29_000);
  expect(server.asked).toHaveLength(2);
});

it("asks again at its own rate where times do not count", async () => {
  answers(["192.0.2.1"], 5);
  const made = cluster({ respectTtl: false, refreshMs: 20_000 });
  await made.warmed();
  answers(["192.0.2.2"]);
  clock.advance(19_900);
  expect(server.asked).toHaveLength(1);
  clock.advance(200);
  await asked(2, () => addressesOf(made), ["192.0.2.2:80"]);
});

it("keeps its addresses while the name service fails", async () => {
  answers(["192.0.2.1"], 5);
  const made = cluster();
  await made.warmed();
  server.names.set("shop.test", "failing");
  const failures = () => metric("envoy_cluster_update_failure");
  clock.advance(5100);
  await expect.poll(failures, { timeout: 20_000, interval: 2 }).toBe(1);
  expect(addressesOf(made)).toEqual(["192.0.2.1:80"]);
});

it.each<[string, DnsRules["failure"], readonly number[]]>([
  // Half of an interval is by chance, which is 0 here.
  ["at its own rate, up to its limit", { baseMs: 1000, maxMs: 3000 }, [500, 1000, 1500, 1500]],
  ["at the usual rate", undefined, [60_000, 60_000]],
])("asks again after failures %s", async (_title, failure, intervals) => {
  let questions = 0;
  context = { ...context, lookup: () => Promise.reject(new Error(`${++questions}`)) };
  const made = cluster({ failure });
  await made.warmed();
  for (const [index, ms] of intervals.entries()) {
    clock.advance(ms - 50);
    expect(questions).toBe(index + 1);
    await clock.advanceAsync(70);
    expect(questions).toBe(index + 2);
  }
});

it("has no addresses when the name service says that there are none", async () => {
  answers(["192.0.2.1"], 5);
  const made = cluster();
  await made.warmed();
  server.names.set("shop.test", "missing");
  clock.advance(5100);
  await asked(2, () => addressesOf(made), []);
  expect(made.pick()).toBeUndefined();
});

it("has one logical host, which moves and does not go away", async () => {
  answers(["192.0.2.1", "192.0.2.2"], 5);
  const made = cluster({}, { discovery: "logicalDns" });
  await made.warmed();
  const host = made.pick();
  const first = host?.text;
  expect(addressesOf(made)).toEqual([first]);
  answers(["192.0.2.9"], 5);
  clock.advance(5100);
  await asked(2, () => addressesOf(made), ["192.0.2.9:80"]);
  expect(made.pick()).toBe(host);
  expect(host?.dialAddress).toEqual({ host: "192.0.2.9", port: 80 });
  server.names.set("shop.test", "missing");
  clock.advance(5100);
  await server.wasAsked("A shop.test", 3);
  expect(addressesOf(made)).toEqual(["192.0.2.9:80"]);
});

it("begins with the addresses of the version before", async () => {
  answers(["192.0.2.1"], 5);
  const old = cluster();
  await old.warmed();
  server.names.set("shop.test", "silent");
  const made = cluster({}, { maxRequestsPerConnection: 1 }, old);
  expect(addressesOf(made)).toEqual(["192.0.2.1:80"]);
  await made.warmed();
});
