/** The process under test: pilot behind its real gRPC server, fed by the benchmark instead of by galley. Driven over IPC. */
import { adsService, serveGrpc } from "@lateen/adapter-grpc";
import { memoryBus } from "@lateen/adapter-local";
import { ok, Scope, silentLogger, systemClock } from "@lateen/kernel";
import { defaultMeshConfig, keyOf } from "@lateen/mesh-model";
import { createPilot } from "@lateen/pilot";
import { CONFIG_TOPIC } from "@lateen/ports";
import { World } from "./world.mjs";

const { size, tls } = await new Promise((resolve) => process.once("message", ({ start }) => resolve(start)));
const world = new World(size);
const scope = new Scope();
const bus = memoryBus({ logger: silentLogger });
const topic = bus.state(CONFIG_TOPIC);
let revision = 1;
let deliver = () => {};
const began = performance.now();

const entry = (object) => ({
  key: keyOf(object),
  revision,
  value: { object, revision, ownerFile: undefined, origin: { file: "bench", line: 1, column: 1 } },
});
const publish = (objects, snapshot = false) =>
  topic.publish({ snapshot, revision, upserted: objects.map(entry), removed: [] });
const registry = {
  async watch(_scope, receive) {
    deliver = receive;
    receive({ snapshot: true, upserted: [...world.pods()], removed: [] });
  },
};
const hrtime = () => Number(process.hrtime.bigint()) / 1e6;

await publish([...world.config()], true);
const pilot = await createPilot({
  bus,
  registry,
  scope,
  clock: systemClock(),
  logger: silentLogger,
  meshConfig: defaultMeshConfig(),
  clusterId: "local",
});
const authenticator = {
  authenticate: async (uris) => {
    const [, namespace, serviceAccount] = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uris[0]) ?? [];
    return ok({ namespace, serviceAccount, via: "certificate" });
  },
};
const server = await serveGrpc({
  host: "127.0.0.1",
  port: 0,
  tls,
  services: [adsService(pilot.ads, authenticator, silentLogger)],
  logger: silentLogger,
});

const numbers = (pattern) =>
  Object.fromEntries([...pilot.metrics().matchAll(pattern)].map(([, name, count]) => [name, Number(count)]));

function facts() {
  const { user, system } = process.cpuUsage();
  const memory = process.memoryUsage();
  return {
    cpuMs: (user + system) / 1000,
    rssMb: memory.rss / 1e6,
    heapMb: (memory.heapUsed + memory.external) / 1e6,
    queries: numbers(/^lateen_compile_queries_total\{query="([^"]+)"\} (\d+)$/gm),
    pushes: numbers(/^pilot_xds_pushes\{type="([^"]+)"\} (\d+)$/gm),
    /** Responses whose oldest change was at most so many seconds old when they were written. */
    ages: numbers(/^lateen_xds_age_at_push_seconds_bucket\{le="([^"]+)"\} (\d+)$/gm),
  };
}

/** Changes a pod's address and says when. */
function changePod(service) {
  const pod = world.pod(service, world.sequence % size.endpoints);
  const change = { sequence: world.sequence, service, at: hrtime() };
  deliver({ snapshot: false, upserted: [pod], removed: [] });
  return change;
}

/** `perSecond` changes of pods for `seconds`, each at its own time, all services in turn. */
async function storm({ perSecond, seconds }) {
  const changes = [];
  const start = performance.now();
  while (changes.length < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, Math.floor(((performance.now() - start) / 1000) * perSecond));
    while (changes.length < due) changes.push(changePod(changes.length % size.services));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return changes;
}

const operations = {
  facts,
  collect: () => {
    globalThis.gc?.();
    return facts();
  },
  changePod: ({ service }) => changePod(service),
  changeRule: async ({ service, seconds }) => {
    revision++;
    const at = hrtime();
    await publish([world.virtualService(service, seconds)]);
    return { revision, at };
  },
  /** Resolves once so many proxies are connected and run all there is. */
  settled: async ({ streams }) => {
    for (const deadline = performance.now() + 120_000; performance.now() < deadline; ) {
      const { synced } = await pilot.waitSynced(revision, 10_000);
      if (synced && pilot.status().proxies.length >= streams) break;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    return { at: hrtime() };
  },
  waitSynced: async () => {
    const outcome = await pilot.waitSynced(revision, 60_000);
    return { synced: outcome.synced, laggards: outcome.laggards.length, at: hrtime() };
  },
  storm,
};

async function stop() {
  await server.close(100);
  await scope.close();
  process.disconnect();
}

process.on("message", async ({ id, operation, argument }) => {
  if (operation === "stop") return stop();
  try {
    process.send?.({ id, result: await operations[operation](argument ?? {}) });
  } catch (error) {
    process.send?.({ id, error: String(error?.stack ?? error) });
  }
});
// Whoever started it is gone.
process.on("disconnect", () => process.exit());
process.send?.({ ready: { port: server.port, startMs: performance.now() - began, ...facts() } });
