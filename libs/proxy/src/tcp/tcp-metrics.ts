import type { WorkloadFacts } from "../config/plan.ts";
import { type MetricParties, tcpLabels } from "../stats/istio-labels.ts";
import type { Slots } from "../stats/slots.ts";
import type { Cluster } from "../upstream/cluster.ts";

/** Slots of Istio's four TCP metrics for one pair of parties and one outcome. */
export interface TcpSeries {
  readonly opened: number;
  readonly closed: number;
  readonly sent: number;
  readonly received: number;
}

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

  constructor(slots: Slots, self: WorkloadFacts & { readonly principal: string }) {
    this.#slots = slots;
    this.#self = self;
  }

  series(parties: TcpParties, flags: string): TcpSeries {
    const labels = tcpLabels(this.#parties(parties), flags);
    const key = Object.values(labels).join("\n");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const series: TcpSeries = {
      opened: this.#slots.counter("istio_tcp_connections_opened_total", labels),
      closed: this.#slots.counter("istio_tcp_connections_closed_total", labels),
      sent: this.#slots.counter("istio_tcp_sent_bytes_total", labels),
      received: this.#slots.counter("istio_tcp_received_bytes_total", labels),
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
