/** The world of bench:pilot as decoded objects: services with endpoints, a VirtualService and a DestinationRule each, and what private ones are. */
import { decodeObject } from "@lateen/mesh-model";

const PORT = 8080;
/** Every tenth service is exported to its own namespace only. */
const PRIVATE_EVERY = 10;

/** @typedef {{ services: number, endpoints: number, namespaces: number, subsets: number }} Size */

/** @param {unknown} value */
function decoded(value) {
  const document = decodeObject(value, { file: "bench", line: 1, column: 1 });
  if (!document.ok) throw new Error(JSON.stringify(document.diagnostics));
  return document.object;
}

export class World {
  /** Last sequence number given to a pod address. */
  sequence = 0;

  /** @param {Size} size */
  constructor(size) {
    this.size = size;
  }

  name(service) {
    return `svc-${String(service).padStart(5, "0")}`;
  }

  namespace(service) {
    return `team-${service % this.size.namespaces}`;
  }

  /** Whether only its own namespace sees it. */
  isPrivate(service) {
    return Math.floor(service / this.size.namespaces) % PRIVATE_EVERY === PRIVATE_EVERY - 1;
  }

  cluster(service) {
    return `outbound|${PORT}||${this.name(service)}.${this.namespace(service)}.svc.cluster.local`;
  }

  /** @returns {Iterable<object>} configuration */
  *config() {
    for (let service = 0; service < this.size.services; service++) {
      yield this.service(service);
      yield this.virtualService(service, 0);
      yield this.destinationRule(service);
    }
  }

  /** @returns {Iterable<object>} what runs */
  *pods() {
    for (let service = 0; service < this.size.services; service++)
      for (let pod = 0; pod < this.size.endpoints; pod++) yield this.pod(service, pod);
  }

  #metadata(service) {
    return { name: this.name(service), namespace: this.namespace(service), creationTimestamp: "2026-01-01T00:00:00Z" };
  }

  service(service) {
    const ip = `10.96.${service >> 8}.${service & 255}`;
    return decoded({
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        ...this.#metadata(service),
        ...(this.isPrivate(service) ? { annotations: { "networking.istio.io/exportTo": "." } } : {}),
      },
      spec: {
        clusterIP: ip,
        selector: { app: this.name(service) },
        ports: [{ name: "http", port: PORT, targetPort: PORT }],
      },
    });
  }

  virtualService(service, timeoutSeconds) {
    const host = this.name(service);
    const destinations =
      this.size.subsets === 0
        ? [{ destination: { host } }]
        : Array.from({ length: this.size.subsets }, (_, index) => ({
            destination: { host, subset: `v${index + 1}` },
            weight: index === 0 ? 100 - 10 * (this.size.subsets - 1) : 10,
          }));
    return decoded({
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: this.#metadata(service),
      spec: {
        hosts: [host],
        ...(this.isPrivate(service) ? { exportTo: ["."] } : {}),
        http: [
          {
            match: [{ uri: { prefix: "/beta" }, headers: { "x-canary": { exact: "true" } } }],
            route: [destinations.at(-1)].map(({ destination }) => ({ destination })),
          },
          { route: destinations, timeout: `${10 + timeoutSeconds}s`, retries: { attempts: 3, perTryTimeout: "2s" } },
        ],
      },
    });
  }

  destinationRule(service) {
    return decoded({
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: this.#metadata(service),
      spec: {
        host: this.name(service),
        trafficPolicy: {
          connectionPool: { tcp: { maxConnections: 100 }, http: { http1MaxPendingRequests: 100 } },
          outlierDetection: { consecutive5xxErrors: 7, interval: "5s", baseEjectionTime: "30s" },
        },
        subsets: Array.from({ length: this.size.subsets }, (_, index) => ({
          name: `v${index + 1}`,
          labels: { version: `v${index + 1}` },
        })),
      },
    });
  }

  /** A pod with a new address; the address is `11.x.y.z` with a sequence number in the last three bytes. */
  pod(service, pod) {
    const sequence = ++this.sequence;
    const app = this.name(service);
    return decoded({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: `${app}-${pod}`,
        namespace: this.namespace(service),
        labels: {
          app,
          version: `v${(pod % Math.max(1, this.size.subsets)) + 1}`,
          "security.istio.io/tlsMode": "istio",
        },
      },
      spec: {
        serviceAccountName: app,
        containers: [{ name: "app", image: "app", ports: [{ containerPort: PORT }] }],
      },
      status: {
        podIP: `11.${(sequence >> 16) & 255}.${(sequence >> 8) & 255}.${sequence & 255}`,
        conditions: [{ type: "Ready", status: "True" }],
      },
    });
  }
}
