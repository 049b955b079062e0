/**
 * soak — half an hour of churn under load. Meanwhile rules and the endpoints of a service change every second, a Deployment grows and shrinks,
 * certificates live for a minute, and the control plane is killed every five minutes, first after two and a half. What must be true at the end:
 * no request failed; what each proxy thread holds after a collection (heap and external) is within 2 MB of what it held in minutes 5 to 10;
 * descriptors and timers are as many as then. A shorter run (`--minutes 6`) compares the same shares of its time.
 */
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { originServers, soakLoad } from "./lib/churn.mjs";
import { BenchMesh, get } from "./lib/mesh.mjs";
import { median, table } from "./lib/numbers.mjs";
import { processTree, rssMegabytes } from "./lib/process.mjs";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    json: { type: "string" },
    rate: { type: "string", default: "200" },
  },
});
const seconds = Number(values.minutes) * 60;
/** Held memory may grow by this much, in MB. */
const ALLOWED_MB = 2;

const originPorts = await originServers(3);
const churn = (/** @type {number} */ index) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: churn }
spec:
  hosts: [churn.example.com]
  gateways: [bookinfo-gateway]
  http:
    - match: [{ uri: { prefix: "/${index}" } }]
      route: [{ destination: { host: reviews, subset: v${(index % 3) + 1} } }]
    - route: [{ destination: { host: origin.example.com, port: { number: 80 } } }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: origin }
spec:
  hosts: [origin.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints:
${originPorts
  .filter((_, port) => port !== index % originPorts.length)
  .map((port) => `    - { address: 127.0.0.1, ports: { http: ${port} } }`)
  .join("\n")}
`;

const commandOf = (/** @type {number} */ pid) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
};
const descriptors = (/** @type {number} */ pid) => {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
};

const mesh = await new BenchMesh({ LATEEN_HEAP_REPORT: "true", LATEEN_CERT_TTL: "60s" }).prepare();
const details = readFileSync(join(mesh.config, "bookinfo.yaml"), "utf8");
const withReplicas = (/** @type {number} */ count) =>
  details.replace(/(name: details-v1\n[\s\S]*?replicas: )\d+/, `$1${count}`);

/** Admin address and process of each proxy that lives for the whole run, by pod. */
const proxies = new Map();
async function findProxies() {
  const { workloads, gateways } = JSON.parse(await mesh.lateen("status", "-o", "json"));
  const tree = processTree(mesh.pid).map((pid) => ({ pid, command: commandOf(pid) }));
  const all = [...workloads, ...gateways.map((one) => ({ ...one, workload: one.name }))];
  for (const { pod, address, workload, namespace } of all) {
    if (workload === "details-v1") continue;
    const pid = tree.find(
      ({ command }) => command.includes(`/${namespace}.${pod}`) && command.includes("--run-dir"),
    )?.pid;
    if (pid !== undefined) proxies.set(workload, { address, pid });
  }
}

/** One sample of every proxy: what each thread holds in MB, its timers, and the descriptors of the process. */
async function sample() {
  const found = {};
  for (const [workload, { address, pid }] of proxies) {
    const agent = new http.Agent();
    const { body } = await get(`http://${address}:15000/memory/threads`, { agent });
    const report = JSON.parse(body);
    const threads = {
      agent: report.agent,
      ...Object.fromEntries(report.workers.map((one, index) => [`worker ${index}`, one])),
    };
    for (const [thread, held] of Object.entries(threads))
      found[`${workload} ${thread}`] = {
        megabytes: (held.heapUsed + held.external) / 1e6,
        timers: held.resources.Timeout ?? 0,
        descriptors: thread === "agent" ? descriptors(pid) : 0,
        contexts: held.detachedContexts,
      };
  }
  return found;
}

const failures = [];
const samples = [];
const counts = { edits: 0, kills: 0, scales: 0 };
let requests = 0;
try {
  mesh.write("churn.yaml", churn(0));
  mesh.start();
  await mesh.until("the page", () => mesh.pageIsComplete(), { timeoutMs: 120_000 });
  await mesh.until(
    "the changing route",
    async () => (await get(mesh.url("/x"), { headers: { host: "churn.example.com" } })).status === 200,
  );
  await findProxies();
  console.error(`proxies: ${[...proxies.keys()].join(", ")}`);
  const load = soakLoad(
    [
      { url: mesh.url("/api/v1/products/0"), headers: {} },
      { url: mesh.url("/x"), headers: { host: "churn.example.com" } },
    ],
    Number(values.rate),
    failures,
  );
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1000;
  // The first one before the first comparison: both sides of it have reconnected.
  const pauseSeconds = Math.min(300, seconds / 6);
  let nextKill = pauseSeconds / 2;
  while (elapsed() < seconds) {
    counts.edits++;
    mesh.write("churn.yaml", churn(counts.edits));
    if (counts.edits % 20 === 0) mesh.write("bookinfo.yaml", withReplicas(1 + (++counts.scales % 2)));
    // Not right before a comparison begins or the end.
    if (elapsed() > nextKill && elapsed() < seconds - 30) {
      nextKill += pauseSeconds;
      const pid = processTree(mesh.pid).find((one) => commandOf(one).includes("control-plane/"));
      if (pid !== undefined) {
        process.kill(pid, "SIGKILL");
        counts.kills++;
      }
    }
    await new Promise((done) => setTimeout(done, 1_000));
    if (counts.edits % 10 === 0) {
      const now = await sample().catch((error) => failures.push(`no sample: ${error.message}`) && undefined);
      if (now !== undefined) samples.push({ at: elapsed() / seconds, rss: rssMegabytes(mesh.pid), proxies: now });
    }
    if (counts.edits % 60 === 0)
      console.error(
        `${(elapsed() / 60).toFixed(1)} min: ${load.total()} requests, ${failures.length} failed, RSS ${samples.at(-1)?.rss.toFixed(0)} MB`,
      );
  }
  requests = load.total();
  await load.stop();
} finally {
  await mesh.stop();
}

const early = samples.filter(({ at }) => at >= 1 / 6 && at < 1 / 3);
const late = samples.filter(({ at }) => at >= 5 / 6);
let broken = failures.length > 0;
const rows = Object.keys(samples.at(-1)?.proxies ?? {}).map((name) => {
  const of = (part, key) => part.map((one) => one.proxies[name]?.[key]).filter((value) => value !== undefined);
  const least = (part, key) => Math.min(...of(part, key));
  const grown = median(of(late, "megabytes")) - median(of(early, "megabytes"));
  // One connection more or less is what the load has open at the moment.
  const more = median(of(late, "descriptors")) - median(of(early, "descriptors"));
  // A process that ended has none.
  const ended = name.endsWith(" agent") && least(late, "descriptors") === 0;
  const wrong = ended || grown > ALLOWED_MB || least(late, "timers") > least(early, "timers") || more > 1.5;
  broken ||= wrong;
  return [
    name,
    median(of(early, "megabytes")).toFixed(2),
    median(of(late, "megabytes")).toFixed(2),
    `${grown >= 0 ? "+" : ""}${grown.toFixed(2)}`,
    `${least(early, "timers")} → ${least(late, "timers")}`,
    `${median(of(early, "descriptors"))} → ${median(of(late, "descriptors"))}`,
    ended ? "**ended**" : wrong ? "**grows**" : "ok",
  ];
});
console.log(
  table(
    ["minutes", "requests", "failed", "edits", "scalings", "control-plane kills", "RSS early MB", "RSS late MB"],
    [
      [
        values.minutes,
        String(requests),
        String(failures.length),
        String(counts.edits),
        String(counts.scales),
        String(counts.kills),
        median(early.map(({ rss }) => rss)).toFixed(0),
        median(late.map(({ rss }) => rss)).toFixed(0),
      ],
    ],
  ),
);
console.log(`\n${table(["thread", "held early MB", "held late MB", "grown", "timers", "descriptors", ""], rows)}`);
for (const line of failures.slice(0, 20)) console.log(line);
if (values.json !== undefined) (await import("node:fs")).writeFileSync(values.json, JSON.stringify(samples));
process.exit(broken ? 1 : 0);
