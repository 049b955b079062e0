import type { ClusterSpec, FilterContext, WorkloadFacts } from "@lateen/proxy";

/** Who talked to whom, under the label names of Istio's standard metrics, in their usual order. */
export type CallLabels = Readonly<Record<string, string>>;

export const UNKNOWN = "unknown";

export interface Destination {
  readonly service: string;
  readonly name: string;
  readonly namespace: string;
}

export interface Call {
  readonly reporter: "source" | "destination";
  readonly self: FilterContext["self"];
  /** The workload at the other end. */
  readonly other: WorkloadFacts | undefined;
  /** Verified principal of the other end; undefined: the connection is not mutual TLS. */
  readonly principal: string | undefined;
  readonly destination: Destination;
}

/** Labels of a call, everything but request protocol and outcome. */
export function callLabels(call: Call): CallLabels {
  const { reporter, self, principal, destination } = call;
  const other = call.other ?? namespaceOnly(principal);
  const [source, target] = reporter === "source" ? [self, other] : [other, self];
  const [sourcePrincipal, targetPrincipal] =
    reporter === "source" ? [self.principal, principal] : [principal, self.principal];
  const secure = principal !== undefined;
  return {
    reporter,
    source_workload: known(source.workload),
    source_canonical_service: known(source.canonicalService),
    source_canonical_revision: source.canonicalRevision || "latest",
    source_workload_namespace: known(source.namespace),
    source_principal: secure ? known(sourcePrincipal) : UNKNOWN,
    source_app: known(source.app),
    source_version: known(source.version),
    source_cluster: known(source.cluster),
    destination_workload: known(target.workload),
    destination_workload_namespace: known(target.namespace),
    destination_principal: secure ? known(targetPrincipal) : UNKNOWN,
    destination_app: known(target.app),
    destination_version: known(target.version),
    destination_service: known(destination.service),
    destination_canonical_service: known(target.canonicalService),
    destination_canonical_revision: target.canonicalRevision || "latest",
    destination_service_name: known(destination.name),
    destination_service_namespace: destination.namespace || known(target.namespace),
    destination_cluster: known(target.cluster),
    // The client side does not tell, as in Istio: what counts is what the server saw.
    connection_security_policy: reporter === "source" ? UNKNOWN : secure ? "mutual_tls" : "none",
  };
}

/** Clusters that stand for traffic outside the service registry; their name is the service name. */
const UNMATCHED: ReadonlySet<string> = new Set(["PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"]);

export function isUnmatched(cluster: string): boolean {
  return UNMATCHED.has(cluster);
}

/**
 * The service a cluster stands for.
 * @param host what the client asked for, for clusters that stand for any destination; empty when it must not be trusted.
 */
export function destinationOf(cluster: ClusterSpec | undefined, host: string): Destination {
  if (cluster === undefined) return { service: host, name: host, namespace: "" };
  const service = cluster.destinationService;
  if (service !== undefined) return { service: service.host, name: service.name, namespace: service.namespace };
  if (isUnmatched(cluster.name)) return { service: host, name: cluster.name, namespace: UNKNOWN };
  // `outbound|80|v1|reviews.default.svc.cluster.local`
  const named = cluster.name.split("|")[3] ?? "";
  return { service: named || host, name: named.split(".", 1).join("") || host, namespace: "" };
}

function known(value: string | undefined): string {
  return value === undefined || value === "" ? UNKNOWN : value;
}

/** Of a peer that tells nothing, a certificate names at least the namespace. */
function namespaceOnly(principal: string | undefined): WorkloadFacts {
  const namespace = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/[^/]+$/.exec(principal ?? "")?.[1];
  return namespace === undefined ? NOBODY : { ...NOBODY, namespace };
}

const NOBODY: WorkloadFacts = {
  workload: "",
  namespace: "",
  app: "",
  version: "",
  canonicalService: "",
  canonicalRevision: "",
  cluster: "",
};
