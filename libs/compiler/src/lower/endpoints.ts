import type { ServiceEndpoint } from "@lateen/mesh-model";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { type Labels, labelsMatch, socketAddress, sortedRecord } from "./proto.ts";

/** What the caller has decided about one endpoint. */
export interface PlacedEndpoint {
  readonly endpoint: ServiceEndpoint;
  /** The client shall use mesh mTLS. */
  readonly mtls: boolean;
  /** Value of metadata `istio.workload`. */
  readonly workload: string;
}

/** Endpoints that carry the subset's labels and may get traffic. Unix sockets are not reachable over the mesh. */
export function selectEndpoints(endpoints: readonly ServiceEndpoint[], subset: Labels): readonly ServiceEndpoint[] {
  return endpoints.filter(
    (endpoint) => endpoint.ready && !endpoint.address.startsWith("unix:") && labelsMatch(subset, endpoint.labels),
  );
}

/** Groups endpoints by locality, in name order, weights summed. @see envoy.config.endpoint.v3.ClusterLoadAssignment */
export function loadAssignment(cluster: string, placed: readonly PlacedEndpoint[]): ClusterLoadAssignment {
  const byLocality = new Map<string, PlacedEndpoint[]>();
  for (const entry of placed) {
    const list = byLocality.get(entry.endpoint.locality) ?? [];
    byLocality.set(entry.endpoint.locality, list);
    list.push(entry);
  }
  const localities = [...byLocality.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
  return ClusterLoadAssignment.fromPartial({
    clusterName: cluster,
    endpoints: localities.map(([locality, entries]) => {
      const [region = "", zone = "", subZone = ""] = locality.split("/");
      return {
        locality: { region, zone, subZone },
        lbEndpoints: entries.map(lbEndpoint),
        loadBalancingWeight: entries.reduce((sum, entry) => sum + weightOf(entry.endpoint), 0),
      };
    }),
  });
}

function weightOf(endpoint: ServiceEndpoint): number {
  return Math.max(1, endpoint.weight);
}

function lbEndpoint({ endpoint, mtls, workload }: PlacedEndpoint) {
  const metadata: Record<string, Record<string, string>> = {};
  if (mtls) metadata["envoy.transport_socket_match"] = { tlsMode: "istio" };
  if (endpoint.workload !== "") {
    metadata.istio = { workload };
    metadata.lateen = sortedRecord({
      app: endpoint.labels.app ?? "",
      version: endpoint.labels.version ?? "",
    });
  }
  return {
    hostIdentifier: {
      $case: "endpoint",
      value: { address: socketAddress(endpoint.address, endpoint.port) },
    } as const,
    ...(Object.keys(metadata).length > 0 ? { metadata: { filterMetadata: sortedRecord(metadata) } } : {}),
    loadBalancingWeight: weightOf(endpoint),
  };
}
