import type { Metadata } from "@lateen/proto/envoy/config/core/v3/base";
import { HealthStatus } from "@lateen/proto/envoy/config/core/v3/health_check";
import type { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import type { LbEndpoint, LocalityLbEndpoints } from "@lateen/proto/envoy/config/endpoint/v3/endpoint_components";
import type { EndpointSpec, LocalityEndpointsSpec, WorkloadFacts } from "../plan.ts";
import { join, onlyFields, portNumber, refuse } from "./fields.ts";
import { filterMetadata, stringEntries } from "./metadata.ts";

/** The localities of an assignment. @see envoy.config.endpoint.v3.ClusterLoadAssignment */
export function localities(assignment: ClusterLoadAssignment, at: string): readonly LocalityEndpointsSpec[] {
  onlyFields(assignment, at, ["clusterName", "endpoints", "policy"]);
  const policy = assignment.policy;
  if (policy !== undefined) {
    onlyFields(policy, join(at, "policy"), ["overprovisioningFactor", "endpointStaleAfter"]);
  }
  const overprovisioning = (policy?.overprovisioningFactor ?? 140) / 100;
  if (!(overprovisioning > 0)) refuse(join(at, "policy.overprovisioning_factor"), "must be greater than 0");
  return assignment.endpoints.map((group, index) => ({
    ...locality(group, join(at, `endpoints[${index}]`)),
    ...(overprovisioning === 1.4 ? {} : { overprovisioning }),
  }));
}

function locality(group: LocalityLbEndpoints, at: string): LocalityEndpointsSpec {
  onlyFields(group, at, ["locality", "metadata", "lbEndpoints", "loadBalancingWeight", "priority", "proximity"]);
  return {
    region: group.locality?.region ?? "",
    zone: group.locality?.zone ?? "",
    subZone: group.locality?.subZone ?? "",
    weight: group.loadBalancingWeight,
    priority: group.priority,
    endpoints: group.lbEndpoints.map((entry, index) => endpoint(entry, join(at, `lb_endpoints[${index}]`))),
  };
}

function endpoint(entry: LbEndpoint, at: string): EndpointSpec {
  if (entry.hostIdentifier?.$case !== "endpoint") return refuse(at, "endpoint is required");
  const address = entry.hostIdentifier.value.address?.address;
  if (address?.$case !== "socketAddress") {
    return refuse(join(at, "endpoint.address"), `${address?.$case ?? "no address"} is not supported by this proxy`);
  }
  const port = address.value.portSpecifier;
  if (port?.$case !== "portValue") return refuse(join(at, "endpoint.address"), "port_value is required");
  return {
    address: address.value.address,
    port: portNumber(port.value, join(at, "endpoint.address")),
    weight: entry.loadBalancingWeight ?? 1,
    healthy: usable(entry.healthStatus),
    transportSocketMatch: stringEntries(filterMetadata(entry.metadata, "envoy.transport_socket_match")),
    workload: workloadFacts(entry.metadata),
    ...hashKey(entry.metadata),
  };
}

/** Where the endpoint stands on a ring, when not by its address. */
function hashKey(metadata: Metadata | undefined): Pick<EndpointSpec, "hashKey"> {
  const key = filterMetadata(metadata, "envoy.lb").hash_key;
  return typeof key === "string" && key !== "" ? { hashKey: key } : {};
}

function usable(status: HealthStatus): boolean {
  return status === HealthStatus.UNKNOWN || status === HealthStatus.HEALTHY || status === HealthStatus.DEGRADED;
}

/** `istio.workload` = `workload;namespace;canonical name;canonical revision;cluster`, and our own `lateen` {app, version}. */
function workloadFacts(metadata: Metadata | undefined): WorkloadFacts | undefined {
  const packed = filterMetadata(metadata, "istio").workload;
  if (typeof packed !== "string") return undefined;
  const [workload = "", namespace = "", canonicalService = "", canonicalRevision = "", cluster = ""] =
    packed.split(";");
  const own = stringEntries(filterMetadata(metadata, "lateen"));
  return {
    workload,
    namespace,
    canonicalService,
    canonicalRevision,
    cluster,
    app: own.app ?? "",
    version: own.version ?? "",
  };
}
