import {
  autoAddresses,
  autoAddressKey,
  canonicalRevisionOf,
  canonicalServiceOf,
  type EndpointWorld,
  endpointsOf,
  localityOf,
  type MeshConfig,
  type MeshService,
  mergeServices,
  type Pod,
  type Resource,
  resourceKey,
  type ServiceEndpoint,
  serviceFromKubernetes,
  servicesFromServiceEntry,
  spiffeId,
} from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { Labels } from "../lower/proto.ts";
import { sameJson, sameList, sameMap } from "../resource.ts";
import { exportedTo } from "./export-to.ts";
import { cells, type PodList } from "./mesh-snapshot.ts";

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

/**
 * Every service, oldest first, a Kubernetes one before an entry of the same age. Entries of one host and namespace are one service;
 * several namespaces may have a service of one host: see {@link serviceFor}.
 */
export const allServices = defineQuery<"", readonly MeshService[]>({
  name: "allServices",
  compute: (read) => {
    const found = [...keysOf(read, "Service"), ...keysOf(read, "ServiceEntry")]
      .flatMap((key) => read.ask(servicesOfObject, key))
      .sort(byAge);
    const groups = Map.groupBy(found, (service) => `${service.namespace}/${service.host}`);
    return [...groups.values()].flatMap((group) => {
      const [first] = group;
      if (first === undefined) return [];
      // Nothing can be added to a Service of Kubernetes, and entries that are found differently do not mix.
      const others = group.slice(1).filter((one) => first.registry === "External" && mixes(first, one));
      return [others.length === 0 ? first : read.ask(mergedService, [first, ...others])];
    });
  },
  equal: sameList,
});

/** One object for equal parts, so that lists of services compare by identity. */
const mergedService = defineQuery<readonly [MeshService, ...MeshService[]], MeshService>({
  name: "mergedService",
  key: (parts) => JSON.stringify(parts),
  compute: (_read, parts) => mergeServices(parts),
});

function mixes(a: MeshService, b: MeshService): boolean {
  return a.resolution === b.resolution && a.meshExternal === b.meshExternal;
}

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

const serviceIndex = defineQuery<"", ReadonlyMap<string, readonly MeshService[]>>({
  name: "serviceIndex",
  compute: (read) => Map.groupBy(read.ask(allServices, ""), (service) => service.host),
});

/** Services of a host, at most one of a namespace, oldest first. */
const candidates = defineQuery<string, readonly MeshService[]>({
  name: "serviceCandidates",
  compute: (read, host) => read.ask(serviceIndex, "").get(host) ?? [],
  equal: sameList,
});

/** The oldest service of a host, or undefined. Aliases are not followed here. */
export const serviceByHost = defineQuery<string, MeshService | undefined>({
  name: "service",
  compute: (read, host) => read.ask(candidates, host)[0],
});

/** The service that clients of a namespace mean by a host: of several, the best that is exported to them. */
export function serviceFor(read: Read, host: string, client: string): MeshService | undefined {
  const [first, ...others] = read.ask(candidates, host);
  if (first === undefined || others.length === 0) return first;
  const defaults = meshConfigOf(read).defaultServiceExportTo;
  return preferred(
    [first, ...others].filter(({ exportTo, namespace }) => exportedTo(exportTo, defaults, namespace, client)),
    client,
  );
}

/** Of services with one host: one of Kubernetes, else one of the client's own namespace, else the oldest. */
export function preferred(services: readonly MeshService[], client: string): MeshService | undefined {
  return (
    services.find((service) => service.registry === "Kubernetes") ??
    services.find((service) => service.namespace === client) ??
    services[0]
  );
}

/** Addresses that services without one get, by `namespace/host`. */
const autoAddressTable = defineQuery<"", ReadonlyMap<string, string>>({
  name: "autoAddresses",
  compute: (read) => autoAddresses(read.ask(allServices, "")),
  equal: sameMap,
});

/** The service with the address it was given, for proxies that answer DNS themselves. */
export const addressedService = defineQuery<MeshService, MeshService>({
  name: "addressedService",
  key: (service) => `${service.source} ${autoAddressKey(service)}`,
  compute: (read, service) => {
    const current = read.ask(candidates, service.host).find((one) => one.namespace === service.namespace) ?? service;
    const address = read.ask(autoAddressTable, "").get(autoAddressKey(current));
    return address === undefined ? current : { ...current, addresses: [address] };
  },
  equal: sameJson,
});

/** Which service: a host may have one in each of several namespaces. */
export interface ServiceKey {
  readonly host: string;
  readonly namespace: string;
}
const serviceKey = ({ host, namespace }: ServiceKey): string => `${namespace}/${host}`;

function serviceOf(read: Read, { host, namespace }: ServiceKey): MeshService | undefined {
  return read.ask(candidates, host).find((service) => service.namespace === namespace);
}

/** All endpoints of a service, unready ones included, in a fixed order. */
export const endpointsOfService = defineQuery<ServiceKey, readonly ServiceEndpoint[]>({
  name: "endpoints",
  key: serviceKey,
  compute: (read, key) => {
    const service = serviceOf(read, key);
    if (service === undefined) return [];
    return [...endpointsOf(service, worldOf(read, service))].sort(
      (a, b) => compare(a.address, b.address) || a.port - b.port || compare(a.portName, b.portName),
    );
  },
  equal: sameJson,
});

/** Where a machine is: `region/zone/subzone`; empty: unknown. */
export const nodeLocality = defineQuery<string, string>({
  name: "nodeLocality",
  compute: (read, name) => {
    const node = read.input(cells.object(resourceKey("Node", "", name))) as Resource<"Node"> | undefined;
    return localityOf(node?.metadata.labels ?? {});
  },
});

function worldOf(read: Read, service: MeshService): EndpointWorld {
  const { namespace, name } = service;
  const selectors = (service.parts ?? [service]).flatMap(({ selector }) => (selector === undefined ? [] : [selector]));
  const endpoints = read.input(cells.object(resourceKey("Endpoints", namespace, name)));
  return {
    pods: uniquePods(selectors.map((selector) => candidatePods(read, namespace, selector))),
    workloadEntries: selectors.length === 0 ? [] : listOf(read, "WorkloadEntry", namespace),
    ...(endpoints === undefined ? {} : { endpoints: [endpoints as Resource<"Endpoints">] }),
    nodeLocality: (node) => read.ask(nodeLocality, node),
    slices: (read.input(cells.slices(namespace, name)) as readonly Resource<"EndpointSlice">[] | undefined) ?? [],
  };
}

/** Pods that carry the first label of the selector: a superset of those selected, found without walking the namespace. */
function candidatePods(read: Read, namespace: string, selector: Labels): readonly Pod[] {
  const [first] = Object.entries(selector).sort(([a], [b]) => compare(a, b));
  if (first === undefined) return [];
  return (read.input(cells.podsWith(namespace, first[0], first[1])) as PodList | undefined)?.() ?? [];
}

function uniquePods(lists: readonly (readonly Pod[])[]): readonly Pod[] {
  return lists.length === 1 ? (lists[0] ?? []) : [...new Set(lists.flat())];
}

/** Identities behind a service as SPIFFE URIs, sorted: what a client accepts as the server's name. */
export const identitiesOfService = defineQuery<ServiceKey, readonly string[]>({
  name: "identities",
  key: serviceKey,
  compute: (read, key) => {
    const service = serviceOf(read, key);
    const { trustDomain } = meshConfigOf(read);
    const found = new Set<string>(service?.subjectAltNames ?? []);
    for (const endpoint of read.ask(endpointsOfService, key)) {
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
