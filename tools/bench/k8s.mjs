/**
 * bench:k8s — pilot with a Kubernetes API server of 10,000 Services and 20,000 endpoints as its registry: what the first lists cost, the memory,
 * how soon a changed endpoint is on the wire, and what it costs when everything has to be listed again. The API server is the one of the tests,
 * in a process of its own, over HTTPS. Then the sidecar injector at 50 pods a second. `--only registry|injection` runs one of them.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { controlPlaneEconomy } from "@lateen/local-runtime";
import { createTestCa } from "@lateen/test-support";
import { build } from "esbuild";
import { builtins } from "../build/builtins.mjs";
import { askWebhook } from "./k8s/admission.mjs";
import { quantile, table } from "./lib/numbers.mjs";
import { rssMegabytes } from "./lib/process.mjs";
import { Remote } from "./pilot/remote.mjs";

const number = (value) => ({ type: "string", default: String(value) });
const { values } = parseArgs({
  options: {
    services: number(10_000),
    /** Of each service. */
    endpoints: number(2),
    namespaces: number(50),
    nodes: number(100),
    streams: number(2),
    changes: number(40),
    /** Seconds of injection. */
    seconds: number(20),
    only: { type: "string" },
    /** Where a CPU profile of pilot during the changes is written. */
    profile: { type: "string" },
  },
});
const option = (name) => Number(values[name]);
const size = Object.fromEntries(["services", "endpoints", "namespaces", "nodes"].map((name) => [name, option(name)]));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const folder = mkdtempSync(join(tmpdir(), "lateen-bench-"));
const ca = createTestCa();
const remotes = [];
const rows = [];
const failed = [];
const row = (what, target, measured, met) => {
  rows.push([what, target, measured, met === undefined ? "" : met ? "yes" : "NO"]);
  if (met === false) failed.push(what);
  console.error(`${what}: ${measured}`);
};
const start = (file, argument, execArgv, env) => {
  const remote = new Remote(file, argument, execArgv, env);
  remotes.push(remote);
  return remote;
};
const ms = (value) => `${value.toFixed(0)} ms`;
const seconds = (value) => `${(value / 1000).toFixed(1)} s`;
const mb = (value) => `${value.toFixed(0)} MB`;

/** The process under test is bundled, as pilot is. */
async function bundled() {
  const outfile = join(folder, "pilot.mjs");
  await build({
    entryPoints: [join(import.meta.dirname, "k8s/pilot.mjs")],
    outfile,
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
  return outfile;
}

async function run() {
  const pilotFile = await bundled();
  const cluster = start(join(import.meta.dirname, "k8s/api-server.mjs"), size, ["--max-old-space-size=4096"]);
  const { kubeconfig, objects } = await cluster.ready;
  const config = join(folder, "kubeconfig");
  writeFileSync(config, kubeconfig);
  console.error(`the API server holds ${objects} objects`);

  const tls = { ...ca.issue({ dns: ["istiod.istio-system.svc"] }), rootPem: ca.rootPem };
  const pilot = start(
    pilotFile,
    { kubeconfig: config, tls },
    ["--expose-gc", ...controlPlaneEconomy.nodeFlags],
    controlPlaneEconomy.env,
  );
  let peakMb = 0;
  const sampler = setInterval(() => {
    peakMb = Math.max(peakMb, rssMegabytes(pilot.child.pid) ?? 0);
  }, 50);
  const started = await pilot.ready;
  row(
    "first lists, until pilot has compiled them",
    "≤ 30 s",
    `${seconds(started.listedMs)}, ${seconds(started.readyMs)}; CPU ${seconds(started.cpuMs)}`,
    started.readyMs <= 30_000,
  );
  const identities = Array.from({ length: option("streams") }, (_, at) => {
    const [namespace, app] = [`team-${at % size.namespaces}`, `svc-${String(at).padStart(5, "0")}`];
    const uris = [`spiffe://cluster.local/ns/${namespace}/sa/${app}`];
    return { namespace, app, pod: `${app}-0`, address: `12.0.0.${at + 1}`, ...ca.issue({ uris }) };
  });
  const clients = start(join(import.meta.dirname, "pilot/clients.mjs"), {
    port: started.port,
    rootPem: ca.rootPem,
    gzip: false,
    identities,
  });
  await clients.ready;
  const opened = await clients.call("open");
  if (opened.unsynced > 0) throw new Error("not all streams were synced in time");
  row(
    `first sync of ${identities.length} sidecars`,
    "",
    `${seconds(opened.finished - opened.started)}; ${mb(opened.bytes / 1e6)} sent`,
  );
  await changes(cluster, clients, pilot);
  await again(cluster, pilot);
  clearInterval(sampler);
  const settled = await pilot.call("collect");
  row(
    "RSS, highest and after it all",
    "≤ 800 MB",
    `${mb(peakMb)}, ${mb(settled.rssMb)} (${mb(settled.heapMb)} in use)`,
    peakMb <= 800,
  );
}

/** 50 pods a second, each with its probes, ports and annotations. */
async function injection() {
  const tls = { ...ca.issue({ dns: ["istiod.istio-system.svc"] }), rootPem: ca.rootPem };
  const injector = start(join(import.meta.dirname, "k8s/injector.mjs"), { tls }, ["--conditions=@lateen/source"]);
  const { port } = await injector.ready;
  const latencies = await askWebhook({ port, rootPem: ca.rootPem, perSecond: 50, seconds: option("seconds") });
  const p99 = quantile(latencies, 0.99);
  row(
    `${latencies.length} pods injected, 50 a second`,
    "p99 ≤ 30 ms",
    `p50 ${quantile(latencies, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, most ${Math.max(...latencies).toFixed(1)} ms`,
    p99 <= 30,
  );
}

/** From the change in the API server to the acknowledgement of the last sidecar. */
async function changes(cluster, clients, pilot) {
  const latencies = [];
  if (values.profile !== undefined) await pilot.call("profile");
  const before = await pilot.call("facts");
  for (let index = 0; index < option("changes"); index++) {
    await clients.call("record");
    const change = await cluster.call("change", { service: (index * 37) % size.services });
    const arrived = await within(20_000, async () => {
      const times = await clients.call("seen", { sequence: change.sequence });
      return times.includes(undefined) ? undefined : Math.max(...times);
    });
    latencies.push(arrived - change.at);
  }
  const after = await pilot.call("facts");
  if (values.profile !== undefined) await pilot.call("profiled", values.profile);
  const p99 = quantile(latencies, 0.99);
  row(
    "one endpoint changed, until all sidecars had it",
    "≤ 500 ms",
    `p50 ${ms(quantile(latencies, 0.5))}, p99 ${ms(p99)}; CPU ${((after.cpuMs - before.cpuMs) / latencies.length).toFixed(1)} ms a change`,
    p99 <= 500,
  );
}

/** All versions are too old: everything is listed again, and nothing differs. */
async function again(cluster, pilot) {
  const before = await pilot.call("facts");
  const { requests } = await cluster.call("compact");
  await within(60_000, async () => {
    const { requests: now, watches } = await cluster.call("facts");
    return watches >= 5 && now > requests + 5 ? true : undefined;
  });
  const after = await pilot.call("facts");
  row(
    "everything listed again (410)",
    "no delivery",
    `${after.deliveries - before.deliveries} deliveries; CPU ${seconds(after.cpuMs - before.cpuMs)}`,
    after.deliveries === before.deliveries,
  );
}

async function within(timeoutMs, probe) {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await pause(5)) {
    const value = await probe();
    if (value !== undefined) return value;
  }
  throw new Error(`not within ${timeoutMs} ms`);
}

try {
  if (values.only !== "injection") await run();
  if (values.only !== "registry") await injection();
} finally {
  for (const remote of remotes) remote.child.kill();
  rmSync(folder, { recursive: true, force: true });
}
console.log(table(["what", "target", "measured", "met"], rows));
if (failed.length > 0) {
  console.error(`missed: ${failed.join("; ")}`);
  process.exitCode = 1;
}
