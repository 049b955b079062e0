import type { MeshService, ServiceEndpoint } from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { modeOn, peerPolicy } from "./policies.ts";
import { endpointsOfService, identitiesOfService, serviceFor } from "./services.ts";

/** A service as clients reach it: an alias of a known service has that service's endpoints and identities. */
export interface Destination {
  readonly service: MeshService;
  /** Whose endpoints these are: the service itself, or what it is an alias of. */
  readonly backend: MeshService;
}

/**
 * What clients of a namespace reach by a host. Follows at most one alias, as DNS names of services do not chain in Kubernetes
 * either.
 */
export const destinationByHost = defineQuery<
  { readonly host: string; readonly namespace: string },
  Destination | undefined
>({
  name: "destination",
  key: ({ host, namespace }) => `${namespace}/${host}`,
  compute: (read, { host, namespace }) => {
    const service = serviceFor(read, host, namespace);
    if (service === undefined) return undefined;
    const target = service.aliasOf === undefined ? undefined : serviceFor(read, service.aliasOf, namespace);
    if (target === undefined || target.resolution === "alias") return { service, backend: service };
    const { resolution, meshExternal, headless } = target;
    return { service: { ...service, resolution, meshExternal, headless }, backend: target };
  },
  equal: (before, after) => before?.service === after?.service && before?.backend === after?.backend,
});

/** Endpoints of one port of a destination, ready or not. */
export function endpointsOnPort(read: Read, destination: Destination, port: number): readonly ServiceEndpoint[] {
  const { service, backend } = destination;
  const named = backend.ports.find((candidate) => candidate.number === port);
  if (backend.resolution === "alias") return aliasEndpoints(service, port);
  return named === undefined
    ? []
    : read.ask(endpointsOfService, backend).filter((endpoint) => endpoint.portName === named.name);
}

/** An alias of a host outside the mesh is resolved by DNS. */
function aliasEndpoints(service: MeshService, port: number): readonly ServiceEndpoint[] {
  const named = service.ports.find((candidate) => candidate.number === port);
  if (service.aliasOf === undefined || named === undefined) return [];
  return [
    {
      address: service.aliasOf,
      port,
      portName: named.name,
      ready: true,
      labels: {},
      serviceAccount: "",
      namespace: service.namespace,
      workload: "",
      locality: "",
      network: "",
      weight: 1,
      tlsMode: "disabled",
    },
  ];
}

/** Identities a client accepts from a destination. */
export function identitiesOf(read: Read, destination: Destination): readonly string[] {
  return read.ask(identitiesOfService, destination.backend);
}

/** Whether mesh mTLS is to be used towards an endpoint: it has a sidecar that does not refuse it. */
export function acceptsMtls(read: Read, endpoint: ServiceEndpoint): boolean {
  if (endpoint.tlsMode !== "istio") return false;
  const { namespace, labels } = endpoint;
  return modeOn(read.ask(peerPolicy, { namespace, labels }), endpoint.port) !== "DISABLE";
}
