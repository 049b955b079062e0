import { messageOf } from "@lateen/kernel";
import { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import {
  clusterSpec,
  type DecodeContext,
  type DecodedCluster,
  decodeRun,
  type ListenerSpec,
  type LocalityEndpointsSpec,
  listenerSpec,
  localities,
  nameTable,
  routeTable,
} from "@lateen/proxy";
import { httpFilters, networkFilters } from "@lateen/proxy-filters";
import { type ChainMatcher, compileChainMatcher, compileRouteTable, type RouteTable } from "@lateen/traffic";

/** Encoded resources by name, as the compiler gives them and xDS carries them. */
export type EncodedByName = ReadonlyMap<string, { readonly any: { readonly value: Uint8Array } }>;

/** All resources of one proxy. */
export interface ProxyResources {
  readonly listeners: EncodedByName;
  readonly routes: EncodedByName;
  readonly clusters: EncodedByName;
  readonly endpoints: EncodedByName;
  readonly names: EncodedByName;
}

/** A listener that can be asked. */
export interface ReadyListener {
  readonly spec: ListenerSpec;
  readonly matcher: ChainMatcher;
}

/** Something decoded, or why the proxy refuses it. */
export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

/**
 * The resources of one proxy, read with the decoders and matchers that run in Lateen's proxy. What that proxy refuses is refused
 * here with the same words, and only when something asks for it. Decoding is done once a resource.
 */
export class SimulatedProxy {
  /** Namespace of its workload. */
  readonly namespace: string;
  readonly #resources: ProxyResources;
  readonly #routes = new Map<string, Decoded<RouteTable> | undefined>();
  readonly #clusters = new Map<string, Decoded<DecodedCluster> | undefined>();
  #listeners: readonly ReadyListener[] | undefined;
  #refusedListeners: readonly string[] = [];
  #names: Readonly<Record<string, readonly string[]>> | undefined;

  constructor(namespace: string, resources: ProxyResources) {
    this.namespace = namespace;
    this.#resources = resources;
  }

  /** Listeners that the proxy accepts. */
  listeners(): readonly ReadyListener[] {
    if (this.#listeners !== undefined) return this.#listeners;
    const refused: string[] = [];
    this.#listeners = [...this.#resources.listeners].flatMap(([name, { any }]) => {
      const decoded = attempt(() => {
        const spec = listenerSpec(Listener.decode(any.value), run());
        return { spec, matcher: compileChainMatcher(spec.chains.map((chain) => chain.match)) };
      });
      if (decoded.ok) return [decoded.value];
      refused.push(`listener ${name}: ${decoded.reason}`);
      return [];
    });
    this.#refusedListeners = refused;
    return this.#listeners;
  }

  /** `listener NAME: REASON` for those it does not accept. */
  refusedListeners(): readonly string[] {
    this.listeners();
    return this.#refusedListeners;
  }

  routes(name: string): Decoded<RouteTable> | undefined {
    return once(this.#routes, name, () => {
      const found = this.#resources.routes.get(name);
      if (found === undefined) return undefined;
      return attempt(() => compileRouteTable(routeTable(RouteConfiguration.decode(found.any.value), run())));
    });
  }

  cluster(name: string): Decoded<DecodedCluster> | undefined {
    return once(this.#clusters, name, () => {
      const found = this.#resources.clusters.get(name);
      return found === undefined ? undefined : attempt(() => clusterSpec(Cluster.decode(found.any.value), run()));
    });
  }

  /** Endpoints of a cluster that gets them by EDS. */
  endpoints(edsName: string): Decoded<readonly LocalityEndpointsSpec[]> {
    const found = this.#resources.endpoints.get(edsName);
    if (found === undefined) return { ok: true, value: [] };
    return attempt(() => localities(ClusterLoadAssignment.decode(found.any.value), "endpoints"));
  }

  /** Addresses of a mesh name in any spelling; undefined: not a mesh name. */
  resolve(host: string): readonly string[] | undefined {
    this.#names ??= this.#readNames();
    return this.#names[host.toLowerCase().replace(/\.$/, "")];
  }

  #readNames(): Readonly<Record<string, readonly string[]>> {
    const [table] = this.#resources.names.values();
    return table === undefined ? {} : nameTable(NameTable.decode(table.any.value), this.namespace);
  }
}

/** Files are not opened: what they hold does not decide where traffic goes. */
const CONTEXT: DecodeContext = {
  httpFilters,
  networkFilters,
  readFile: () => Buffer.alloc(0),
  readEnv: () => undefined,
  systemRoots: () => "",
};

function run() {
  return decodeRun(CONTEXT);
}

function attempt<T>(make: () => T): Decoded<T> {
  try {
    return { ok: true, value: make() };
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
}

function once<V>(cache: Map<string, V>, name: string, make: () => V): V {
  const known = cache.get(name);
  if (known !== undefined || cache.has(name)) return known as V;
  const made = make();
  cache.set(name, made);
  return made;
}
