import { randomInt } from "node:crypto";
import { connect as netConnect } from "node:net";
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from "node:tls";
import { type Clock, systemClock } from "@lateen/kernel";
import type { FilterChainMatchSpec } from "@lateen/traffic";
import type { HttpFilterRuntime, NetworkFilterRuntime } from "../../chain/spi.ts";
import type {
  ClusterSpec,
  DownstreamTlsSpec,
  FilterChainSpec,
  ListenerSpec,
  PlanDelta,
  TcpProxySpec,
  UpstreamTlsSpec,
} from "../../config/plan.ts";
import type { Lookup } from "../../io/resolver.ts";
import { testBackend } from "../../io/testing/backend.ts";
import { clusterSpec } from "../../router/testing/rig.ts";
import { Peer } from "../../router/testing/wire.ts";
import { DataPath } from "../data-path.ts";
import type { AccessRecord, FromWorker, SeriesDefinition, WorkerBootstrap } from "../protocol.ts";

/** A loopback address of its own, so that tests may use well-known ports side by side. */
export function loopbackAddress(): string {
  return `127.${randomInt(130, 250)}.${randomInt(1, 250)}.${randomInt(1, 250)}`;
}

export function tcpSpec(cluster: string, overrides: Partial<TcpProxySpec> = {}): TcpProxySpec {
  return {
    kind: "tcp",
    statPrefix: cluster,
    clusters: [{ cluster, weight: 1 }],
    idleTimeoutMs: 0,
    maxConnectAttempts: 1,
    accessLogs: [{ kind: "grpc", logName: "test", cluster: "als" }],
    ...overrides,
  };
}

export function chainSpec(
  terminal: FilterChainSpec["terminal"],
  match: Partial<FilterChainMatchSpec> = {},
  overrides: Partial<FilterChainSpec> = {},
): FilterChainSpec {
  return {
    name: "",
    match: {
      destinationPort: undefined,
      destinationPrefixes: [],
      sourcePrefixes: [],
      serverNames: [],
      transportProtocol: "",
      applicationProtocols: [],
      ...match,
    },
    transport: { kind: "raw" },
    networkFilters: [],
    terminal,
    ...overrides,
  };
}

export function listenerSpec(name: string, port: number, overrides: Partial<ListenerSpec> = {}): ListenerSpec {
  return {
    name,
    address: "0.0.0.0",
    port,
    bindToPort: false,
    useOriginalDst: false,
    direction: "outbound",
    inspectors: {
      tls: false,
      http: false,
      httpDisabledPorts: [],
      tlsDisabledPorts: [],
      timeoutMs: 0,
      continueOnTimeout: true,
    },
    chains: [],
    defaultChain: undefined,
    origin: undefined,
    ...overrides,
  };
}

export const INSPECT_ALL: ListenerSpec["inspectors"] = {
  tls: true,
  http: true,
  httpDisabledPorts: [],
  tlsDisabledPorts: [],
  timeoutMs: 0,
  continueOnTimeout: true,
};

export function originalDst(name: string, direction: ClusterSpec["direction"]): ClusterSpec {
  return clusterSpec(name, [], { discovery: "originalDst", balance: "clusterProvided", direction });
}

/** mTLS as mesh workloads speak it, with secrets `default` and `ROOTCA`. */
export function serverTls(overrides: Partial<DownstreamTlsSpec> = {}): FilterChainSpec["transport"] {
  return {
    kind: "tls",
    alpn: ["http/1.1", "istio"],
    certificateSecret: "default",
    requireClientCertificate: true,
    validation: {
      trust: { secret: "ROOTCA" },
      sans: [{ type: "uri", match: { kind: "prefix", value: "spiffe://cluster.local/", ignoreCase: false } }],
    },
    minVersion: undefined,
    maxVersion: undefined,
    ciphers: [],
    ...overrides,
  };
}

export function clientTls(overrides: Partial<UpstreamTlsSpec> = {}): ClusterSpec["transport"] {
  return {
    kind: "tls",
    sni: "outbound_.9000_._.echo.default.svc.cluster.local",
    alpn: ["istio"],
    certificateSecret: "default",
    validation: { trust: { secret: "ROOTCA" }, sans: [] },
    minVersion: undefined,
    maxVersion: undefined,
    ciphers: [],
    ...overrides,
  };
}

export interface DataPathRigOptions {
  /** Given the address the rig has chosen. */
  readonly bootstrap?: (address: string) => Partial<WorkerBootstrap>;
  readonly clock?: Clock;
  readonly httpFilters?: readonly HttpFilterRuntime[];
  readonly networkFilters?: readonly NetworkFilterRuntime[];
  /** Uniform in [0, 1). Default: 0. */
  readonly random?: () => number;
  /** System DNS. Default: no name can be looked up. */
  readonly lookup?: Lookup;
}

/** A data path on a loopback address of its own, whose messages can be waited for. */
export class DataPathRig {
  readonly address: string;
  readonly dataPath: DataPath;
  readonly posted: FromWorker[] = [];
  readonly #values: Float64Array;
  readonly #series: SeriesDefinition[] = [];
  #waiting: (() => void)[] = [];
  #generation = 0;

  constructor(options: DataPathRigOptions = {}) {
    this.address = loopbackAddress();
    const memory = new SharedArrayBuffer(8 * 65_536);
    this.#values = new Float64Array(memory);
    this.dataPath = new DataPath({
      bootstrap: {
        self: SELF,
        role: "sidecar",
        capture: { mode: "none" },
        bindMap: [],
        bindAddress: this.address,
        lowPortOffset: 0,
        index: 0,
        workers: 1,
        limits: { maxConnections: 1000 },
        stats: { values: memory },
        ...options.bootstrap?.(this.address),
      },
      httpFilters: options.httpFilters ?? [],
      networkFilters: options.networkFilters ?? [],
      clock: options.clock ?? systemClock(),
      random: options.random ?? (() => 0),
      backend: testBackend,
      lookup: options.lookup ?? (() => Promise.reject(new Error("no such name"))),
      post: (message) => this.#received(message),
    });
  }

  /** Applies a delta; rejects with its failures. */
  async apply(delta: Partial<PlanDelta>): Promise<void> {
    const failures = await this.tryApply(delta);
    if (failures.length > 0) throw new Error(JSON.stringify(failures));
  }

  async tryApply(delta: Partial<PlanDelta>) {
    const generation = ++this.#generation;
    await this.dataPath.apply({ ...EMPTY_DELTA, ...delta, generation });
    const applied = this.posted.find((entry) => entry.type === "applied" && entry.generation === generation);
    if (applied?.type !== "applied") throw new Error("the delta was not answered");
    return applied.failures;
  }

  /** Sum of the series of a metric whose labels include these. */
  metric(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#series
      .filter((series) => series.name === name)
      .filter((series) => Object.entries(labels).every(([key, value]) => series.labels[key] === value))
      .reduce((sum, { slot }) => sum + (this.#values[slot] ?? 0), 0);
  }

  /** The access record number `index` as soon as it was handed over. */
  async record(index = 0): Promise<AccessRecord> {
    for (;;) {
      const records = this.posted.flatMap((entry) => (entry.type === "records" ? entry.records : []));
      const found = records[index];
      if (found !== undefined) return found;
      await this.#change();
    }
  }

  /** Resolves when a message of the kind was posted. */
  async message(type: FromWorker["type"]): Promise<void> {
    while (!this.posted.some((entry) => entry.type === type)) await this.#change();
  }

  /** A plain client of one of our sockets. */
  dial(port: number, address = this.address): Promise<Peer> {
    return connectPeer(address, port);
  }

  /** Resolves when a connection to the port was reset; rejects when it is served or ended in order. */
  resetBy(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = netConnect({ host: this.address, port });
      socket.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ECONNRESET") resolve();
        else reject(error);
      });
      socket.once("data", () => reject(new Error("served")));
      socket.once("end", () => reject(new Error("ended in order")));
    });
  }

  /** A TLS client; rejects when the handshake fails. */
  dialTls(
    port: number,
    options: ConnectionOptions,
    address = this.address,
  ): Promise<Peer & { readonly tls: TLSSocket }> {
    return new Promise((resolve, reject) => {
      const socket = tlsConnect({ host: address, port, checkServerIdentity: () => undefined, ...options }, () =>
        resolve(Object.assign(new Peer(socket), { tls: socket })),
      );
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed during the handshake")));
    });
  }

  close(): void {
    this.dataPath.close();
  }

  #received(message: FromWorker): void {
    this.posted.push(message);
    if (message.type === "series") this.#series.push(...message.series);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export function connectPeer(host: string, port: number): Promise<Peer> {
  return new Promise((resolve, reject) => {
    const socket = netConnect({ host, port, allowHalfOpen: true }, () => resolve(new Peer(socket)));
    socket.once("error", reject);
  });
}

/** A delta that changes nothing. */
export const EMPTY_DELTA: Omit<PlanDelta, "generation"> = {
  clusters: [],
  removedClusters: [],
  endpoints: [],
  routes: [],
  removedRoutes: [],
  listeners: [],
  removedListeners: [],
  secrets: [],
  names: undefined,
};

export const SELF: WorkerBootstrap["self"] = {
  workload: "web",
  namespace: "default",
  app: "web",
  version: "v1",
  canonicalService: "web",
  canonicalRevision: "v1",
  cluster: "local",
  principal: "spiffe://cluster.local/ns/default/sa/web",
  nodeId: "sidecar~127.0.0.1~web.default~default.svc.cluster.local",
};
