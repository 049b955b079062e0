import type { WorkloadFacts } from "../config/plan.ts";

/** Who talked to whom, as Istio's standard metrics label it. */
export interface MetricParties {
  readonly reporter: "source" | "destination";
  readonly source: WorkloadFacts | undefined;
  readonly destination: WorkloadFacts | undefined;
  readonly sourcePrincipal: string;
  readonly destinationPrincipal: string;
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string };
  readonly securityPolicy: "unknown" | "mutual_tls" | "none";
}

/** Labels of the `istio_tcp_*` metrics. What is not known is `unknown`. */
export function tcpLabels(parties: MetricParties, flags: string): Readonly<Record<string, string>> {
  const { source, destination, service } = parties;
  return {
    reporter: parties.reporter,
    source_workload: known(source?.workload),
    source_canonical_service: known(source?.canonicalService),
    source_canonical_revision: revision(source),
    source_workload_namespace: known(source?.namespace),
    source_principal: known(parties.sourcePrincipal),
    source_app: known(source?.app),
    source_version: known(source?.version),
    source_cluster: known(source?.cluster),
    destination_workload: known(destination?.workload),
    destination_workload_namespace: known(destination?.namespace),
    destination_principal: known(parties.destinationPrincipal),
    destination_app: known(destination?.app),
    destination_version: known(destination?.version),
    destination_service: known(service.host),
    destination_canonical_service: known(destination?.canonicalService),
    destination_canonical_revision: revision(destination),
    destination_service_name: known(service.name),
    destination_service_namespace: known(service.namespace),
    destination_cluster: known(destination?.cluster),
    request_protocol: "tcp",
    response_flags: flags === "" ? "-" : flags,
    connection_security_policy: parties.securityPolicy,
  };
}

function known(value: string | undefined): string {
  return value === undefined || value === "" ? "unknown" : value;
}

/** Without a revision, and of a workload that is not known, Istio says `latest`. */
function revision(workload: WorkloadFacts | undefined): string {
  return workload?.canonicalRevision || "latest";
}
