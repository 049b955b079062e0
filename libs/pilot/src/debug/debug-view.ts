import { type EngineStats, isDiscovered } from "@lateen/compiler";
import {
  endpointsOf,
  type KindName,
  keyOf,
  type MeshConfig,
  type MeshService,
  type Resource,
  type ServiceEndpoint,
  serviceFromKubernetes,
  servicesFromServiceEntry,
} from "@lateen/mesh-model";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import { grpcStatus, xdsTypes } from "@lateen/xds";
import type { PilotCompiler } from "../compiler-face.ts";
import { unknownProxy } from "../errors.ts";
import type { World } from "../feed/world.ts";
import type { AdsFront } from "../streams/ads-front.ts";
import type { AdmittedProxy } from "../streams/connection.ts";
import { configDump, extensionDump } from "./config-dump.ts";
import type { StatusTimes } from "./status-times.ts";

/** One service with where it runs. */
export interface ServiceWithEndpoints {
  readonly svc: string;
  readonly endpoints: readonly ServiceEndpoint[];
}

/** What the view looks at. */
export interface DebugSources {
  readonly world: World;
  readonly ads: AdsFront;
  readonly compiler: PilotCompiler;
  readonly domain: string | undefined;
  readonly clusterId: string;
  readonly meshConfig: () => MeshConfig;
  readonly statusTimes: StatusTimes;
}

/** Endpoints of a service in one namespace, in Istio's words: by the cluster and registry that they come from. */
export interface EndpointShards {
  readonly Shards: Readonly<Record<string, readonly ServiceEndpoint[]>>;
  /** Identities that they run as, sorted. */
  readonly ServiceAccounts: readonly string[];
}

/** One open stream. */
export interface StreamLine {
  /** Unique in the life of this process. */
  readonly id: number;
  readonly node: string;
  /** Namespace and account of the verified identity. */
  readonly identity: string;
  readonly protocol: "delta" | "sotw";
  /** The one type it carries; absent for ADS. */
  readonly only?: string;
  /** RFC 3339. */
  readonly connectedAt: string;
  /** Type URL → resources it was told of. */
  readonly watches: Readonly<Record<string, number>>;
}

/** Kinds that hold what nobody should read, and those that come from the registry in great number. */
const NOT_SHOWN: ReadonlySet<KindName> = new Set<KindName>(["Secret", "Pod", "EndpointSlice", "Endpoints", "Node"]);

/** Looks at the inside for the debug routes. Computes anew each time; not for hot paths. */
export class DebugView {
  readonly #world: World;
  readonly #ads: AdsFront;
  readonly #compiler: PilotCompiler;
  readonly #domain: string | undefined;
  readonly #clusterId: string;
  readonly #meshConfig: () => MeshConfig;
  readonly #statusTimes: StatusTimes;

  constructor({ world, ads, compiler, domain, clusterId, meshConfig, statusTimes }: DebugSources) {
    this.#statusTimes = statusTimes;
    this.#clusterId = clusterId;
    this.#world = world;
    this.#ads = ads;
    this.#compiler = compiler;
    this.#domain = domain;
    this.#meshConfig = meshConfig;
  }

  /** Mesh configuration in force. */
  meshConfig(): MeshConfig {
    return this.#meshConfig();
  }

  /** Open streams, the oldest first. */
  streams(): readonly StreamLine[] {
    return [...this.#ads.connections].flatMap(({ id, proxy, caller, protocol, only, connectedAt, status }) => {
      if (proxy === undefined) return [];
      const watches = Object.entries(status().types).map(([typeUrl, { resources }]) => [typeUrl, resources]);
      return [
        {
          id,
          node: proxy.node.id,
          identity: caller === undefined ? "" : `${caller.namespace}/${caller.serviceAccount}`,
          protocol,
          ...(only === undefined ? {} : { only }),
          connectedAt: new Date(connectedAt).toISOString(),
          watches: Object.fromEntries(watches),
        },
      ];
    });
  }

  /** Configuration as it was taken over, of some kinds or of all but those with secrets and of the registry. */
  config(kinds?: ReadonlySet<KindName>): readonly Resource[] {
    const shown = [...this.#objects()].filter(({ kind }) =>
      kinds === undefined ? !NOT_SHOWN.has(kind) : kinds.has(kind),
    );
    return shown.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  /** Work of the compiler by query. */
  compiler(): EngineStats | undefined {
    return this.#compiler.stats?.();
  }

  /**
   * Resources of one type that a connected proxy should have, decoded.
   * @throws LTN3502 when no such proxy is connected.
   */
  resources(proxyId: string, type: "endpoints" | "names"): readonly unknown[] {
    const { node } = this.#find(proxyId);
    const message = type === "endpoints" ? ClusterLoadAssignment : NameTable;
    const found = this.#compiler.resources(node, type === "endpoints" ? xdsTypes.endpoint : xdsTypes.nds);
    return [...found.values()].map(({ any }) => message.toJSON(message.decode(any.value) as never));
  }

  /**
   * Ends the streams of a proxy, which then comes again.
   * @throws LTN3502 when no such proxy is connected.
   */
  disconnect(proxyId: string): void {
    const { node } = this.#find(proxyId);
    for (const connection of [...this.#ads.connections]) {
      if (connection.proxy?.node.id === node.id) connection.end(grpcStatus.unavailable, "disconnected on request");
    }
  }

  /**
   * Envoy's config dump of what a connected proxy should run, secrets redacted.
   * @param proxyId `pod.namespace` or the whole node id.
   * @throws LTN3502 when no such proxy is connected.
   */
  configDump(proxyId: string): unknown {
    const { node } = this.#find(proxyId);
    return configDump((typeUrl) => this.#compiler.resources(node, typeUrl));
  }

  /**
   * Extensions that a connected proxy should run, secrets redacted.
   * @throws LTN3502 when no such proxy is connected.
   */
  extensions(proxyId: string): readonly object[] {
    const { node } = this.#find(proxyId);
    return extensionDump((typeUrl) => this.#compiler.resources(node, typeUrl));
  }

  /** The clusters whose services are known: the one this runs in. */
  clusters(): readonly { readonly id: string; readonly syncStatus: "synced" | "waiting" }[] {
    return [{ id: this.#clusterId, syncStatus: this.#world.complete ? "synced" : "waiting" }];
  }

  /** Host → namespace → endpoints with where they are known from. */
  shards(): Readonly<Record<string, Readonly<Record<string, EndpointShards>>>> {
    const found: Record<string, Record<string, EndpointShards>> = {};
    for (const { svc, endpoints } of this.endpoints()) {
      const byNamespace = Map.groupBy(endpoints, ({ namespace }) => namespace);
      found[svc] = Object.fromEntries(
        [...byNamespace].map(([namespace, list]) => [
          namespace,
          {
            Shards: { [`Kubernetes/${this.#clusterId}`]: list },
            ServiceAccounts: [...new Set(list.map(({ serviceAccount }) => serviceAccount))].sort(),
          },
        ]),
      );
    }
    return found;
  }

  /** Node id of each connected proxy → the endpoints that it is. */
  instances(): Readonly<Record<string, readonly (ServiceEndpoint & { readonly svc: string })[]>> {
    const all = this.endpoints().flatMap(({ svc, endpoints }) => endpoints.map((endpoint) => ({ svc, ...endpoint })));
    const byAddress = Map.groupBy(all, ({ address }) => address);
    return Object.fromEntries(
      this.#ads
        .proxies()
        .flatMap(({ proxy }) =>
          proxy === undefined ? [] : [[proxy.node.id, byAddress.get(proxy.node.address) ?? []]],
        ),
    );
  }

  /** All services of configuration, by host. */
  services(): readonly MeshService[] {
    const services: MeshService[] = [];
    for (const object of this.#objects()) {
      if (object.kind === "Service") services.push(serviceFromKubernetes(object, this.#domain));
      else if (object.kind === "ServiceEntry") services.push(...servicesFromServiceEntry(object));
    }
    return services.sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  /** `status` of Gateway API objects and Ingress, by `Kind/namespace/name`. */
  statuses(): Readonly<Record<string, unknown>> {
    const found: Record<string, unknown> = {};
    for (const object of this.#world.objects()) {
      const key = keyOf(object);
      const status = this.#compiler.status?.(key);
      if (status !== undefined) found[key] = this.#statusTimes.stamped(key, status);
    }
    return found;
  }

  /** All services with their endpoints, ready or not. */
  endpoints(): readonly ServiceWithEndpoints[] {
    const byNamespace = Map.groupBy(this.#objects(), ({ metadata }) => metadata.namespace);
    return this.services().map((service) => {
      const nearby = byNamespace.get(service.namespace) ?? [];
      const ofService = nearby.filter(
        ({ metadata }) => metadata.name === service.name || metadata.labels?.[SLICE_SERVICE] === service.name,
      );
      return {
        svc: service.host,
        endpoints: endpointsOf(service, {
          pods: nearby.filter(isKind("Pod")),
          workloadEntries: nearby.filter(isKind("WorkloadEntry")),
          endpoints: ofService.filter(isKind("Endpoints")),
          slices: ofService.filter(isKind("EndpointSlice")),
        }),
      };
    });
  }

  /** Objects of namespaces that discovery selectors let be seen. */
  *#objects(): Iterable<Resource> {
    const config = this.#meshConfig();
    const labels = new Map<string, Resource["metadata"]["labels"]>();
    for (const { kind, metadata } of this.#world.objects()) {
      if (kind === "Namespace") labels.set(metadata.name, metadata.labels);
    }
    for (const object of this.#world.objects()) {
      const { namespace } = object.metadata;
      if (isDiscovered(namespace, labels.get(namespace), config)) yield object;
    }
  }

  #find(proxyId: string): AdmittedProxy {
    for (const { proxy } of this.#ads.proxies()) {
      if (proxy === undefined) continue;
      const { id, pod, namespace } = proxy.node;
      if (proxyId === id || proxyId === `${pod}.${namespace}`) return proxy;
    }
    throw unknownProxy(proxyId);
  }
}

const SLICE_SERVICE = "kubernetes.io/service-name";

function isKind<K extends Resource["kind"]>(kind: K) {
  return (object: Resource): object is Extract<Resource, { readonly kind: K }> => object.kind === kind;
}
