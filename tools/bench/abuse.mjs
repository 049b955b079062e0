/**
 * bench:abuse — what others feel while somebody floods the proxy, beside Envoy under the same flood. Attacker, victim's load and backend share
 * core 0, the proxies have core 1 and take turns. The victim sends requests over HTTP/2 at a fixed rate; its p99 under a flood must be at most
 * twice its own in calm, or at most Envoy's under the same flood. `--only ping,settings`, `--rounds n`, `--seconds s`, `--rate r`.
 */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { ensureService } from "@lateen/services";
import { Arena } from "./dataplane/arena.mjs";
import { pinTo } from "./lib/children.mjs";
import { runH2load } from "./lib/h2load.mjs";
import { median, table, withSpread } from "./lib/numbers.mjs";

const FLOODS = [
  "rapid-reset",
  "ping",
  "settings",
  "priority",
  "window-update",
  "empty-data",
  "continuation",
  "streams",
];
const { values } = parseArgs({
  options: {
    only: { type: "string", default: FLOODS.join(",") },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "5" },
    rate: { type: "string", default: "500" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const floods = values.only.split(",");
const script = resolve(import.meta.dirname, "../../e2e/abuse/src/clients/attack.py");
const arena = new Arena();
const python = ensureService("python3-h2");
const h2load = ensureService("h2load");

/** The victim's requests, at a fixed rate whatever the answers do. */
const victim = (running) =>
  runH2load({
    h2load: h2load.path ?? "",
    url: `http://127.0.0.1:${running.port}/test.Echo/Unary`,
    connections: 16,
    seconds,
    pin: pinTo(0),
    rate: { perSecond: Number(values.rate), log: `${arena.folder}/${running.name}.victim` },
  });

/** Floods until told to stop: the attacker starts again whenever the proxy has put an end to it. */
function attack(running, name) {
  let child;
  let stopped = false;
  let steps = 0;
  const next = () => {
    if (stopped) return;
    steps++;
    child = spawn(
      pinTo(0)[0] ?? "env",
      [...pinTo(0).slice(1), python.path, script, String(running.port), name, "20000"],
      {
        stdio: "ignore",
      },
    );
    child.on("close", next);
  };
  next();
  return async () => {
    stopped = true;
    const ended = new Promise((done) => child.on("close", done));
    child.kill("SIGKILL");
    await ended;
    return steps;
  };
}

async function main() {
  const port = await arena.startBackend({ http2: true });
  const running = [];
  for (const name of ["envoy", "lateen"])
    running.push(await arena.start({ name, program: name, shape: { protocol: "http2" } }, port));
  for (const proxy of running)
    await arena.warm(proxy, { tool: "h2load", path: "/test.Echo/Unary", connections: 16, streams: 4 });
  const rows = [];
  let missed = 0;
  for (const flood of floods) {
    const found = { envoy: { calm: [], under: [], failed: 0 }, lateen: { calm: [], under: [], failed: 0 } };
    for (let round = 1; round <= rounds; round++) {
      for (const proxy of running) {
        const calm = await victim(proxy);
        const stop = attack(proxy, flood);
        const under = await victim(proxy);
        await stop();
        found[proxy.name].calm.push(calm.p99);
        found[proxy.name].under.push(under.p99);
        found[proxy.name].failed += under.errors;
      }
      const told = running.map(
        ({ name }) => `${name} ${found[name].calm.at(-1).toFixed(1)} → ${found[name].under.at(-1).toFixed(1)}`,
      );
      console.error(`${flood} ${round}/${rounds}: p99 ms ${told.join(", ")}`);
    }
    const { envoy, lateen } = found;
    const own = median(lateen.under.map((p99, round) => p99 / lateen.calm[round]));
    const beside = median(lateen.under.map((p99, round) => p99 / envoy.under[round]));
    const met = (own <= 2 || beside <= 1) && lateen.failed === 0;
    if (!met) missed++;
    rows.push([
      flood,
      withSpread(lateen.calm),
      withSpread(lateen.under),
      withSpread(envoy.calm),
      withSpread(envoy.under),
      own.toFixed(2),
      beside.toFixed(2),
      `${lateen.failed}/${envoy.failed}`,
      met ? "met" : "**missed**",
    ]);
  }
  const head = [
    "flood",
    "p99 calm",
    "p99 under it",
    "Envoy calm",
    "Envoy under it",
    "× own calm",
    "× Envoy",
    "failed",
    "",
  ];
  console.log(
    `${rounds} interleaved rounds of ${seconds} s, ${values.rate} requests a second; milliseconds, median [spread]; Envoy ${arena.version("envoy")}\n`,
  );
  console.log(table(head, rows));
  if (missed > 0) process.exitCode = 1;
}

try {
  const unknown = floods.filter((name) => !FLOODS.includes(name));
  const missing = [...arena.missing, ...[python, h2load].filter(({ path }) => path === undefined)];
  if (unknown.length > 0) {
    console.log(`no such flood: ${unknown.join(", ")}; known: ${FLOODS.join(", ")}`);
    process.exitCode = 1;
  } else if (missing.length > 0) {
    for (const { name, reason } of missing) console.log(`skipped: bench:abuse needs ${name}: ${reason}`);
    process.exitCode = process.env.CI === "true" ? 1 : 0;
  } else await main();
} finally {
  await arena.close();
}
