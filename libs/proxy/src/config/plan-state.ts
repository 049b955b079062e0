import type { RouteTableSpec } from "@lateen/traffic";
import type { DecodedCluster } from "./decode/cluster.ts";
import type {
  ClusterEndpointsSpec,
  ClusterSpec,
  FilterChainSpec,
  ListenerSpec,
  LocalityEndpointsSpec,
  PlanDelta,
  SecretSpec,
} from "./plan.ts";

/** A listener with the names it cannot serve without. */
export interface WantedListener {
  readonly spec: ListenerSpec;
  readonly routes: ReadonlySet<string>;
  readonly secrets: ReadonlySet<string>;
}

/**
 * What the control plane wants (accepted, newest) beside what the workers have (active), and the step from one to the other.
 *
 * ## Warming
 * A cluster becomes active once its endpoints are known, a listener once its route tables and secrets are; until then the
 * version before it, if any, stays active. {@link giveUpWarming} ends the wait, as Envoy's initial fetch timeout does.
 * ## Removal
 * A cluster leaves only when no active route or listener names it, a route table when no active listener does: an update that
 * removes before it rewires never loses a request.
 *
 * Entries are compared by identity: equal objects mean nothing changed.
 */
export class PlanState {
  readonly #clusters = new Map<string, DecodedCluster>();
  readonly #endpoints = new Map<string, readonly LocalityEndpointsSpec[]>();
  readonly #routes = new Map<string, RouteTableSpec>();
  readonly #listeners = new Map<string, WantedListener>();
  readonly #secrets = new Map<string, SecretSpec>();
  #names: PlanDelta["names"];
  readonly #patience = new Set<string>();

  readonly #activeClusters = new Map<string, ClusterSpec>();
  readonly #activeEndpoints = new Map<string, readonly LocalityEndpointsSpec[]>();
  readonly #activeRoutes = new Map<string, RouteTableSpec>();
  readonly #activeListeners = new Map<string, ListenerSpec>();
  readonly #activeSecrets = new Map<string, SecretSpec>();
  #activeNames: PlanDelta["names"];
  #generation = 0;
  /** What the last step replaced, by `kind name`; for {@link reject}. */
  readonly #replaced = new Map<string, unknown>();

  setCluster(name: string, cluster: DecodedCluster | undefined): void {
    put(this.#clusters, name, cluster);
    if (cluster === undefined) this.#patience.delete(`cluster ${name}`);
  }
  setEndpoints(edsName: string, endpoints: readonly LocalityEndpointsSpec[] | undefined): void {
    put(this.#endpoints, edsName, endpoints);
  }
  setRoutes(name: string, table: RouteTableSpec | undefined): void {
    put(this.#routes, name, table);
  }
  setListener(name: string, spec: ListenerSpec | undefined): void {
    put(this.#listeners, name, spec === undefined ? undefined : wantedListener(spec));
    if (spec === undefined) this.#patience.delete(`listener ${name}`);
  }
  setSecret(secret: SecretSpec): void {
    const known = this.#secrets.get(secret.name);
    if (known === undefined || JSON.stringify(known) !== JSON.stringify(secret)) this.#secrets.set(secret.name, secret);
  }
  setNames(names: PlanDelta["names"]): void {
    this.#names = names;
  }
  /** The newest; undefined: none came yet. */
  names(): PlanDelta["names"] {
    return this.#names;
  }

  get generation(): number {
    return this.#generation;
  }

  /** EDS names to subscribe to. */
  endpointNames(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const { edsName } of this.#clusters.values()) if (edsName !== undefined) names.add(edsName);
    return names;
  }

  /** RDS names to subscribe to. */
  routeNames(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const { routes } of this.#listeners.values()) for (const name of routes) names.add(name);
    return names;
  }

  /** Secrets that listeners and clusters name. */
  secretNames(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const { secrets } of this.#listeners.values()) for (const name of secrets) names.add(name);
    for (const { spec } of this.#clusters.values()) for (const name of clusterSecrets(spec)) names.add(name);
    return names;
  }

  /** `cluster NAME` and `listener NAME` that wait for something. */
  warming(): readonly string[] {
    const waiting: string[] = [];
    for (const [name, cluster] of this.#clusters)
      if (!this.#clusterWarm(name, cluster)) waiting.push(`cluster ${name}`);
    for (const [name, wanted] of this.#listeners)
      if (!this.#listenerWarm(name, wanted)) waiting.push(`listener ${name}`);
    return waiting;
  }

  /** Listeners (as {@link warming} names them) that wait for this secret. */
  listenersWaitingFor(secret: string): readonly string[] {
    const found: string[] = [];
    for (const [name, wanted] of this.#listeners) {
      if (wanted.secrets.has(secret) && !this.#secrets.has(secret)) found.push(`listener ${name}`);
    }
    return found;
  }

  /** Lets these (as {@link warming} names them) become active with what there is. */
  giveUpWarming(waiting: Iterable<string>): void {
    for (const name of waiting) this.#patience.add(name);
  }

  activeListeners(): ReadonlyMap<string, ListenerSpec> {
    return this.#activeListeners;
  }
  activeClusters(): ReadonlyMap<string, ClusterSpec> {
    return this.#activeClusters;
  }
  activeEndpoints(): ReadonlyMap<string, readonly LocalityEndpointsSpec[]> {
    return this.#activeEndpoints;
  }
  activeRoutes(): ReadonlyMap<string, RouteTableSpec> {
    return this.#activeRoutes;
  }
  activeSecrets(): ReadonlyMap<string, SecretSpec> {
    return this.#activeSecrets;
  }

  /** The step that makes active what is warm, or undefined when nothing changes. Counts as taken once it is returned. */
  advance(): PlanDelta | undefined {
    this.#replaced.clear();
    const listeners = this.#advanceListeners();
    const routes = this.#advanceRoutes();
    const clusters = this.#advanceClusters();
    const secrets = this.#changed("secret", this.#secrets, this.#activeSecrets);
    const names = this.#names === this.#activeNames ? undefined : this.#names;
    this.#activeNames = this.#names;
    const delta = { ...clusters, ...routes, ...listeners, secrets, names };
    if (isEmpty(delta)) return undefined;
    this.#generation++;
    return { generation: this.#generation, ...delta };
  }

  /** Everything that is active, for a worker that starts from nothing. */
  full(): PlanDelta {
    return {
      generation: this.#generation,
      clusters: [...this.#activeClusters.values()],
      removedClusters: [],
      endpoints: [...this.#activeEndpoints].map(([cluster, localities]) => ({ cluster, localities })),
      routes: [...this.#activeRoutes.values()],
      removedRoutes: [],
      listeners: [...this.#activeListeners.values()],
      removedListeners: [],
      secrets: [...this.#activeSecrets.values()],
      names: this.#activeNames,
    };
  }

  /** A worker could not put this in force and kept what it had: so do we, until the control plane sends something else. */
  reject(resource: "cluster" | "listener" | "route" | "secret", name: string): void {
    const before = this.#replaced.get(`${resource} ${name}`);
    switch (resource) {
      case "listener": {
        const spec = before as ListenerSpec | undefined;
        put(this.#activeListeners, name, spec);
        this.setListener(name, spec);
        return;
      }
      case "cluster": {
        const spec = before as ClusterSpec | undefined;
        const edsName = this.#clusters.get(name)?.edsName;
        put(this.#activeClusters, name, spec);
        this.setCluster(name, spec === undefined ? undefined : { spec, edsName });
        return;
      }
      case "route":
        put(this.#activeRoutes, name, before as RouteTableSpec | undefined);
        put(this.#routes, name, before as RouteTableSpec | undefined);
        return;
      case "secret":
        put(this.#activeSecrets, name, before as SecretSpec | undefined);
        put(this.#secrets, name, before as SecretSpec | undefined);
    }
  }

  #activate<V>(resource: string, active: Map<string, V>, name: string, value: V): void {
    this.#replaced.set(`${resource} ${name}`, active.get(name));
    active.set(name, value);
  }

  #changed<V>(resource: string, wanted: ReadonlyMap<string, V>, active: Map<string, V>): V[] {
    const values: V[] = [];
    for (const [name, value] of wanted) {
      if (active.get(name) === value) continue;
      this.#activate(resource, active, name, value);
      values.push(value);
    }
    return values;
  }

  #clusterWarm(name: string, { edsName }: DecodedCluster): boolean {
    return edsName === undefined || this.#endpoints.has(edsName) || this.#patience.has(`cluster ${name}`);
  }

  #listenerWarm(name: string, { routes, secrets }: WantedListener): boolean {
    if (this.#patience.has(`listener ${name}`)) return true;
    return every(routes, (route) => this.#routes.has(route)) && every(secrets, (secret) => this.#secrets.has(secret));
  }

  #advanceListeners(): Pick<PlanDelta, "listeners" | "removedListeners"> {
    const listeners: ListenerSpec[] = [];
    for (const [name, wanted] of this.#listeners) {
      if (this.#activeListeners.get(name) === wanted.spec || !this.#listenerWarm(name, wanted)) continue;
      this.#activate("listener", this.#activeListeners, name, wanted.spec);
      listeners.push(wanted.spec);
    }
    return { listeners, removedListeners: dropMissing(this.#activeListeners, (name) => this.#listeners.has(name)) };
  }

  #advanceRoutes(): Pick<PlanDelta, "routes" | "removedRoutes"> {
    const routes = this.#changed("route", this.#routes, this.#activeRoutes);
    if (this.#activeRoutes.size === this.#routes.size) return { routes, removedRoutes: [] };
    const inUse = new Set<string>();
    for (const spec of this.#activeListeners.values()) for (const name of routeNamesOf(spec)) inUse.add(name);
    return {
      routes,
      removedRoutes: dropMissing(this.#activeRoutes, (name) => this.#routes.has(name) || inUse.has(name)),
    };
  }

  #advanceClusters(): Pick<PlanDelta, "clusters" | "removedClusters" | "endpoints"> {
    const clusters: ClusterSpec[] = [];
    const endpoints: ClusterEndpointsSpec[] = [];
    for (const [name, cluster] of this.#clusters) {
      if (!this.#clusterWarm(name, cluster)) continue;
      if (this.#activeClusters.get(name) !== cluster.spec) {
        this.#activate("cluster", this.#activeClusters, name, cluster.spec);
        clusters.push(cluster.spec);
      }
      if (cluster.edsName === undefined) continue;
      const localities = this.#endpoints.get(cluster.edsName) ?? this.#activeEndpoints.get(name) ?? NO_ENDPOINTS;
      if (this.#activeEndpoints.get(name) === localities) continue;
      this.#activeEndpoints.set(name, localities);
      endpoints.push({ cluster: name, localities });
    }
    const removedClusters = this.#removeClusters();
    return { clusters, removedClusters, endpoints };
  }

  #removeClusters(): readonly string[] {
    const leaving = [...this.#activeClusters.keys()].filter((name) => !this.#clusters.has(name));
    if (leaving.length === 0) return [];
    const inUse = clustersInUse(this.#activeListeners.values(), this.#activeRoutes.values());
    const removed = leaving.filter((name) => !inUse.has(name));
    for (const name of removed) {
      this.#activeClusters.delete(name);
      this.#activeEndpoints.delete(name);
    }
    return removed;
  }
}

const NO_ENDPOINTS: readonly LocalityEndpointsSpec[] = [];

function put<V>(map: Map<string, V>, name: string, value: V | undefined): void {
  if (value === undefined) map.delete(name);
  else map.set(name, value);
}

function every(names: ReadonlySet<string>, test: (name: string) => boolean): boolean {
  for (const name of names) if (!test(name)) return false;
  return true;
}

function dropMissing(active: Map<string, unknown>, keep: (name: string) => boolean): string[] {
  const removed = [...active.keys()].filter((name) => !keep(name));
  for (const name of removed) active.delete(name);
  return removed;
}

function isEmpty(delta: Omit<PlanDelta, "generation">): boolean {
  return Object.values(delta).every((value) => value === undefined || (Array.isArray(value) && value.length === 0));
}

function chainsOf(spec: ListenerSpec): readonly FilterChainSpec[] {
  return spec.defaultChain === undefined ? spec.chains : [...spec.chains, spec.defaultChain];
}

function* routeNamesOf(spec: ListenerSpec): Iterable<string> {
  for (const { terminal } of chainsOf(spec)) {
    if (terminal.kind === "http" && "rds" in terminal.routes) yield terminal.routes.rds;
  }
}

function wantedListener(spec: ListenerSpec): WantedListener {
  const secrets = new Set<string>();
  for (const { transport } of chainsOf(spec)) {
    if (transport.kind !== "tls") continue;
    secrets.add(transport.certificateSecret);
    for (const name of transport.otherCertificates ?? []) secrets.add(name);
    if (transport.validation?.trust !== undefined && "secret" in transport.validation.trust) {
      secrets.add(transport.validation.trust.secret);
    }
  }
  return { spec, routes: new Set(routeNamesOf(spec)), secrets };
}

function* clusterSecrets(spec: ClusterSpec): Iterable<string> {
  for (const transport of [spec.transport, ...spec.transportMatches.map((entry) => entry.transport)]) {
    if (transport.kind !== "tls") continue;
    if (transport.certificateSecret !== undefined) yield transport.certificateSecret;
    const trust = transport.validation.trust;
    if (trust !== undefined && "secret" in trust) yield trust.secret;
  }
}

function clustersInUse(listeners: Iterable<ListenerSpec>, tables: Iterable<RouteTableSpec>): ReadonlySet<string> {
  const names = new Set<string>();
  const addTable = (table: RouteTableSpec): void => {
    for (const host of table.virtualHosts) {
      for (const { action } of host.routes) {
        if (action.kind !== "forward") continue;
        for (const { cluster } of action.clusters) names.add(cluster);
        for (const { cluster } of action.mirrors) names.add(cluster);
      }
    }
  };
  for (const listener of listeners) {
    for (const { terminal } of chainsOf(listener)) {
      if (terminal.kind === "tcp") for (const { cluster } of terminal.clusters) names.add(cluster);
      else if ("inline" in terminal.routes) addTable(terminal.routes.inline);
    }
  }
  for (const table of tables) addTable(table);
  return names;
}
