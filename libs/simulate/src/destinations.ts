import type { ClusterSpec, EndpointSpec, LocalityEndpointsSpec, UpstreamTransportSpec } from "@lateen/proxy";
import { objectOfConfig } from "./objects.ts";
import type { SimulatedProxy } from "./proxy-resources.ts";
import type { ConnectionInput, DestinationFacts, EndpointFacts, HeaderChange } from "./trace.ts";

/** A cluster that a route or chain names. */
export interface Target {
  readonly cluster: string;
  readonly share: number;
  readonly authority?: string | undefined;
  readonly requestEdits?: readonly HeaderChange[];
  readonly responseEdits?: readonly HeaderChange[];
  readonly missingStatus?: number;
}

/** Where a cluster leads. */
export function destinations(proxy: SimulatedProxy, target: Target, connection: ConnectionInput): DestinationFacts {
  const { cluster: name, share, authority, requestEdits = [], responseEdits = [], missingStatus = 503 } = target;
  const base = { cluster: name, share, authority, requestEdits, responseEdits, missingStatus };
  const nothing = { object: undefined, endpoints: [] };
  const found = proxy.cluster(name);
  if (found === undefined) return { ...base, exists: false, refused: undefined, ...nothing };
  if (!found.ok) return { ...base, exists: true, refused: found.reason, ...nothing };
  const { spec, edsName } = found.value;
  const groups = edsName === undefined ? { ok: true as const, value: spec.endpoints } : proxy.endpoints(edsName);
  if (!groups.ok) return { ...base, exists: true, refused: groups.reason, ...nothing };
  // Who asks for a host has looked it up just as the proxy does.
  const asAsked = spec.discovery === "originalDst" || spec.discovery === "dynamicForward";
  const listed = asAsked ? [original(connection)] : groups.value;
  return {
    ...base,
    exists: true,
    refused: undefined,
    object: objectOfConfig(spec.origin),
    endpoints: listed.flatMap((group) => group.endpoints.map((endpoint) => endpointFacts(spec, group, endpoint))),
  };
}

/** A cluster without endpoints of its own goes on to where the connection was headed. */
function original({ destinationAddress, destinationPort }: ConnectionInput): LocalityEndpointsSpec {
  const endpoint: EndpointSpec = {
    address: destinationAddress,
    port: destinationPort,
    weight: 1,
    healthy: true,
    transportSocketMatch: {},
    workload: undefined,
  };
  return { region: "", zone: "", subZone: "", weight: undefined, priority: 0, endpoints: [endpoint] };
}

function endpointFacts(cluster: ClusterSpec, group: LocalityEndpointsSpec, endpoint: EndpointSpec): EndpointFacts {
  const transport = transportTo(cluster, endpoint);
  const { workload } = endpoint;
  return {
    address: endpoint.address,
    port: endpoint.port,
    priority: group.priority,
    healthy: endpoint.healthy,
    workload:
      workload === undefined || workload.workload === "" ? undefined : `${workload.namespace}/${workload.workload}`,
    tls: transport.kind === "raw" ? "none" : transport.certificateSecret === "default" ? "mesh mTLS" : "tls",
    serverName: transport.kind === "raw" ? undefined : transport.sni,
    applicationProtocols: transport.kind === "raw" ? [] : transport.alpn,
  };
}

/** @see envoy.config.cluster.v3.Cluster transport_socket_matches */
function transportTo(cluster: ClusterSpec, endpoint: EndpointSpec): UpstreamTransportSpec {
  const matches = cluster.transportMatches.find(({ match }) =>
    Object.entries(match).every(([key, value]) => endpoint.transportSocketMatch[key] === value),
  );
  return matches?.transport ?? cluster.transport;
}
