/** The process under test: pilot behind its real gRPC server, with an API server as its registry. Driven over IPC. */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { adsService, serveGrpc } from "@lateen/adapter-grpc";
import { kubernetesRegistry, openKubernetes } from "@lateen/adapter-kubernetes";
import { memoryBus } from "@lateen/adapter-local";
import { ok, Scope, silentLogger, systemClock } from "@lateen/kernel";
import { defaultMeshConfig } from "@lateen/mesh-model";
import { createPilot } from "@lateen/pilot";
import { CONFIG_TOPIC } from "@lateen/ports";

const { kubeconfig, tls } = await new Promise((resolve) => process.once("message", ({ start }) => resolve(start)));
const scope = new Scope();
const clock = systemClock();
const bus = memoryBus({ logger: silentLogger });
const began = performance.now();
const kubernetes = await openKubernetes({ kubeconfig, scope });
const registry = kubernetesRegistry(kubernetes, { clock });
let listedMs = 0;
let deliveries = 0;
await bus.state(CONFIG_TOPIC).publish({ snapshot: true, revision: 1, upserted: [], removed: [] });
const pilot = await createPilot({
  bus,
  registry: {
    watch: (within, receive) =>
      registry.watch(within, (delta) => {
        if (delta.snapshot) listedMs = performance.now() - began;
        deliveries++;
        receive(delta);
      }),
  },
  scope,
  clock,
  logger: silentLogger,
  meshConfig: defaultMeshConfig(),
  clusterId: "Kubernetes",
  firstSnapshotsMs: 600_000,
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
function facts() {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { cpuMs: (user + system) / 1000, rssMb: rss / 1e6, heapMb: (heapUsed + external) / 1e6, deliveries };
}
const session = new Session();
const operations = {
  facts,
  /** A CPU profile of what is between the two calls, for `--profile FILE`. */
  profile: async () => {
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 200 });
    await session.post("Profiler.start");
  },
  profiled: async (file) => {
    const { profile } = await session.post("Profiler.stop");
    writeFileSync(file, JSON.stringify(profile));
  },
  collect: () => {
    globalThis.gc?.();
    return facts();
  },
};
process.on("message", async ({ id, operation, argument }) => {
  if (operation === "stop") {
    await server.close(100);
    await scope.close();
    process.exit();
  }
  process.send?.({ id, result: await operations[operation](argument) });
});
process.on("disconnect", () => process.exit());
process.send?.({ ready: { port: server.port, listedMs, readyMs: performance.now() - began, ...facts() } });
