import {
  canonicalRevisionOf,
  canonicalServiceOf,
  type EndpointWorld,
  endpointsOf,
  type MeshConfig,
  type MeshService,
  type Pod,
  type Resource,
  resourceKey,
  type ServiceEndpoint,
  serviceFromKubernetes,
  servicesFromServiceEntry,
  spiffeId,
} from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { sameJson, sameList, sameMap } from "../resource.ts";
import { cells } from "./mesh-snapshot.ts";

/** Options that every query may read; set once, as input. */
export interface CompileSettings {
  readonly clusterId: string;
  /** DNS domain of Kubernetes services, `cluster.local`. */
  readonly domain: string;
}
/** The input cell of the {@link CompileSettings}. */
export const SETTINGS_CELL = "settings";

/** The options. */
export function settingsOf(read: Read): CompileSettings {
  return read.input(SETTINGS_CELL) as CompileSettings;
}
/** The mesh configuration. */
export function meshConfigOf(read: Read): MeshConfig {
  return read.input(cells.meshConfig) as MeshConfig;
}
/** Keys of all objects of a kind, sorted. */
export function keysOf(read: Read, kind: Parameters<typeof cells.keys>[0]): readonly string[] {
  return (read.input(cells.keys(kind)) as readonly string[] | undefined) ?? [];
}
/** Objects of a kind in a namespace, sorted by key. */
export function listOf<K extends Parameters<typeof cells.list>[0]>(
  read: Read,
  kind: K,
  namespace: string,
): readonly Resource<K>[] {
  return (read.input(cells.list(kind, namespace)) as readonly Resource<K>[] | undefined) ?? [];
}

/** Services declared by one object. */
const servicesOfObject = defineQuery<string, readonly MeshService[]>({
  name: "servicesOfObject",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as Resource | undefined;
    if (object?.kind === "Service") return [serviceFromKubernetes(object, settingsOf(read).domain)];
    if (object?.kind === "ServiceEntry") return servicesFromServiceEntry(object);
    return [];
  },
  equal: sameJson,
});

/** Every service, oldest first; of several with one host the oldest stays, a Kubernetes one before an entry of the same age. */
export const allServices = defineQuery<"", readonly MeshService[]>({
  name: "allServices",
  compute: (read) => {
    const found = [...keysOf(read, "Service"), ...keysOf(read, "ServiceEntry")]
      .flatMap((key) => read.ask(servicesOfObject, key))
      .sort(byAge);
    const hosts = new Set<string>();
    return found.filter((service) => !hosts.has(service.host) && hosts.add(service.host));
  },
  equal: sameList,
});

function byAge(a: MeshService, b: MeshService): number {
  return (
    a.createdAt - b.createdAt ||
    Number(b.registry === "Kubernetes") - Number(a.registry === "Kubernetes") ||
    compare(a.host, b.host) ||
    compare(a.source, b.source)
  );
}

/** Code unit order, for sorting. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const servicesByNamespace = defineQuery<"", ReadonlyMap<string, readonly MeshService[]>>({
  name: "servicesByNamespace",
  compute: (read) => Map.groupBy(read.ask(allServices, ""), (service) => service.namespace),
});

/** Services of one namespace, oldest first. */
export const servicesInNamespace = defineQuery<string, readonly MeshService[]>({
  name: "servicesInNamespace",
  compute: (read, namespace) => read.ask(servicesByNamespace, "").get(namespace) ?? [],
  equal: sameList,
});

const serviceIndex = defineQuery<"", ReadonlyMap<string, MeshService>>({
  name: "serviceIndex",
  compute: (read) => new Map(read.ask(allServices, "").map((service) => [service.host, service])),
  equal: sameMap,
});

/** The service of a host, or undefined. Aliases are not followed here. */
export const serviceByHost = defineQuery<string, MeshService | undefined>({
  name: "service",
  compute: (read, host) => read.ask(serviceIndex, "").get(host),
});

/** All endpoints of a service, unready ones included, in a fixed order. */
export const endpointsByHost = defineQuery<string, readonly ServiceEndpoint[]>({
  name: "endpoints",
  compute: (read, host) => {
    const service = read.ask(serviceByHost, host);
    if (service === undefined) return [];
    return [...endpointsOf(service, worldOf(read, service))].sort(
      (a, b) => compare(a.address, b.address) || a.port - b.port || compare(a.portName, b.portName),
    );
  },
  equal: sameJson,
});

function worldOf(read: Read, service: MeshService): EndpointWorld {
  const { namespace, name } = service;
  const endpoints = read.input(cells.object(resourceKey("Endpoints", namespace, name)));
  return {
    pods: candidatePods(read, service),
    workloadEntries: service.selector === undefined ? [] : listOf(read, "WorkloadEntry", namespace),
    ...(endpoints === undefined ? {} : { endpoints: [endpoints as Resource<"Endpoints">] }),
    slices: (read.input(cells.slices(namespace, name)) as readonly Resource<"EndpointSlice">[] | undefined) ?? [],
  };
}

/** Pods that carry the first label of the selector: a superset of those selected, found without walking the namespace. */
function candidatePods(read: Read, service: MeshService): readonly Pod[] {
  const [first] = Object.entries(service.selector ?? {}).sort(([a], [b]) => compare(a, b));
  if (first === undefined) return [];
  return (read.input(cells.podsWith(service.namespace, first[0], first[1])) as readonly Pod[] | undefined) ?? [];
}

/** Identities behind a service as SPIFFE URIs, sorted: what a client accepts as the server's name. */
export const identitiesByHost = defineQuery<string, readonly string[]>({
  name: "identities",
  compute: (read, host) => {
    const service = read.ask(serviceByHost, host);
    const { trustDomain } = meshConfigOf(read);
    const found = new Set<string>(service?.subjectAltNames ?? []);
    for (const endpoint of read.ask(endpointsByHost, host)) {
      if (endpoint.serviceAccount !== "") found.add(spiffeId(trustDomain, endpoint.namespace, endpoint.serviceAccount));
    }
    return [...found].sort();
  },
  equal: sameList,
});

/** Value of endpoint metadata `istio.workload`. */
export function workloadMetadata(endpoint: ServiceEndpoint, clusterId: string): string {
  const { labels, workload, namespace } = endpoint;
  return [workload, namespace, canonicalServiceOf(labels, workload), canonicalRevisionOf(labels), clusterId].join(";");
}
