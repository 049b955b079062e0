import type { DnsServer } from "@lateen/dns";
import type { Clock, Logger, Random, Scope } from "@lateen/kernel";
import type { ProjectedFiles } from "@lateen/pki";
import type { ChannelOptions, ConnectAds, SignCsr } from "@lateen/ports";
import type { StreamAccessLogsMessage } from "@lateen/proto/envoy/service/accesslog/v3/als";
import type { AppProbe } from "../admin/app-health.ts";
import type { AppMetrics } from "../admin/app-metrics.ts";
import type { HttpFilterFactory, NetworkFilterFactory } from "../chain/spi.ts";
import type { IoChoice } from "../io/backend.ts";
import type { CollectHeap } from "../worker/spare-heap.ts";
import type { ProbeSpec } from "./probe-spec.ts";

/** How much the proxy's own log says. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** Who this proxy is. Comes from the environment that an injector (or the local supervisor) sets. */
export interface ProxyFacts {
  readonly role: "sidecar" | "router";
  readonly podName: string;
  readonly namespace: string;
  readonly instanceIp: string;
  readonly serviceAccount: string;
  readonly workloadName: string;
  readonly clusterId: string;
  readonly meshId: string;
  readonly trustDomain: string;
  /** Domain of Kubernetes services, `cluster.local`. */
  readonly domain: string;
  readonly labels: Readonly<Record<string, string>>;
  /** As Istio's injector writes it: a list of container ports. */
  readonly podPorts: readonly unknown[];
  /** Further metadata for the node, taken as it is (keys as Istio's agents send them). */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Answering names for programs whose queries are redirected. */
export interface DnsConfig {
  /** On the loopback addresses; 0 takes a free one. */
  readonly port: number;
  /** Resolvers for what the mesh does not know; empty: those of /etc/resolv.conf. */
  readonly servers: readonly DnsServer[];
  /** Names below it that the mesh does not know do not exist. Undefined: others are asked. */
  readonly zone: string | undefined;
}

/** How the agent is set up; ports that are undefined are not opened. */
export interface AgentConfig {
  readonly facts: ProxyFacts;
  /** How the workload is asked whether it is well; undefined: it is not asked. */
  readonly workloadProbe?: ProbeSpec | undefined;
  /** Holds token and root-cert.pem; receives key.pem, cert-chain.pem and last-good/. Without it there is no identity and no memory. */
  readonly runDir: string | undefined;
  /** `host:port` of the xDS server; undefined: static configuration only. */
  readonly discoveryAddress: string | undefined;
  readonly caAddress: string | undefined;
  /** Access-log service; undefined: gRPC access-log records are dropped and counted. */
  readonly telemetryAddress: string | undefined;
  /** DNS name the control plane's certificates carry. */
  readonly serverName: string;
  /** The same of the CA's. Default: {@link serverName}. */
  readonly caServerName?: string;
  /** The same of the access-log service's. Default: {@link serverName}. */
  readonly telemetryServerName?: string;
  /** JSON file with capture, bindMap, bindAddress and lowPortOffset. */
  readonly captureFile: string | undefined;
  /** Envoy bootstrap, YAML or JSON. */
  readonly envoyConfigFile: string | undefined;
  /** Must be loopback. Undefined: as the bootstrap says, else 127.0.0.1. */
  readonly adminAddress: string | undefined;
  /** Where status, health and statistics are served. Undefined: where the admin interface is. */
  readonly statusAddress: string | undefined;
  /** Undefined: as the bootstrap says, else not opened. */
  readonly adminPort: number | undefined;
  readonly statusPort: number | undefined;
  readonly healthPort: number | undefined;
  readonly statsPort: number | undefined;
  /** A unix socket on which the admin interface is served as well, for whoever may open it. */
  readonly adminSocket?: string | undefined;
  /** The DNS proxy; undefined: none. */
  readonly dns?: DnsConfig | undefined;
  /** Probes of the application, by the path under which the status port makes them. */
  readonly appProbes?: ReadonlyMap<string, AppProbe>;
  /** Where the application serves metrics; undefined: it has none, or they are scraped from itself. */
  readonly appMetrics?: AppMetrics | undefined;
  /** Where the platform puts what belongs into the run directory; undefined: there. */
  readonly projected?: ProjectedFiles;
  /** Number of data-path threads. */
  readonly concurrency: number;
  /** Downstream connections one thread holds at most. */
  readonly maxConnections: number;
  /** How workers read and write sockets. Default: `auto`. */
  readonly io?: IoChoice;
  /** Records that one thread keeps of requests that failed or that it answered itself. 0: none. Default 256. */
  readonly recentRequests?: number;
  /** Validity asked of the CA. */
  readonly certTtlMs: number;
  /** Serve `/memory/threads`, which stops all threads for some 10 ms at every call. Default: false. */
  readonly heapReport?: boolean;
  /** How long a drain waits for requests in flight. Default of Istio's terminationDrainDuration: 5 s. */
  readonly drainTimeMs: number;
  /** How long connections of a listener that is no longer in force may go on. Default of Istio's drainDuration: 45 s. */
  readonly drainDurationMs?: number;
  /** Version told to the control plane and by /server_info. */
  readonly version: string;
  readonly logLevel: LogLevel;
}

/** The network towards the control plane. Implemented by adapter-grpc. */
export interface ControlPlaneClients {
  readonly connectAds: ConnectAds;
  readonly signCsr: SignCsr;
  /** Keeps an access-log stream open; `send` says false when the message was not taken. */
  readonly connectAls: (scope: Scope, channel: ChannelOptions) => { send(message: StreamAccessLogsMessage): boolean };
}

/** What the agent cannot bring itself: time, chance, the network towards the control plane, the filters. */
export interface AgentDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly httpFilters: readonly HttpFilterFactory[];
  readonly networkFilters: readonly NetworkFilterFactory[];
  /** Module of the data-path worker. */
  readonly workerEntry: URL;
  /** Loads the way to the control plane; called only when there is one, because gRPC is a large part of a small process. */
  readonly loadClients: () => Promise<ControlPlaneClients>;
  /** Changes the level of the program's logger; undefined when it cannot be changed. */
  readonly setLogLevel?: (level: LogLevel) => void;
  /** Collects the garbage that decoding configuration leaves behind. Default: V8 does when it thinks fit. */
  readonly collectHeap?: CollectHeap;
  /** Ends the program as SIGTERM does. */
  readonly quit: () => void;
}
