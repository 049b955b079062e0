/** A Kubernetes API server with a large cluster in it. Driven over IPC. */
import { startApiServer } from "@lateen/test-support";

const { services, endpoints, namespaces, nodes } = await new Promise((resolve) =>
  process.once("message", ({ start }) => resolve(start)),
);
const server = await startApiServer({ bookmarkMs: 30_000 });
const hrtime = () => Number(process.hrtime.bigint()) / 1e6;
let sequence = 0;

const name = (service) => `svc-${String(service).padStart(5, "0")}`;
const namespace = (service) => `team-${service % namespaces}`;
const address = (number) => `11.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
const noise = Array.from({ length: 20 }, (_, at) => ({
  name: `SETTING_${at}`,
  value: `value of setting number ${at}`,
}));
/** What the API server keeps of who wrote which field: much of every object. */
const managedFields = Array.from({ length: 3 }, (_, at) => ({
  manager: `controller-${at}`,
  operation: "Update",
  apiVersion: "v1",
  fieldsType: "FieldsV1",
  fieldsV1: Object.fromEntries(Array.from({ length: 15 }, (_one, field) => [`f:field-${field}`, {}])),
}));

const serviceObject = (service) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: name(service), namespace: namespace(service), labels: { app: name(service) }, managedFields },
  spec: {
    type: "ClusterIP",
    clusterIP: `10.${96 + (service >> 16)}.${(service >> 8) & 255}.${service & 255}`,
    selector: { app: name(service) },
    ports: [{ name: "http", port: 8080, targetPort: 8080, protocol: "TCP" }],
    sessionAffinity: "None",
  },
  status: { loadBalancer: {} },
});
const podName = (service, pod) => `${name(service)}-6d4f9c7b88-${String(pod).padStart(5, "x")}`;
const podObject = (service, pod, ip) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: podName(service, pod),
    namespace: namespace(service),
    labels: {
      app: name(service),
      version: "v1",
      "pod-template-hash": "6d4f9c7b88",
      "security.istio.io/tlsMode": "istio",
    },
    annotations: { "example.dev/checksum": "0".repeat(64) },
    ownerReferences: [
      { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${name(service)}-6d4f9c7b88`, controller: true, uid: "u" },
    ],
    managedFields,
  },
  spec: {
    serviceAccountName: name(service),
    nodeName: `node-${(service + pod) % nodes}`,
    containers: [{ name: "app", image: `${name(service)}:1.0`, env: noise, ports: [{ containerPort: 8080 }] }],
    volumes: noise.map(({ name: volume }) => ({ name: volume, emptyDir: {} })),
  },
  status: {
    phase: "Running",
    podIP: ip,
    conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({ type, status: "True" })),
    containerStatuses: [{ name: "app", ready: true, restartCount: 0, image: "app", imageID: "0".repeat(64) }],
  },
});
const sliceObject = (service, addresses) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    name: `${name(service)}-abcde`,
    namespace: namespace(service),
    labels: { "kubernetes.io/service-name": name(service), app: name(service) },
    annotations: { "endpoints.kubernetes.io/last-change-trigger-time": new Date().toISOString() },
    managedFields,
  },
  addressType: "IPv4",
  endpoints: addresses.map((ip, pod) => ({
    addresses: [ip],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: `node-${(service + pod) % nodes}`,
    targetRef: { kind: "Pod", name: podName(service, pod), namespace: namespace(service), uid: "u" },
  })),
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
});
const core = (kind, objectName, labels) => ({ apiVersion: "v1", kind, metadata: { name: objectName, labels } });

for (let at = 0; at < namespaces; at++) server.apply(core("Namespace", `team-${at}`, {}));
for (let at = 0; at < nodes; at++) {
  const place = { "topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": `z${at % 3}` };
  server.apply({ ...core("Node", `node-${at}`, place), status: { images: noise } });
}
const held = [];
for (let service = 0; service < services; service++) {
  const addresses = Array.from({ length: endpoints }, () => address(++sequence));
  held.push(addresses);
  server.apply(serviceObject(service), sliceObject(service, addresses));
  for (const [pod, ip] of addresses.entries()) server.apply(podObject(service, pod, ip));
}

const operations = {
  /** A pod is replaced: what a rollout does, twice in the API and once for clients. */
  change: ({ service }) => {
    const addresses = held[service];
    addresses[0] = address(++sequence);
    server.apply(podObject(service, 0, addresses[0]));
    const at = hrtime();
    server.apply(sliceObject(service, addresses));
    return { at, sequence };
  },
  /** Everybody has to list again. */
  compact: () => {
    server.compact();
    server.endWatches("expired");
    return { requests: server.requests.length };
  },
  facts: () => ({ requests: server.requests.length, watches: server.watches, rssMb: process.memoryUsage().rss / 1e6 }),
};
process.on("message", async ({ id, operation, argument }) => {
  if (operation === "stop") return process.exit();
  process.send?.({ id, result: operations[operation](argument ?? {}) });
});
process.on("disconnect", () => process.exit());
process.send?.({ ready: { kubeconfig: server.kubeconfig(), objects: server.storage.version } });
