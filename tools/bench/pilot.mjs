/**
 * bench:pilot — pilot behind its real gRPC server with many services and many delta streams. Light clients in other processes subscribe as
 * sidecars do and acknowledge everything. Prints what a first sync, single changes, a storm of changes and mass reconnects cost.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { controlPlaneEconomy } from "@lateen/local-runtime";
import { createTestCa } from "@lateen/test-support";
import { build } from "esbuild";
import { builtins } from "../build/builtins.mjs";
import { quantile, table } from "./lib/numbers.mjs";
import { rssMegabytes } from "./lib/process.mjs";
import { Remote } from "./pilot/remote.mjs";
import { World } from "./pilot/world.mjs";

const number = (value) => ({ type: "string", default: String(value) });
const { values } = parseArgs({
  options: {
    services: number(1000),
    endpoints: number(10),
    namespaces: number(10),
    subsets: number(0),
    streams: number(500),
    processes: number(2),
    changes: number(20),
    "storm-seconds": number(60),
    "changes-per-second": number(100),
    "memory-factor": number(10),
    /** Clients take compressed messages, as our proxies do and Envoy does not. */
    gzip: { type: "boolean", default: false },
    only: { type: "string", default: "change,rule,storm,reconnect,memory" },
    /** Folder for a CPU profile of the server. */
    profile: { type: "string", default: "" },
  },
});
const option = (name) => Number(values[name]);
const wanted = new Set(values.only.split(","));
const size = {
  services: option("services"),
  endpoints: option("endpoints"),
  namespaces: option("namespaces"),
  subsets: option("subsets"),
};
const ca = createTestCa();
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const folder = mkdtempSync(join(tmpdir(), "lateen-bench-"));
/** The process under test is bundled, as the control plane is. */
const serverFile = join(folder, "server.mjs");
await build({
  entryPoints: [join(import.meta.dirname, "pilot/server.mjs")],
  outfile: serverFile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  conditions: ["@lateen/source"],
  plugins: [builtins],
  logLevel: "warning",
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
});
const clientFile = join(import.meta.dirname, "pilot/clients.mjs");
const tls = { ...ca.issue({ dns: ["istiod.istio-system.svc"] }), rootPem: ca.rootPem };
const remotes = [];
const rows = [];
const failed = [];
const row = (what, target, measured, met) => {
  rows.push([what, target, measured, met === undefined ? "" : met ? "yes" : "NO"]);
  if (met === false) failed.push(what);
  console.error(`${what}: ${measured}`);
};

function start(file, argument, execArgv, env) {
  const remote = new Remote(file, argument, execArgv, env);
  remotes.push(remote);
  return remote;
}

/** Streams, spread over the namespaces and over client processes. */
function startClients(port, streams, world, processes) {
  const identities = Array.from({ length: streams }, (_, index) => {
    const service = index % world.size.services;
    const namespace = world.namespace(service);
    const app = world.name(service);
    const pod = `${app}-${Math.floor(index / world.size.services)}`;
    const address = `12.0.${index >> 8}.${index & 255}`;
    return {
      namespace,
      app,
      pod,
      address,
      ...ca.issue({ uris: [`spiffe://cluster.local/ns/${namespace}/sa/${app}`] }),
    };
  });
  return Array.from({ length: processes }, (_, at) =>
    start(clientFile, {
      port,
      rootPem: ca.rootPem,
      gzip: values.gzip,
      identities: identities.filter((_one, i) => i % processes === at),
    }),
  );
}

class Bench {
  world = new World(size);

  async begin() {
    const profiled = values.profile === "" ? [] : ["--cpu-prof", `--cpu-prof-dir=${values.profile}`];
    this.server = start(
      serverFile,
      { size, tls },
      ["--expose-gc", ...controlPlaneEconomy.nodeFlags, ...profiled],
      controlPlaneEconomy.env,
    );
    this.started = await this.server.ready;
    this.clients = startClients(this.started.port, option("streams"), this.world, option("processes"));
    await Promise.all(this.clients.map(({ ready }) => ready));
  }

  all(operation, argument) {
    return Promise.all(this.clients.map((client) => client.call(operation, argument)));
  }

  /** Runs `action`; what it cost the server and the clients, and the highest RSS of the server meanwhile. */
  async measure(action) {
    const before = await this.server.call("facts");
    const clientsBefore = await this.all("facts");
    let peakMb = before.rssMb;
    const sampler = setInterval(() => (peakMb = Math.max(peakMb, rssMegabytes(this.server.child.pid))), 50);
    const result = await action();
    clearInterval(sampler);
    const after = await this.server.call("facts");
    const clientsAfter = await this.all("facts");
    const cpuMs = after.cpuMs - before.cpuMs;
    const clientCpuMs = clientsAfter.reduce((sum, { cpuMs: ms }, at) => sum + ms - clientsBefore[at].cpuMs, 0);
    const counted = (kind) =>
      Object.fromEntries(
        Object.entries(after[kind])
          .map(([name, count]) => [name, count - (before[kind][name] ?? 0)])
          .filter(([, count]) => count > 0),
      );
    return {
      result,
      cpuMs,
      clientCpuMs,
      peakMb,
      queries: counted("queries"),
      pushes: counted("pushes"),
      ages: counted("ages"),
    };
  }

  async sync(argument) {
    let settled = 0;
    const { result, ...cost } = await this.measure(async () => {
      const opened = await this.all("open", argument);
      settled = (await this.server.call("settled", { streams: option("streams") })).at;
      return opened;
    });
    const started = Math.min(...result.map((one) => one.started));
    const finished = Math.max(settled, ...result.map((one) => one.finished));
    const bytes = result.reduce((sum, one) => sum + one.bytes, 0);
    const unsynced = result.reduce((sum, one) => sum + one.unsynced, 0);
    if (unsynced > 0) throw new Error(`${unsynced} streams were not synced in time`);
    return { ...cost, ms: finished - started, bytes };
  }

  /** One change of the endpoints of a service: ms until each interested stream acknowledged, and CPU of the server. */
  async endpointChanges(isPrivate) {
    const latencies = [];
    let interested = 0;
    const services = Array.from({ length: size.services }, (_, service) => service).filter(
      (service) => this.world.isPrivate(service) === isPrivate,
    );
    const cost = await this.measure(async () => {
      for (let index = 0; index < option("changes"); index++) {
        await this.all("record");
        const change = await this.server.call("changePod", { service: services[(index * 37) % services.length] });
        await this.answered(this.interestedIn(change.service));
        const recorded = (await this.all("recorded")).flat();
        const times = recorded.flatMap(({ responses }) =>
          responses.filter(({ addresses }) => addresses.includes(change.sequence)).map(({ at }) => at - change.at),
        );
        interested = times.length;
        latencies.push(...times);
      }
    });
    return { ...cost, interested, latencies };
  }

  /** Streams that may see a service. */
  interestedIn(service) {
    const streams = Array.from({ length: option("streams") }, (_, index) => index % size.services);
    if (!this.world.isPrivate(service)) return streams.length;
    return streams.filter((own) => this.world.namespace(own) === this.world.namespace(service)).length;
  }

  /** Waits until so many streams had a response since `record`. */
  async answered(streams) {
    for (const deadline = performance.now() + 20_000; performance.now() < deadline; await pause(20)) {
      const progress = await this.all("progress");
      if (progress.reduce((sum, one) => sum + one.answered, 0) >= streams) return;
    }
    throw new Error(`not all of ${streams} streams were told of a change within 20 s`);
  }

  async ruleChange() {
    let ms = 0;
    await this.all("record");
    const cost = await this.measure(async () => {
      const change = await this.server.call("changeRule", { service: 7, seconds: 5 });
      await pause(60);
      ms = (await this.server.call("waitSynced")).at - change.at;
    });
    const responses = (await this.all("recorded")).flat().flatMap((one) => one.responses);
    return { ...cost, ms, responses: responses.length };
  }

  async storm() {
    await this.all("record");
    const seconds = option("storm-seconds");
    const cost = await this.measure(async () => {
      const changes = await this.server.call("storm", { seconds, perSecond: option("changes-per-second") });
      await pause(1_500);
      await this.server.call("waitSynced");
      return changes;
    });
    const changes = new Map(cost.result.map((change) => [change.sequence, change]));
    /** Last change of each service. */
    const last = new Map(cost.result.map((change) => [change.service, change]));
    const recorded = (await this.all("recorded")).flat();
    let lost = 0;
    const acked = [];
    let most = 0;
    for (const { namespace, responses } of recorded) {
      const got = new Set();
      most = Math.max(most, responses.length / seconds);
      for (const { at, addresses } of responses) {
        for (const address of addresses) {
          got.add(address);
          const change = changes.get(address);
          if (change === undefined) continue;
          acked.push(at - change.at);
        }
      }
      for (const change of last.values()) {
        const visible = !this.world.isPrivate(change.service) || this.world.namespace(change.service) === namespace;
        if (visible && !got.has(change.sequence)) lost++;
      }
    }
    return { ...cost, changes: changes.size, lost, acked, most, seconds };
  }
}

const ms = (value) => `${value.toFixed(0)} ms`;
const seconds = (value) => `${(value / 1000).toFixed(1)} s`;
const mb = (value) => `${value.toFixed(0)} MB`;
const spread = (list) =>
  `p50 ${ms(quantile(list, 0.5))}, p99 ${ms(quantile(list, 0.99))}, most ${ms(quantile(list, 1))}`;
const counts = (record) =>
  Object.entries(record)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");

/** Of a histogram: within which bound half, 99 % and all are. */
function ageText(ages) {
  const value = (bound) => (bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound));
  const bounds = Object.keys(ages).sort((a, b) => value(a) - value(b));
  const within = (share) => bounds.find((bound) => ages[bound] >= share * ages["+Inf"]);
  return `p50 ≤ ${within(0.5)} s, p99 ≤ ${within(0.99)} s, all ≤ ${within(1)} s of ${ages["+Inf"]} responses`;
}

async function scale(bench) {
  const streams = option("streams");
  row("start with the stored world", "", `${seconds(bench.started.startMs)}, RSS ${mb(bench.started.rssMb)}`);
  const sync = await bench.sync();
  await pause(1_000);
  const settled = await bench.server.call("collect");
  const steady = settled.rssMb;
  row(
    `first full sync of ${streams} streams`,
    "≤ 20 s",
    `${seconds(sync.ms)}; CPU server ${seconds(sync.cpuMs)}, clients ${seconds(sync.clientCpuMs)}; ${mb(sync.bytes / 1e6)} sent`,
    sync.ms <= 20_000,
  );
  row(
    "RSS during the first sync, after it",
    "≤ 600 MB",
    `${mb(sync.peakMb)}, ${mb(steady)} (${mb(settled.heapMb)} in use)`,
    sync.peakMb <= 600,
  );
  if (wanted.has("change")) {
    const perStream = [];
    for (const isPrivate of [false, true]) {
      const one = await bench.endpointChanges(isPrivate);
      const cpu = one.cpuMs / option("changes");
      perStream.push({ cpu, interested: one.interested });
      row(
        `one endpoint change, ${one.interested} streams interested`,
        "p99 ≤ 500 ms",
        `${spread(one.latencies)}; CPU ${cpu.toFixed(1)} ms a change`,
        quantile(one.latencies, 0.99) <= 500,
      );
    }
    const [many, few] = perStream;
    row(
      "CPU against interested streams",
      "",
      `${(many.cpu / few.cpu).toFixed(1)} × for ${(many.interested / few.interested).toFixed(1)} × the streams`,
    );
  }
  if (wanted.has("rule")) {
    const rule = await bench.ruleChange();
    row(
      "one VirtualService change",
      "",
      `${ms(rule.ms)} to all acked; CPU ${ms(rule.cpuMs)}; ${rule.responses} responses`,
    );
    const { virtualHost = 0, httpRule = 0, clusters = 0, serviceEndpoints = 0 } = rule.queries;
    const touched = Math.max(virtualHost, httpRule) <= size.namespaces && clusters + serviceEndpoints === 0;
    row("… recomputed", "what it touches", counts(rule.queries), touched);
  }
  if (wanted.has("storm")) {
    const storm = await bench.storm();
    row(
      `${option("changes-per-second")} changes/s for ${storm.seconds} s`,
      "≤ 10 pushes/s",
      `${storm.most.toFixed(1)} responses/s at most on a stream; CPU server ${((storm.cpuMs / storm.seconds / 1000) * 100).toFixed(0)} % of a core, clients ${((storm.clientCpuMs / storm.seconds / 1000) * 100).toFixed(0)} %`,
      storm.most <= 10,
    );
    row("… lost", "0", `${storm.lost} of ${storm.changes} changes`, storm.lost === 0);
    const written = storm.ages;
    row(
      "… oldest change in a response when written",
      "≤ 1 s",
      ageText(written),
      (written["1"] ?? 0) === written["+Inf"],
    );
    row("… age when acknowledged", "", spread(storm.acked));
    row("… RSS", "≤ 600 MB", mb(storm.peakMb), storm.peakMb <= 600);
  }
  if (wanted.has("reconnect")) {
    const before = (await bench.server.call("collect")).rssMb;
    for (const withVersions of [true, false]) {
      await bench.all("close");
      const again = await bench.sync({ withVersions });
      await pause(1_000);
      row(
        `${streams} streams reconnect ${withVersions ? "with their versions" : "with nothing"}`,
        "RSS ≤ 1.3 × steady",
        `${seconds(again.ms)}; ${mb(again.bytes / 1e6)} sent; CPU ${seconds(again.cpuMs)}; RSS ${mb(again.peakMb)} (${(again.peakMb / before).toFixed(2)} ×)`,
        again.peakMb <= 1.3 * before,
      );
    }
  }
}

/** Memory of a pilot with one synced stream per namespace, beyond that of an empty one. */
async function memoryOf(services) {
  const server = start(
    serverFile,
    { size: { ...size, services }, tls },
    ["--expose-gc", ...controlPlaneEconomy.nodeFlags, "--max-old-space-size=8192"],
    controlPlaneEconomy.env,
  );
  const { port } = await server.ready;
  const [client] = startClients(port, size.namespaces, new World({ ...size, services }), 1);
  await client.ready;
  const { unsynced } = await client.call("open", { timeoutMs: 900_000 });
  if (unsynced > 0) throw new Error(`${unsynced} streams of ${services} services were not synced in time`);
  await pause(500);
  const { heapMb } = await server.call("collect");
  await client.stop();
  await server.stop();
  return heapMb;
}

try {
  const bench = new Bench();
  await bench.begin();
  await scale(bench);
  for (const remote of remotes.splice(0).reverse()) await remote.stop();
  if (wanted.has("memory")) {
    const factor = option("memory-factor");
    const empty = await memoryOf(size.namespaces);
    const base = await memoryOf(size.services);
    const large = await memoryOf(size.services * factor);
    const ratio = (large - empty) / (base - empty);
    row(
      `${factor} × the services`,
      `≤ ${(factor * 1.2).toFixed(0)} × the memory`,
      `${ratio.toFixed(1)} × (${mb(base - empty)} → ${mb(large - empty)})`,
      ratio <= factor * 1.2,
    );
  }
} finally {
  for (const remote of remotes.splice(0).reverse()) await remote.stop();
  rmSync(folder, { recursive: true, force: true });
}
console.log(
  `${size.services} services × ${size.endpoints} endpoints × ${size.subsets} subsets in ${size.namespaces} namespaces, ${option("streams")} streams${values.gzip ? " that take gzip" : ""}\n`,
);
console.log(table(["what", "target", "measured", "met"], rows));
if (failed.length > 0) process.exitCode = 1;
