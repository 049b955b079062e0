import { Worker } from "node:worker_threads";
import type {
  ClusterSpec,
  FromWorker,
  HttpConnectionManagerSpec,
  ListenerSpec,
  PlanDelta,
  SeriesDefinition,
  WorkerBootstrap,
} from "@lateen/proxy";
import type { RouteTableSpec } from "@lateen/traffic";

type Filters = HttpConnectionManagerSpec["httpFilters"];

/** A data-path worker with one inbound listener in front of one application. */
export interface TestDataPath {
  /** `http://127.0.0.1:PORT` */
  readonly base: string;
  /** Current value of a counter, summed over the series whose labels contain `labels`. */
  value(name: string, labels: Readonly<Record<string, string>>): number;
  stop(): Promise<unknown>;
}

export async function startDataPath(appPort: number, filters: Filters, routes: RouteTableSpec): Promise<TestDataPath> {
  const values = new SharedArrayBuffer(8 * 50_000);
  const worker = new Worker(new URL("./worker-entry.ts", import.meta.url), {
    workerData: bootstrap(values),
    execArgv: ["--conditions=@lateen/source"],
  });
  const series: SeriesDefinition[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    worker.once("error", reject);
    worker.on("message", (message: FromWorker) => {
      if (message.type === "ready") worker.postMessage({ type: "plan", delta: plan(appPort, filters, routes) });
      if (message.type === "series") series.push(...message.series);
      if (message.type !== "applied") return;
      const [bound] = message.bound;
      if (bound === undefined) reject(new Error(JSON.stringify(message.failures)));
      else resolve(bound.port);
    });
  });
  const slots = new Float64Array(values);
  return {
    base: `http://127.0.0.1:${port}`,
    value: (name, labels) =>
      series
        .filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
        .reduce((sum, { slot }) => sum + (slots[slot] ?? 0), 0),
    stop: () => worker.terminate(),
  };
}

function bootstrap(values: SharedArrayBuffer): WorkerBootstrap {
  return {
    self: {
      workload: "reviews-v1",
      namespace: "shop",
      app: "reviews",
      version: "v1",
      canonicalService: "reviews",
      canonicalRevision: "v1",
      cluster: "local",
      principal: "spiffe://cluster.local/ns/shop/sa/reviews",
      nodeId: "sidecar~127.0.0.1~reviews-1.shop~shop.svc.cluster.local",
    },
    role: "sidecar",
    capture: { mode: "none" },
    bindMap: [],
    bindAddress: "127.0.0.1",
    lowPortOffset: 0,
    index: 0,
    workers: 1,
    limits: { maxConnections: 100 },
    stats: { values },
  };
}

function plan(appPort: number, httpFilters: Filters, routes: RouteTableSpec): PlanDelta {
  return {
    generation: 1,
    clusters: [
      cluster(appPort),
      {
        ...cluster(appPort),
        name: "hosts of requests",
        discovery: "dynamicForward",
        balance: "clusterProvided",
        endpoints: [],
        direction: "outbound",
        dns: { refreshMs: 60_000, respectTtl: true, failure: undefined, family: "v4only" },
        dynamicHosts: { minRefreshMs: 5000, hostTtlMs: 60_000, queryTimeoutMs: 0, maxHosts: 10, maxPending: 10 },
      },
    ],
    removedClusters: [],
    endpoints: [],
    routes: [],
    removedRoutes: [],
    listeners: [listener({ ...MANAGER, httpFilters, routes: { inline: routes } })],
    removedListeners: [],
    secrets: [],
    names: undefined,
  };
}

function cluster(appPort: number): ClusterSpec {
  const endpoint = {
    address: "127.0.0.1",
    port: appPort,
    weight: 1,
    healthy: true,
    transportSocketMatch: {},
    workload: undefined,
  };
  const locality = { region: "", zone: "", subZone: "", weight: undefined, priority: 0, endpoints: [endpoint] };
  return {
    name: "app",
    discovery: "static",
    endpoints: [locality],
    connectTimeoutMs: 1000,
    balance: "roundRobin",
    choices: 2,
    panicPercent: 50,
    transportMatches: [],
    transport: { kind: "raw" },
    circuitBreakers: { maxConnections: 100, maxPendingRequests: 100, maxRequests: 100, maxRetries: 3 },
    outlier: undefined,
    idleTimeoutMs: 60_000,
    maxRequestsPerConnection: 0,
    tcpKeepaliveMs: undefined,
    destinationService: { host: "reviews.shop.svc.cluster.local", name: "reviews", namespace: "shop" },
    direction: "inbound",
    origin: undefined,
  };
}

function listener(terminal: HttpConnectionManagerSpec): ListenerSpec {
  return {
    name: "in",
    address: "127.0.0.1",
    port: 0,
    bindToPort: true,
    useOriginalDst: false,
    direction: "inbound",
    inspectors: {
      tls: false,
      http: false,
      httpDisabledPorts: [],
      tlsDisabledPorts: [],
      timeoutMs: 0,
      continueOnTimeout: true,
    },
    chains: [],
    defaultChain: {
      name: "",
      match: {
        destinationPort: undefined,
        destinationPrefixes: [],
        sourcePrefixes: [],
        serverNames: [],
        transportProtocol: "",
        applicationProtocols: [],
      },
      transport: { kind: "raw" },
      networkFilters: [],
      terminal,
    },
    origin: undefined,
  };
}

const MANAGER: Omit<HttpConnectionManagerSpec, "httpFilters" | "routes"> = {
  kind: "http",
  statPrefix: "in",
  serverName: "istio-envoy",
  serverHeader: "overwrite",
  useRemoteAddress: false,
  xffTrustedHops: 0,
  forwardClientCert: "sanitize",
  setClientCertDetails: { subject: false, uri: false, dns: false, cert: false },
  streamIdleTimeoutMs: 0,
  requestTimeoutMs: 0,
  idleTimeoutMs: 60_000,
  drainTimeoutMs: 5000,
  normalizePath: true,
  mergeSlashes: false,
  escapedSlashes: "keep",
  acceptHttp10: false,
  generateRequestId: true,
  preserveExternalRequestId: false,
  alwaysSetRequestIdInResponse: false,
  stripPortMode: "none",
  upgrades: [],
  accessLogs: [],
};
