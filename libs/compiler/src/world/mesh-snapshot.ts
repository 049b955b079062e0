import {
  isMachineBound,
  type KindName,
  keyOf,
  type Pod,
  parseResourceKey,
  type Resource,
  type ResourceKey,
} from "@lateen/mesh-model";
import { sameJson } from "../resource.ts";

/** Pods sorted by key, listed when they are asked for: every pod is in many lists, of which few are ever read. */
export type PodList = () => readonly Pod[];
const PODS = "pods ";

/** Names of the engine's input cells. */
export const cells = {
  meshConfig: "meshConfig",
  object: (key: string) => `object ${key}`,
  /** Keys of all objects of a kind, sorted. */
  keys: (kind: KindName) => `keys ${kind}`,
  /** Objects of a kind in a namespace, sorted by key. */
  list: (kind: KindName, namespace: string) => `list ${kind}/${namespace}`,
  /** Keys of a token issuer that were fetched from this URL. */
  keySet: (url: string) => `keySet ${url}`,
  /** Pods of a namespace that carry a label with this value: a {@link PodList}. */
  podsWith: (namespace: string, label: string, value: string) => `${PODS}${namespace} ${label}=${value}`,
  /** Services that are gateways of a network, sorted by key. */
  networkServices: "services of networks",
  /** Services of which it matters on which machine a client is, sorted by key. */
  machineServices: "services of machines",
  /** EndpointSlices of one service, sorted by key. */
  slices: (namespace: string, service: string) => `slices ${namespace}/${service}`,
} as const;

/** Kinds that are read as namespace lists. Pods are not: they are found by label. */
const LISTED: ReadonlySet<KindName> = new Set<KindName>([
  "Service",
  "WorkloadEntry",
  "Sidecar",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "RequestAuthentication",
  "WasmPlugin",
  "EnvoyFilter",
  "Telemetry",
  "ReferenceGrant",
  "BackendTLSPolicy",
]);
/** Kinds that compile to something; others are not kept. */
const KEPT: ReadonlySet<KindName> = new Set<KindName>([
  ...LISTED,
  "Endpoints",
  "EndpointSlice",
  "Pod",
  "Node",
  "Secret",
  "VirtualService",
  "DestinationRule",
  "Gateway",
  "ServiceEntry",
  "GatewayClass",
  "KubernetesGateway",
  "HTTPRoute",
  "GRPCRoute",
  "TLSRoute",
  "TCPRoute",
  "BackendTLSPolicy",
  "Ingress",
  "IngressClass",
  "Namespace",
  "ConfigMap",
]);
const KEYED: ReadonlySet<KindName> = new Set<KindName>([
  "KubernetesGateway",
  "HTTPRoute",
  "GRPCRoute",
  "TLSRoute",
  "TCPRoute",
  "BackendTLSPolicy",
  "Ingress",
  "Service",
  "ServiceEntry",
  "VirtualService",
  "DestinationRule",
  "Gateway",
  "Sidecar",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "RequestAuthentication",
  "WasmPlugin",
  "EnvoyFilter",
  "Telemetry",
]);
const NETWORK_LABEL = "topology.istio.io/network";
const SLICE_SERVICE = "kubernetes.io/service-name";

/**
 * All objects, and the indexes over them that queries read. A change yields just the cells that became different, so the work
 * here is that of the changed objects and of the index entries they are in. Objects are never edited.
 */
export class MeshSnapshot {
  readonly #objects = new Map<string, Resource>();
  /** Index entry → keys of the objects in it. */
  readonly #members = new Map<string, Set<string>>();

  get size(): number {
    return this.#objects.size;
  }

  objects(): Iterable<Resource> {
    return this.#objects.values();
  }

  get(key: ResourceKey): Resource | undefined {
    return this.#objects.get(key);
  }

  /** Takes the change over and returns the input cells it alters. */
  change(upserted: readonly Resource[], removed: readonly ResourceKey[]): Map<string, unknown> {
    const altered = new Set<string>();
    const changes = new Map<string, unknown>();
    for (const key of removed) this.#replace(key, undefined, altered, changes);
    for (const object of upserted) {
      if (KEPT.has(object.kind)) this.#replace(keyOf(object), object, altered, changes);
    }
    for (const entry of altered) changes.set(entry, this.#indexValue(entry));
    return changes;
  }

  #replace(key: string, next: Resource | undefined, altered: Set<string>, changes: Map<string, unknown>): void {
    const before = this.#objects.get(key);
    if (before === undefined ? next === undefined : next !== undefined && sameJson(before, next)) return;
    if (next === undefined) this.#objects.delete(key);
    else this.#objects.set(key, next);
    changes.set(cells.object(key), next);
    const old = before === undefined ? [] : indexEntries(before);
    const now = next === undefined ? [] : indexEntries(next);
    for (const entry of old) if (!now.includes(entry)) this.#leave(entry, key, altered);
    for (const entry of now) this.#join(entry, key, altered);
  }

  #leave(entry: string, key: string, altered: Set<string>): void {
    const members = this.#members.get(entry);
    members?.delete(key);
    if (members?.size === 0) this.#members.delete(entry);
    altered.add(entry);
  }

  #join(entry: string, key: string, altered: Set<string>): void {
    const members = this.#members.get(entry) ?? new Set();
    this.#members.set(entry, members);
    // A list of keys does not change when an object in it does.
    if (members.has(key) && entry.startsWith("keys ")) return;
    members.add(key);
    altered.add(entry);
  }

  #indexValue(entry: string): unknown {
    const members = this.#members.get(entry);
    if (members === undefined) return undefined;
    // Asked for only until the next change of the entry: then there is another list.
    if (entry.startsWith(PODS)) return once(() => this.#listOf(members));
    return entry.startsWith("keys ") ? [...members].sort() : this.#listOf(members);
  }

  #listOf(keys: Iterable<string>): readonly (Resource | undefined)[] {
    return [...keys].sort().map((key) => this.#objects.get(key));
  }
}

function once<T>(compute: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => {
    known ??= { value: compute() };
    return known.value;
  };
}

function indexEntries(object: Resource): readonly string[] {
  const { kind, metadata } = object;
  const entries: string[] = [];
  if (KEYED.has(kind)) entries.push(cells.keys(kind));
  if (LISTED.has(kind)) entries.push(cells.list(kind, metadata.namespace));
  if (object.kind === "Service") {
    if (metadata.labels?.[NETWORK_LABEL]) entries.push(cells.networkServices);
    if (isMachineBound(object)) entries.push(cells.machineServices);
  }
  if (object.kind === "Pod") entries.push(...podEntries(object));
  const service = metadata.labels?.[SLICE_SERVICE];
  if (kind === "EndpointSlice" && service !== undefined) entries.push(cells.slices(metadata.namespace, service));
  return entries;
}

function podEntries(pod: Pod): readonly string[] {
  return Object.entries(pod.metadata.labels ?? {}).map(([label, value]) =>
    cells.podsWith(pod.metadata.namespace, label, value),
  );
}

/** The key's namespace and name, for keys that the snapshot made itself. */
export function keyParts(key: string): { readonly kind: KindName; readonly namespace: string; readonly name: string } {
  return parseResourceKey(key) ?? { kind: "Service", namespace: "", name: "" };
}
