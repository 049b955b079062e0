import { isIp, type ServiceEndpoint } from "@lateen/mesh-model";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { type LocalityPreference, localityGroups } from "./localities.ts";
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

/** Whether an endpoint can come by EDS, which resolves no names: one that cannot would have the whole assignment refused. */
export function hasIpAddress({ endpoint: { address } }: PlacedEndpoint): boolean {
  return isIp(address);
}

/**
 * Endpoints by locality, in the order of priority and name.
 * @param preference how the client prefers localities; without it all are equal, by their weights.
 * @see envoy.config.endpoint.v3.ClusterLoadAssignment
 */
export function loadAssignment(
  cluster: string,
  placed: readonly PlacedEndpoint[],
  preference?: LocalityPreference,
): ClusterLoadAssignment {
  return ClusterLoadAssignment.fromPartial({
    clusterName: cluster,
    endpoints: localityGroups(placed, preference).map(({ locality, entries, weight, priority }) => {
      const [region = "", zone = "", subZone = ""] = locality.split("/");
      return {
        locality: { region, zone, subZone },
        lbEndpoints: entries.map(lbEndpoint),
        loadBalancingWeight: weight,
        priority,
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
