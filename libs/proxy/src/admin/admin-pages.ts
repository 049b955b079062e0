import { Node } from "@lateen/proto/envoy/config/core/v3/base";
import type { LogLevel } from "../agent/options.ts";
import type { AgentParts } from "../agent/parts.ts";
import type { ConnectionRecord } from "../explain/connection-record.ts";
import { LONGEST_KEEP_MS, RECENT_REQUESTS } from "../explain/recent-requests.ts";
import type { RequestRecord } from "../explain/request-record.ts";
import { threadMemory } from "../worker/thread-memory.ts";
import { certificatesJson, describeSecret } from "./certificates.ts";
import { configDump, redact } from "./config-dump.ts";
import { json, metrics, type Page, type PageEntry, type PageRequest, type Pages, protoJson, text } from "./page.ts";
import { prometheusText, statsPage } from "./stats-page.ts";
import { clustersJson, clustersText, listenersJson, listenersText } from "./tables.ts";

/** The admin interface, as Envoy's: what is in force, what was counted, and a few switches. */
export function adminPages(parts: AgentParts, drain: () => Promise<void>): Pages {
  const { state, pool, status, deps } = parts;
  const pages = new Map<string, PageEntry>();
  const get = (path: string, help: string, page: Page) => pages.set(path, { methods: ["GET"], help, page });
  const post = (path: string, help: string, page: Page) => pages.set(path, { methods: ["POST"], help, page });
  get("/config_dump", "configuration as received; ?resource=FIELD, ?include_eds", (request) => dump(parts, request));
  get("/clusters", "upstream clusters and their hosts; ?format=json", async ({ query }) => {
    const rows = [...state.activeClusters().values()].map((spec) => ({
      spec,
      localities: state.activeEndpoints().get(spec.name) ?? spec.endpoints,
    }));
    const reports = await pool.inspect("clusters");
    return query.get("format") === "json" ? protoJson(clustersJson(rows, reports)) : text(clustersText(rows, reports));
  });
  get("/listeners", "sockets that are bound; ?format=json", ({ query }) =>
    query.get("format") === "json" ? protoJson(listenersJson(pool.bound())) : text(listenersText(pool.bound())),
  );
  get("/stats", "counters; ?format=text|json|prometheus, ?filter=RE2, ?usedonly", (request) =>
    statsPage(parts, request),
  );
  get("/stats/prometheus", "counters in Prometheus text", () => metrics(prometheusText(parts)));
  get("/requests", "what decided about recent requests and connections; ?id=PREFIX, ?limit=N", (request) =>
    requests(parts, request),
  );
  post("/requests/keep", "?seconds=N: remember requests that go well, too; 0 ends it", (request) =>
    keep(parts, request),
  );
  get("/ready", "200 LIVE when traffic may come", () => readiness(parts));
  get("/server_info", "version, state, node", () => protoJson(serverInfo(parts)));
  get("/certs", "certificates in use", () =>
    protoJson(certificatesJson(state.activeSecrets().values(), deps.clock.now())),
  );
  get("/init_dump", "what waits for something", () => protoJson({ unreadyTargets: state.warming() }));
  get("/memory", "memory of the process", () => json(process.memoryUsage()));
  if (parts.config.heapReport === true)
    get("/memory/threads", "collects garbage, then what each thread holds", async () =>
      json({ agent: threadMemory(), workers: await pool.inspect("memory") }),
    );
  post("/logging", "?level=debug|info|warn|error|silent", (request) => logging(parts, request));
  post("/reopen_logs", "opens access-log files anew", () => {
    parts.logFiles.reopen();
    return text("OK\n");
  });
  post("/drain_listeners", "stops accepting, lets requests finish", () => {
    void drain();
    return text("OK\n");
  });
  post("/quitquitquit", "drains and ends the process", () => {
    status.draining = true;
    setImmediate(deps.quit);
    return text("OK\n");
  });
  get("/help", "this list", () => text(help(pages)));
  get("/", "this list", () => text(help(pages)));
  return pages;
}

function help(pages: Pages): string {
  return [...pages].map(([path, entry]) => `${entry.methods.join(",")} ${path}: ${entry.help}\n`).join("");
}

const MOST_SECONDS = LONGEST_KEEP_MS / 1000;

/** The latest first. */
async function requests({ pool, config }: AgentParts, { query }: PageRequest) {
  const id = query.get("id") ?? "";
  const limit = Number(query.get("limit") ?? 1000);
  if (!Number.isInteger(limit) || limit < 1) return text("limit: a whole number above 0\n", 400);
  // The reports are those of our own workers.
  const found = ((await pool.inspect("requests")) as readonly (readonly RequestRecord[])[])
    .flat()
    .filter(({ requestId }) => requestId.startsWith(id))
    .sort((a, b) => b.startTimeMs - a.startTimeMs);
  const broken = ((await pool.inspect("connections")) as readonly (readonly ConnectionRecord[])[])
    .flat()
    .filter(({ connectionId, earlierIds }) => [connectionId, ...earlierIds].some((one) => String(one).startsWith(id)))
    .sort((a, b) => b.startTimeMs - a.startTimeMs);
  const kept = config.recentRequests ?? RECENT_REQUESTS;
  return json({ kept, requests: found.slice(0, limit), connections: broken.slice(0, limit) });
}

function keep({ pool, config }: AgentParts, { query }: PageRequest) {
  const seconds = Number(query.get("seconds") ?? Number.NaN);
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > MOST_SECONDS) {
    return text(`seconds: a whole number from 0 to ${MOST_SECONDS}\n`, 400);
  }
  if (config.recentRequests === 0) return text("this proxy remembers no requests (--recent-requests 0)\n", 409);
  pool.keepRequests(seconds * 1000);
  return json({ seconds });
}

function readiness({ status }: AgentParts) {
  const reason = status.notReady();
  return reason === undefined ? text("LIVE\n") : text(`${reason}\n`, 503);
}

function dump({ configuration, state, bootstrap, node, config, deps }: AgentParts, { query }: PageRequest) {
  const now = deps.clock.now();
  const source = {
    configuration,
    warming: () => state.warming(),
    secrets: () => state.activeSecrets().values(),
    bootstrap: () =>
      redact(bootstrap?.document ?? { node: Node.toJSON(node), discoveryAddress: config.discoveryAddress ?? null }),
    describeSecret: (secret: Parameters<typeof describeSecret>[0]) => describeSecret(secret, now),
  };
  return protoJson(configDump(source, { resource: query.get("resource"), eds: query.has("include_eds") }));
}

function serverInfo({ config, status, node, deps, startedAtMs, state }: AgentParts) {
  const uptime = `${Math.floor((deps.clock.now() - startedAtMs) / 1000)}s`;
  const notReady = status.notReady();
  return {
    version: `lateen/${config.version}/${process.version}`,
    state: status.draining ? "DRAINING" : notReady === undefined ? "LIVE" : "INITIALIZING",
    ...(notReady === undefined ? {} : { reason: notReady }),
    uptimeCurrentEpoch: uptime,
    uptimeAllEpochs: uptime,
    planGeneration: state.generation,
    node: Node.toJSON(node),
    commandLineOptions: {
      concurrency: config.concurrency,
      serviceNode: node.id,
      serviceCluster: node.cluster,
      drainTime: `${config.drainTimeMs / 1000}s`,
      logLevel: config.logLevel,
    },
  };
}

const LEVELS: readonly string[] = ["debug", "info", "warn", "error", "silent"] satisfies readonly LogLevel[];
/** Envoy's names for levels that are called otherwise here. */
const LEVEL_ALIASES: Readonly<Record<string, LogLevel>> = {
  trace: "debug",
  warning: "warn",
  critical: "error",
  off: "silent",
};

function logging({ deps }: AgentParts, { query }: PageRequest) {
  const asked = query.get("level") ?? "";
  const level = LEVEL_ALIASES[asked] ?? asked;
  if (!isLevel(level)) return text(`usage: /logging?level=${LEVELS.join("|")}\n`, 400);
  if (deps.setLogLevel === undefined) return text("the level of this program's log cannot be changed\n", 501);
  deps.setLogLevel(level);
  return text(`active loggers:\n  all: ${level}\n`);
}

function isLevel(text: string): text is LogLevel {
  return LEVELS.includes(text);
}
