/** A process with many light clients. Driven over IPC. */
import { AdsClient, now, Shared } from "./ads-client.mjs";

const { port, rootPem, gzip, identities } = await new Promise((resolve) =>
  process.once("message", ({ start }) => resolve(start)),
);
const shared = new Shared();
const seen = new Set();
const clients = identities.map(({ namespace, app, keyPem, certPem, address, pod }) => {
  const reference = !seen.has(namespace);
  seen.add(namespace);
  const node = {
    id: `sidecar~${address}~${pod}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${app}.${namespace}`,
    metadata: {
      NAMESPACE: namespace,
      SERVICE_ACCOUNT: app,
      LABELS: { app, version: "v1", "security.istio.io/tlsMode": "istio" },
      CLUSTER_ID: "local",
      ISTIO_VERSION: "1.30.0",
      POD_PORTS: [{ containerPort: 8080, protocol: "TCP" }],
    },
  };
  return new AdsClient({ port, rootPem, keyPem, certPem, node, namespace, shared, reference, gzip });
});
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const failures = () => clients.filter(({ failure }) => failure !== undefined).map(({ failure }) => failure);

async function open({ withVersions = false, timeoutMs = 180_000 } = {}) {
  const started = now();
  shared.forget();
  for (const client of clients) client.reset();
  for (const client of clients) client.open(withVersions);
  const deadline = started + timeoutMs;
  const done = (client) => (withVersions ? client.stream !== undefined : client.synced);
  while (!clients.every(done) && now() < deadline && failures().length === 0) await pause(20);
  if (failures().length > 0) throw new Error(failures().slice(0, 3).join("; "));
  return {
    started,
    finished: Math.max(...clients.map(({ lastAck = 0 }) => lastAck)),
    unsynced: clients.filter((client) => !done(client)).length,
    bytes: clients.reduce((sum, client) => sum + client.bytes, 0),
  };
}

const operations = {
  open,
  close: () => {
    for (const client of clients) client.close();
  },
  record: () => {
    for (const client of clients) client.record = [];
  },
  /** What arrived since `record`, per client. */
  recorded: () => {
    const all = clients.map((client) => ({ namespace: client.options.namespace, responses: client.record ?? [] }));
    for (const client of clients) client.record = undefined;
    if (failures().length > 0) throw new Error(failures().slice(0, 3).join("; "));
    return all;
  },
  /** When each client had the address with this number, since `record`; undefined for those that have not. */
  seen: ({ sequence }) =>
    clients.map((client) => client.record?.find(({ addresses }) => addresses.includes(sequence))?.at),
  /** How many clients got a response since `record`, and when the last acknowledged. */
  progress: () => ({ answered: clients.filter(({ record }) => (record?.length ?? 0) > 0).length }),
  facts: () => {
    const { user, system } = process.cpuUsage();
    return { cpuMs: (user + system) / 1000, rssMb: process.memoryUsage().rss / 1e6 };
  },
};

function stop() {
  for (const client of clients) client.close();
  process.disconnect();
}

process.on("message", async ({ id, operation, argument }) => {
  if (operation === "stop") return stop();
  try {
    process.send?.({ id, result: (await operations[operation](argument)) ?? null });
  } catch (error) {
    process.send?.({ id, error: String(error?.stack ?? error) });
  }
});
// Whoever started it is gone.
process.on("disconnect", () => process.exit());
process.send?.({ ready: true });
