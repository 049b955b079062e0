/**
 * bench:dataplane — what the sidecar's data path costs beside nginx, haproxy and Envoy. Backend and load share core 0; the proxies have
 * core 1 and take turns: every round measures every proxy once, and only ratios within a round are compared. CPU is that of the
 * proxy's whole process tree. `--only h1,h2` picks cases, `--rounds n`, `--seconds s`, `--output file`.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Arena } from "./dataplane/arena.mjs";
import { cases } from "./dataplane/cases.mjs";
import { memory } from "./dataplane/memory.mjs";
import { median, table, withSpread } from "./lib/numbers.mjs";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "7" },
    seconds: { type: "string", default: "4" },
    connections: { type: "string", default: "4000" },
    output: { type: "string", short: "o" },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const only = values.only === "" ? [] : values.only.split(",");
const chosen = (/** @type {string} */ name) => only.length === 0 || only.includes(name);
const UNITS = { cpuPerRequest: "CPU µs/req", cpuPerGbit: "CPU ms/Gbit" };

const arena = new Arena();
const all = cases(arena.folder);
const known = [...all.map(({ name }) => name), "latency", "memory"];
const unknown = only.filter((name) => !known.includes(name));

/** All proxies of a case, one after another, once per round. */
async function compete(one) {
  const port = await arena.startBackend(one.backend);
  const running = [];
  for (const contestant of one.contestants) running.push(await arena.start(contestant, port));
  for (const proxy of running) await arena.warm(proxy, one.load);
  const results = Object.fromEntries(running.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const proxy of running) results[proxy.name].push(await arena.measure(proxy, one.load, seconds));
    const line = running.map(({ name }) => `${name} ${results[name].at(-1)[one.unit].toFixed(1)}`).join(", ");
    console.error(`${one.name} ${round}/${rounds}: ${UNITS[one.unit]} ${line}`);
  }
  await arena.stop(running);
  return results;
}

const ratios = (results, key, of, peer) => results[of].map((run, round) => run[key] / results[peer][round][key]);
const verdict = (/** @type {boolean} */ met) => (met ? "met" : "**missed**");

function report(one, results) {
  const names = one.contestants.map(({ name }) => name);
  const peers = [...new Set(one.targets.map(({ peer }) => peer))];
  const middle = (name, key, digits = 0) => median(results[name].map((run) => run[key])).toFixed(digits);
  const rows = names.map((name) => [
    name,
    middle(name, one.unit, 1),
    ...peers.map((peer) => withSpread(ratios(results, one.unit, name, peer))),
    middle(name, "rps"),
    middle(name, "rss"),
    String(results[name].reduce((sum, run) => sum + run.errors, 0)),
  ]);
  const goals = one.targets.map(({ of, peer, most }) => {
    const ratio = median(ratios(results, one.unit, of, peer));
    return `${of} ≤ ${most} × ${peer}: ${ratio.toFixed(2)}, ${verdict(ratio <= most)}`;
  });
  const head = ["proxy", UNITS[one.unit], ...peers.map((peer) => `× ${peer}`), "req/s", "RSS MB", "errors"];
  return `### ${one.name}: ${one.title}\n\n${goals.join("; ")}.\n\n${table(head, rows)}\n`;
}

/** Every proxy at half of its own maximum, in an open loop. */
async function latency() {
  const port = await arena.startBackend();
  const shape = /** @type {const} */ ({ protocol: "http1" });
  const names = /** @type {const} */ (["nginx", "haproxy", "envoy", "lateen"]);
  const running = [];
  for (const name of names) running.push(await arena.start({ name, program: name, shape }, port));
  const half = {};
  for (const proxy of running) {
    await arena.warm(proxy, { tool: "wrk", path: "/1k", connections: 64 });
    half[proxy.name] = (await arena.measure(proxy, { tool: "wrk", path: "/1k", connections: 64 }, 4)).rps / 2;
    await arena.openLoop(proxy, half[proxy.name], seconds);
  }
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const proxy of running) results[proxy.name].push(await arena.openLoop(proxy, half[proxy.name], seconds));
    const line = names.map((name) => `${name} ${results[name].at(-1).p99.toFixed(2)}`).join(", ");
    console.error(`latency ${round}/${rounds}: p99 ms ${line}`);
  }
  await arena.stop(running);
  const over = median(results.lateen.map((run, round) => run.p99 - results.haproxy[round].p99));
  const rows = names.map((name) => [
    name,
    half[name].toFixed(0),
    ...["p50", "p99"].map((key) => withSpread(results[name].map((run) => run[key]))),
    String(results[name].reduce((sum, run) => sum + run.errors, 0)),
  ]);
  return `### latency: GET 1 KB, open loop at half of each proxy's own maximum, 256 connections

p99 of lateen ≤ haproxy + 1 ms: ${over >= 0 ? "+" : ""}${over.toFixed(2)} ms, ${verdict(over <= 1)}.

${table(["proxy", "req/s", "p50 ms", "p99 ms", "errors"], rows)}
`;
}

async function memoryReport() {
  const found = await memory(arena, Number(values.connections));
  const rows = [
    ["one worker, idle, MB", found.oneWorker.toFixed(0), "85", verdict(found.oneWorker <= 85)],
    ["each further worker, MB", found.perWorker.toFixed(1), "20", verdict(found.perWorker <= 20)],
    ["an idle connection, KB", found.perConnection.toFixed(1), "8", verdict(found.perConnection <= 8)],
  ];
  const peers = Object.entries(found.peers).map(
    ([name, peer]) => `${name} ${peer.rss.toFixed(0)} MB and ${peer.perConnection.toFixed(1)} KB a connection`,
  );
  return `### memory: RSS, ${values.connections} idle connections after one request each

${table(["what", "lateen", "at most", ""], rows)}

Beside it: ${peers.join("; ")}.
`;
}

async function main() {
  const parts = [];
  for (const one of all) if (chosen(one.name)) parts.push(report(one, await compete(one)));
  if (chosen("latency")) parts.push(await latency());
  if (chosen("memory")) parts.push(await memoryReport());
  const versions = ["nginx", "haproxy", "envoy"].map((name) => `${name} ${arena.version(name)}`).join(", ");
  const text = `${rounds} interleaved rounds of ${seconds} s; ${versions}, Node.js ${process.versions.node}; ratios are the median of per-round ratios [spread]\n\n${parts.join("\n")}`;
  console.log(text);
  if (values.output !== undefined) writeFileSync(values.output, text);
}

try {
  if (unknown.length > 0) {
    console.log(`no such case: ${unknown.join(", ")}; known: ${known.join(", ")}`);
    process.exitCode = 1;
  } else if (arena.missing.length > 0) {
    for (const { name, reason } of arena.missing) console.log(`skipped: bench:dataplane needs ${name}: ${reason}`);
    process.exitCode = process.env.CI === "true" ? 1 : 0;
  } else await main();
} finally {
  await arena.close();
}
