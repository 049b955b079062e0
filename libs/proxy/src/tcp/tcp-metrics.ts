import type { ConnectionLogFacts } from "../access-log/facts.ts";
import type { MetricsSpec, WorkloadFacts } from "../config/plan.ts";
import { CustomMetrics } from "../stats/custom-metrics.ts";
import { type MetricParties, tcpLabels } from "../stats/istio-labels.ts";
import type { Slots } from "../stats/slots.ts";
import type { Cluster } from "../upstream/cluster.ts";

/** Slots of Istio's four TCP metrics for one pair of parties and one outcome. */
export interface TcpSeries {
  /** -1: this one is not reported. */
  readonly opened: number;
  readonly closed: number;
  readonly sent: number;
  readonly received: number;
}

/** The four, without `istio_`. */
const METRICS = {
  opened: "tcp_connections_opened_total",
  closed: "tcp_connections_closed_total",
  sent: "tcp_sent_bytes_total",
  received: "tcp_received_bytes_total",
} as const;

/** Who is at both ends of a proxied connection, as far as this proxy knows. */
export interface TcpParties {
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly clusterName: string;
  readonly cluster: Cluster | undefined;
  /** Workload of the chosen endpoint (outbound). */
  readonly destination: WorkloadFacts | undefined;
  /** Verified principal of the mesh peer: the client (inbound) or the endpoint (outbound); undefined without mutual TLS. */
  readonly peerPrincipal: string | undefined;
}

/** Most pairs that are remembered; beyond it series are looked up anew, which only costs time. */
const MAX_REMEMBERED = 4096;
const UNMATCHED: ReadonlySet<string> = new Set(["PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"]);

/**
 * `istio_tcp_connections_opened_total`, `…_closed_total`, `istio_tcp_sent_bytes_total` (towards the client) and
 * `istio_tcp_received_bytes_total` (from it), with Istio's labels.
 */
export class TcpMetrics {
  readonly #slots: Slots;
  readonly #self: WorkloadFacts & { readonly principal: string };
  readonly #known = new Map<string, TcpSeries>();
  readonly #custom: CustomMetrics | undefined;

  /** @param spec how the metrics differ from the standard ones. */
  constructor(slots: Slots, self: WorkloadFacts & { readonly principal: string }, spec: MetricsSpec = {}) {
    this.#slots = slots;
    this.#self = self;
    this.#custom = spec.changes === undefined ? undefined : new CustomMetrics(spec, Object.values(METRICS));
  }

  add(slot: number, amount: number): void {
    if (slot >= 0) this.#slots.add(slot, amount);
  }

  /** @param facts what labels of one's own are made of; not looked at without any. */
  series(parties: TcpParties, flags: string, facts: () => ConnectionLogFacts): TcpSeries {
    const labels = tcpLabels(this.#parties(parties), flags);
    const values = this.#custom?.values(facts()) ?? [];
    const key = [...Object.values(labels), ...values].join("\n");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const slot = (metric: (typeof METRICS)[keyof typeof METRICS]): number => {
      if (this.#custom === undefined) return this.#slots.counter(`istio_${metric}`, labels);
      if (this.#custom.dropped(metric)) return -1;
      return this.#slots.counter(`istio_${metric}`, this.#custom.labels(metric, labels, values));
    };
    const series: TcpSeries = {
      opened: slot(METRICS.opened),
      closed: slot(METRICS.closed),
      sent: slot(METRICS.sent),
      received: slot(METRICS.received),
    };
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
    this.#known.set(key, series);
    return series;
  }

  #parties({ direction, cluster, clusterName, destination, peerPrincipal }: TcpParties): MetricParties {
    const self = this.#self;
    const service = serviceOf(clusterName, cluster);
    const own = peerPrincipal === undefined ? "" : self.principal;
    if (direction === "inbound") {
      return {
        reporter: "destination",
        source: workloadOfPrincipal(peerPrincipal),
        destination: self,
        sourcePrincipal: peerPrincipal ?? "",
        destinationPrincipal: own,
        service: service.namespace === "" ? { ...service, namespace: self.namespace } : service,
        securityPolicy: peerPrincipal === undefined ? "none" : "mutual_tls",
      };
    }
    return {
      reporter: "source",
      source: self,
      destination,
      sourcePrincipal: own,
      destinationPrincipal: peerPrincipal ?? "",
      service,
      securityPolicy: "unknown",
    };
  }
}

function serviceOf(clusterName: string, cluster: Cluster | undefined): MetricParties["service"] {
  const known = cluster?.spec.destinationService;
  if (known !== undefined) return known;
  if (UNMATCHED.has(clusterName)) return { host: "", name: clusterName, namespace: "" };
  // `outbound|9000|v1|tcp-echo.default.svc.cluster.local`
  const host = clusterName.split("|")[3] ?? "";
  return { host, name: host.split(".", 1).join(""), namespace: "" };
}

/** Without an exchange of metadata, a mesh peer's namespace is all that its certificate tells. */
export function workloadOfPrincipal(principal: string | undefined): WorkloadFacts | undefined {
  const namespace = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/[^/]+$/.exec(principal ?? "")?.[1];
  if (namespace === undefined) return undefined;
  return {
    workload: "",
    namespace,
    app: "",
    version: "",
    canonicalService: "",
    canonicalRevision: "",
    cluster: "",
  };
}
