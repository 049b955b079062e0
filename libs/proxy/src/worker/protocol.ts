import type { PlanDelta, WorkloadFacts } from "../config/plan.ts";
import type { IoBackend, IoChoice } from "../io/backend.ts";
import type { PeerNote } from "../upstream/peers.ts";

/** Who this proxy is. */
export type SelfFacts = WorkloadFacts & {
  readonly principal: string;
  readonly nodeId: string;
  /** Cluster of proxies it belongs to, as its node says; absent: its service and namespace. */
  readonly nodeCluster?: string;
};

/**
 * What agent thread and data-path worker say to each other. Messages are structured-clone safe; counters live in shared memory
 * (see stats/slots.ts) and are never posted.
 */
export interface WorkerBootstrap {
  /** This proxy's own facts, for metric labels and peer metadata. */
  readonly self: SelfFacts;
  readonly role: "sidecar" | "gateway";
  readonly capture: CaptureSpec;
  /** xDS listener port → where its socket is really bound. A port without an entry binds at `bindAddress` on its own number. */
  readonly bindMap: readonly { readonly port: number; readonly address: string; readonly bindPort: number }[];
  /** Address for listeners that xDS puts on 0.0.0.0. */
  readonly bindAddress: string;
  /** Added to ports below 1024 that have no entry in bindMap (local gateways run without root). */
  readonly lowPortOffset: number;
  /** Number of this worker, from 0; with more than one, listening sockets use reusePort. */
  readonly index: number;
  readonly workers: number;
  readonly limits: { readonly maxConnections: number };
  /** How long connections of a listener or chain that is no longer in force may go on; default {@link DRAIN_MS}. */
  readonly drainMs?: number;
  /** How sockets are read and written. Default: `auto`. */
  readonly io?: IoChoice;
  /** Records of requests kept to be explained; see explain/recent-requests.ts. 0: none. Default 256. */
  readonly recentRequests?: number;
  readonly stats: SharedStats;
  /** Memory that access-log lines are handed over in (access-log/log-chunks.ts); absent: nobody takes them. */
  readonly logs?: SharedArrayBuffer;
  /** Memory of the cells that all workers share (stats/shared-cells.ts); absent: this worker is the only one. */
  readonly cells?: SharedArrayBuffer;
  /** Memory of the load on clusters that all workers share (upstream/shared-load.ts); absent: this worker counts for itself. */
  readonly loads?: SharedArrayBuffer;
}

/** Envoy's `--drain-time-s`, as Istio sets it. */
export const DRAIN_MS = 45_000;

/** How traffic reaches the proxy. All addresses are IPs. */
export type CaptureSpec =
  | { readonly mode: "none" }
  /** Connections are redirected by the kernel, which knows where they were sent to; see `@lateen/capture`. */
  | {
      readonly mode: "kernel";
      /** The pod's addresses; nothing else is dialled for an inbound connection. Empty: whatever it was sent to. */
      readonly addresses: readonly string[];
      /** Container ports whose application listens somewhere else than at the pod's address. */
      readonly inbound: readonly InboundMapping[];
      readonly virtualRanges?: readonly string[];
    }
  | {
      readonly mode: "proxy-env";
      /** The pod's address. Inbound connections to `address:containerPort` are handed to virtualInbound with that original destination. */
      readonly address: string;
      readonly inbound: readonly InboundMapping[];
      /** The explicit HTTP proxy (absolute-form and CONNECT) that `http_proxy` names; normally address:15001. */
      readonly explicitProxy: { readonly address: string; readonly port: number };
      /** TCP (or any) services handed out as SVC_SERVICE_HOST/_PORT: a connection here has original destination `host:port`. */
      readonly services: readonly {
        readonly address: string;
        readonly port: number;
        readonly host: string;
        readonly destinationPort: number;
      }[];
      /** Ranges of service addresses, at which nothing listens: what no listener takes is refused and not sent there. */
      readonly virtualRanges?: readonly string[];
    };

/** A container port and its application. */
export interface InboundMapping {
  readonly containerPort: number;
  /** Where the application really listens: what an inbound ORIGINAL_DST upstream to `address:containerPort` dials. */
  readonly appAddress: string;
  readonly appPort: number;
}

/** Shared memory for counters. `values` holds Float64 slots; the worker owns allocation and tells names by `series`. */
export interface SharedStats {
  readonly values: SharedArrayBuffer;
}

/** A named series the worker made; `slot` is its first Float64 index, `length` slots belong to it (histograms: buckets, then sum). */
export interface SeriesDefinition {
  /** The value of all workers is the largest of theirs, not the sum: each says what it sees of one common state. */
  readonly common?: boolean;
  readonly slot: number;
  readonly length: number;
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  /** Upper bounds of a histogram, without +Inf. */
  readonly bounds?: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
}

export type ToWorker =
  /** `loads`: places of the delta's clusters in the memory of loads. */
  | { readonly type: "plan"; readonly delta: PlanDelta; readonly loads?: Readonly<Record<string, number>> }
  /** This worker asks endpoints whether they are well, for all, and says at once what it knows. */
  | { readonly type: "probe" }
  /** What another worker has found out about upstreams. */
  | { readonly type: "notes"; readonly notes: readonly PeerNote[] }
  /** Stop accepting, answer with `connection: close`, finish within `timeoutMs`, then report `drained`. */
  | { readonly type: "drain"; readonly timeoutMs: number }
  /** Ask for a report, answered by `report` with the same id. */
  | { readonly type: "inspect"; readonly id: number; readonly what: Inspected }
  /** Record requests that go well, too, for so long; 0 ends it. */
  | { readonly type: "keepRequests"; readonly forMs: number };

/** What a worker can be asked for. */
export type Inspected = "listeners" | "clusters" | "requests" | "connections" | "memory";

export type FromWorker =
  /** The worker takes plans. `reason`: why it does without stream handles. */
  | { readonly type: "ready"; readonly io?: IoBackend["kind"]; readonly reason?: string }
  /** The delta is live; `failures` names resources that could not be put in force (port in use, bad certificate …) with the reason. */
  | {
      readonly type: "applied";
      readonly generation: number;
      readonly failures: readonly ApplyFailure[];
      readonly bound: readonly BoundAddress[];
    }
  | { readonly type: "series"; readonly series: readonly SeriesDefinition[] }
  /** Finished access-log lines for one file sink: the first `length` bytes of a chunk, which is to be given back (access-log/log-chunks.ts). */
  | { readonly type: "log"; readonly path: string; readonly chunk: number; readonly length: number }
  /** Records for a gRPC access-log sink. */
  | {
      readonly type: "records";
      readonly cluster: string;
      readonly logName: string;
      readonly records: readonly AccessRecord[];
      readonly dropped: number;
    }
  /** For the other workers. */
  | { readonly type: "notes"; readonly notes: readonly PeerNote[] }
  | { readonly type: "drained" }
  /** Something that should not happen did, on one connection, which was closed for it. */
  | { readonly type: "defect"; readonly message: string; readonly stack: string }
  | { readonly type: "report"; readonly id: number; readonly report: unknown };

export interface ApplyFailure {
  readonly resource: "cluster" | "listener" | "route" | "secret";
  readonly name: string;
  readonly reason: string;
}
export interface BoundAddress {
  readonly listener: string;
  readonly address: string;
  readonly port: number;
}

/** One finished request or connection, as access-log services receive it. Times are epoch milliseconds. */
export interface AccessRecord {
  readonly startTimeMs: number;
  readonly durationMs: number;
  readonly protocol: "http/1.0" | "http/1.1" | "http/2" | "tcp";
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly requestId: string;
  readonly userAgent: string;
  readonly responseCode: number;
  readonly responseFlags: string;
  readonly responseDetails: string;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly upstreamCluster: string;
  readonly upstreamHost: string;
  readonly routeName: string;
  readonly downstreamRemoteAddress: string;
  readonly downstreamLocalAddress: string;
  readonly peerPrincipal: string;
  readonly localPrincipal: string;
  readonly reporter: "source" | "destination";
  readonly source: WorkloadFacts | undefined;
  readonly destination: WorkloadFacts | undefined;
  readonly destinationService: string;
}
