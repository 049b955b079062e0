import { type Balancer, createBalancer, createHashBalancer, type HashBalancer, healthySet } from "@lateen/traffic";
import type { BreakerLimits, ClusterSpec, DnsRules, EndpointSpec, LocalityEndpointsSpec } from "../config/plan.ts";
import type { HeadPool } from "../http1/head.ts";
import type { IoLoop } from "../io/io-loop.ts";
import type { DnsAnswer, DnsQuestion } from "../io/resolver.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { ClusterCounters } from "../stats/cluster-counters.ts";
import type { TlsContexts } from "../tls/contexts.ts";
import { Breaker, type BreakerPart } from "./breaker.ts";
import { DnsDiscovery } from "./dns-discovery.ts";
import { DynamicHosts, type HostOutcome } from "./dynamic-hosts.ts";
import { Endpoint } from "./endpoint.ts";
import { Outliers } from "./outliers.ts";
import type { PeerNote, UpstreamPeers } from "./peers.ts";

/** What every cluster of a worker shares. */
export interface UpstreamContext {
  readonly io: IoLoop;
  readonly heads: HeadPool;
  readonly tls: TlsContexts;
  readonly random: () => number;
  /**
   * Where an original destination is really dialled: inbound, the application behind `pod:containerPort`; else itself. Undefined
   * when nothing may be dialled there, such as this proxy's own listeners.
   */
  mapDestination(
    address: string,
    port: number,
    direction: ClusterSpec["direction"],
  ): { readonly host: string; readonly port: number } | undefined;
  /** Where connections of such clusters come from, before what the cluster says itself. Default nowhere in particular. */
  readonly sources?: (direction: ClusterSpec["direction"]) => readonly string[];
  /** Asks the name service; an answer older than `maxAgeMs` is not used again. */
  lookup(question: DnsQuestion, maxAgeMs: number): Promise<DnsAnswer>;
  counters(cluster: string): ClusterCounters;
  /** The other workers of the process; absent: there are none. */
  readonly peers?: UpstreamPeers | undefined;
}

interface Group {
  readonly share: number;
  readonly priority: number;
  readonly endpoints: readonly Endpoint[];
  readonly balancer: Balancer | HashBalancer;
}

/** What a choice of endpoint depends on besides the cluster. */
export interface PickOptions {
  /** Endpoints to avoid while `attempts` allows. */
  readonly tried?: readonly Endpoint[];
  /** Choices to make at most; default 1. */
  readonly attempts?: number;
  /** What stands for the client on a hash ring; undefined: any place. */
  readonly hash?: bigint | undefined;
  /** Leave out the priorities of `tried` once there are two of them, where others can be had. */
  readonly avoidPriorities?: boolean;
}

const MAX_ORIGINAL_DESTINATIONS = 1024;
/** How often the weights of new endpoints grow. */
const WARM_STEPS = 20;
/** How often parts of breakers that are at their limit are looked at again, where other workers take part. */
const REVIEW_MS = 1000;
const NONE: readonly Endpoint[] = [];
/** Envoy's. */
const DEFAULT_LIMITS: BreakerLimits = {
  maxConnections: 1024,
  maxPendingRequests: 1024,
  maxRequests: 1024,
  maxRetries: 3,
};
const DEFAULT_DNS: DnsRules = { refreshMs: 5000, respectTtl: false, failure: undefined, family: "auto" };

/** A cluster in force: its endpoints, its balance, its circuit breakers and its outliers. */
export class Cluster {
  readonly spec: ClusterSpec;
  readonly context: UpstreamContext;
  readonly counters: ClusterCounters;
  /** Load and limits of ordinary requests and connections. */
  readonly breaker: Breaker;
  #high: Breaker | undefined = undefined;
  /** Slot for whoever caches per-cluster data (metric series). */
  cache: unknown = undefined;
  #endpoints = new Map<string, Endpoint>();
  #localities: readonly LocalityEndpointsSpec[] = [];
  #groups: readonly Group[] = [];
  readonly #outliers: Outliers;
  #dns: DnsDiscovery | undefined = undefined;
  #retired = false;

  /** @param before the version it takes the place of, whose addresses of host names it begins with. */
  constructor(spec: ClusterSpec, context: UpstreamContext, before?: Cluster) {
    this.spec = spec;
    this.context = context;
    this.counters = context.counters(spec.name);
    this.#outliers = new Outliers(spec.outlier, {
      context,
      counted: () => this.#endpoints.size,
      isEndpoint: (endpoint) => [...this.#endpoints.values()].includes(endpoint),
      ejected: (endpoint) => this.#tellEjected(endpoint),
      changed: () => this.#rebalance(),
    });
    this.breaker = this.#newBreaker("default", spec.circuitBreakers);
    switch (spec.discovery) {
      case "static":
        this.setEndpoints(spec.endpoints);
        break;
      case "strictDns":
      case "logicalDns":
        this.#dns = this.#watchNames(before);
        this.#dns.start();
        break;
      case "dynamicForward":
        this.#dynamic = this.#makeDynamic();
        break;
      case "eds":
      case "originalDst":
        break;
    }
  }
  #dynamic: DynamicHosts | undefined = undefined;

  #makeDynamic(): DynamicHosts | undefined {
    const { spec, context, counters } = this;
    if (spec.dynamicHosts === undefined) return undefined;
    return new DynamicHosts(spec.dynamicHosts, spec.dns ?? DEFAULT_DNS, {
      context,
      counters,
      defaultPort: spec.transport.kind === "tls" ? 443 : 80,
      make: (endpoint, host) => {
        const made = new Endpoint(endpoint, this, { host: endpoint.address, port: endpoint.port }, host);
        this.#endpoints.set(`${host}|${endpoint.port}`, made);
        return made;
      },
      drop: (key) => {
        const gone = this.#endpoints.get(key);
        if (gone === undefined) return;
        this.#outliers.forget(gone);
        gone.retire();
        this.#endpoints.delete(key);
      },
    });
  }

  /** Makes the host of a request known; undefined: hosts of requests are none of this cluster's endpoints. */
  requireHost(authority: string, done: (outcome: HostOutcome) => void): HostOutcome | (() => void) | undefined {
    return this.#dynamic?.require(authority, done);
  }

  /** The host a request is for, when its address is known and may be dialled. */
  hostOf(authority: string): Endpoint | undefined {
    if (!this.#used) this.#use();
    const endpoint = this.#dynamic?.find(authority);
    if (endpoint === undefined || endpoint.ejected) return undefined;
    const { address, port } = endpoint.spec;
    return this.context.mapDestination(address, port, this.spec.direction) === undefined ? undefined : endpoint;
  }

  #watchNames(before: Cluster | undefined): DnsDiscovery {
    const { spec, context, counters } = this;
    const changed = (localities: readonly LocalityEndpointsSpec[]): void => {
      if (spec.discovery === "logicalDns") this.#relocate(localities);
      this.setEndpoints(localities);
    };
    return new DnsDiscovery(spec, spec.dns ?? DEFAULT_DNS, {
      context,
      counters,
      changed,
      before: before === undefined ? undefined : before.#dns,
    });
  }

  /** A logical host that moves stays one host: its connections live on, new ones go to the new address. */
  #relocate(localities: readonly LocalityEndpointsSpec[]): void {
    const next = localities[0]?.endpoints[0];
    const known = [...this.#endpoints.values()][0];
    if (next === undefined || known === undefined) return;
    known.relocate(next);
    this.#endpoints = new Map([[endpointKey(next), known]]);
  }

  /** Resolves when its endpoints are known as far as they can be. */
  warmed(): Promise<void> {
    return this.#dns?.answered() ?? Promise.resolve();
  }

  /** A request was sent to it, or is about to be. */
  get used(): boolean {
    return this.#used;
  }

  /** Whoever probes for all workers must know. */
  #use(): void {
    this.#used = true;
    if (this.spec.healthCheck === undefined) return;
    this.context.peers?.tell({ kind: "used", cluster: this.spec.name });
  }
  #used = false;

  get endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
  }

  get endpointCount(): number {
    return this.#endpoints.size;
  }

  /** Endpoints that outlier detection holds back. */
  get ejectedCount(): number {
    return this.#outliers.ejected;
  }

  /** Judges an endpoint by one outcome (outlier detection). `status` 0 = no response because of the network. */
  record(endpoint: Endpoint, status: number): void {
    if (this.spec.outlier !== undefined) this.#outliers.record(endpoint, status);
  }

  /** Puts a new set of endpoints in force. Known addresses keep their connections and their record. */
  setEndpoints(localities: readonly LocalityEndpointsSpec[]): void {
    const previous = this.#endpoints;
    this.#endpoints = new Map();
    this.#localities = localities;
    for (const locality of localities) {
      for (const spec of locality.endpoints) {
        const key = endpointKey(spec);
        const known = previous.get(key);
        if (known !== undefined) known.spec = spec;
        this.#endpoints.set(key, known ?? new Endpoint(spec, this, { host: spec.address, port: spec.port }));
        previous.delete(key);
      }
    }
    for (const gone of previous.values()) {
      this.#outliers.forget(gone);
      gone.retire();
    }
    this.#rebalance();
    this.#probe();
  }

  #probe(): void {
    if (this.spec.healthCheck === undefined || !(this.#named || (this.context.peers?.probes ?? true))) return;
    for (const endpoint of this.#endpoints.values()) endpoint.watch(() => this.#rebalance());
  }

  /** Its endpoints are what this worker's own look-ups found: other workers may have found others. */
  get #named(): boolean {
    return this.spec.discovery !== "static" && this.spec.discovery !== "eds";
  }

  /** This worker probes for all from now on; what is known already is told to those who begin. */
  beginProbes(): void {
    if (this.spec.healthCheck === undefined || this.#named) return;
    this.#probe();
    for (const endpoint of this.#endpoints.values()) if (endpoint.judged) this.tellHealth(endpoint);
  }

  /** To the other workers, what a check of this one found. */
  tellHealth(endpoint: Endpoint): void {
    if (this.#named) return;
    const key = endpointKey(endpoint.spec);
    this.context.peers?.tell({ kind: "health", cluster: this.spec.name, endpoint: key, ill: endpoint.failedCheck });
  }

  #tellEjected(endpoint: Endpoint): void {
    this.counters.ejection();
    this.context.peers?.tell({ kind: "ejected", cluster: this.spec.name, endpoint: endpointKey(endpoint.spec) });
  }

  /** Takes over what another worker has found. */
  take(note: PeerNote): void {
    if (note.kind === "used") {
      this.#used = true;
      return;
    }
    const endpoint = this.#endpoints.get(note.endpoint);
    if (endpoint === undefined) return;
    if (note.kind === "ejected") {
      this.#outliers.holdBack(endpoint);
      return;
    }
    endpoint.judged = true;
    if (endpoint.failedCheck === note.ill) return;
    endpoint.failedCheck = note.ill;
    this.#rebalance();
  }

  /** The endpoint for one request, or undefined: no healthy upstream. `tried` are avoided when `attempts` allows. */
  pick({ tried = NONE, attempts = 1, hash, avoidPriorities = false }: PickOptions = {}): Endpoint | undefined {
    if (!this.#used) this.#use();
    const groups = avoidPriorities && tried.length > 1 ? this.#untried(tried) : this.#groups;
    const place = this.spec.balance === "hash" ? (hash ?? this.#anyPlace()) : 0n;
    let endpoint = this.#pickOnce(groups, place, 0);
    for (let i = 1; i < attempts && endpoint !== undefined && tried.includes(endpoint); i++)
      endpoint = this.#pickOnce(groups, place, i);
    return endpoint;
  }

  #pickOnce(groups: readonly Group[], place: bigint, attempt: number): Endpoint | undefined {
    if (groups.length === 0) return undefined;
    let group = groups[0];
    if (groups.length > 1) {
      const hashed = this.spec.balance === "hash";
      let point = hashed ? Number(place % 10_000n) / 10_000 : this.context.random();
      for (const candidate of groups) {
        group = candidate;
        point -= candidate.share;
        if (point < 0) break;
      }
    }
    return group?.endpoints[group.balancer.pick(place, attempt)];
  }

  /** Groups of priorities that no endpoint of `tried` is of, their shares grown to a whole; all groups when there are none. */
  #untried(tried: readonly Endpoint[]): readonly Group[] {
    const gone = new Set(this.#groups.filter((group) => tried.some((endpoint) => group.endpoints.includes(endpoint))));
    const priorities = new Set([...gone].map((group) => group.priority));
    const left = this.#groups.filter((group) => !priorities.has(group.priority));
    const spare = left.length > 0 ? left : this.#spareGroups(priorities);
    const total = spare.reduce((sum, group) => sum + group.share, 0);
    return spare.length === 0 ? this.#groups : spare.map((group) => ({ ...group, share: group.share / total }));
  }

  /** What would be used if the endpoints of these priorities were not there. */
  #spareGroups(without: ReadonlySet<number>): readonly Group[] {
    return this.#groupsOf(this.#localities.filter((locality) => !without.has(locality.priority)));
  }

  #anyPlace(): bigint {
    const { random } = this.context;
    const word = () => BigInt(Math.floor(random() * 4_294_967_296));
    return (word() << 32n) | word();
  }

  /** Load and limits of a priority. @param high of routes with priority HIGH. */
  breakerOf(high: boolean): Breaker {
    if (!high) return this.breaker;
    this.#high ??= this.#newBreaker("high", this.spec.highCircuitBreakers ?? DEFAULT_LIMITS);
    return this.#high;
  }

  #newBreaker(priority: "default" | "high", limits: BreakerLimits): Breaker {
    const changed = (part: BreakerPart, open: boolean): void => {
      this.counters.breaker(priority, part, open);
      // Other workers may take their load away without a word to this one.
      if (open && this.context.peers !== undefined) this.#reviewTimer().arm(REVIEW_MS);
    };
    return new Breaker(limits, changed, this.context.peers?.load(this.spec.name, priority === "high"));
  }

  #reviewTimer(): WheelTimer {
    this.#review ??= this.context.io.wheel.timer(() => {
      const open = [this.breaker, this.#high].filter((breaker) => breaker?.review() === true);
      if (open.length > 0 && !this.#retired) this.#reviewTimer().arm(REVIEW_MS);
    });
    return this.#review;
  }
  #review: WheelTimer | undefined = undefined;

  get activeRequests(): number {
    return this.breaker.activeRequests + (this.#high?.activeRequests ?? 0);
  }

  get pendingRequests(): number {
    return this.breaker.pendingRequests + (this.#high?.pendingRequests ?? 0);
  }

  get connections(): number {
    return this.breaker.connections + (this.#high?.connections ?? 0);
  }

  /** The endpoint at an original destination; undefined when nothing may be dialled there. */
  originalDestination(address: string, asked: number): Endpoint | undefined {
    const port = this.spec.portOverride ?? asked;
    const key = `${address}|${port}`;
    const known = this.#endpoints.get(key);
    if (known !== undefined) return known;
    const mapped = this.context.mapDestination(address, port, this.spec.direction);
    if (mapped === undefined) return undefined;
    if (this.#endpoints.size >= MAX_ORIGINAL_DESTINATIONS) {
      const oldest = this.#endpoints.keys().next().value;
      if (oldest !== undefined) {
        this.#endpoints.get(oldest)?.retire();
        this.#endpoints.delete(oldest);
      }
    }
    const spec: EndpointSpec = {
      address,
      port,
      weight: 1,
      healthy: true,
      transportSocketMatch: {},
      workload: undefined,
    };
    const endpoint = new Endpoint(spec, this, mapped);
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }

  connectionOpened(breaker: Breaker = this.breaker): void {
    breaker.addConnections(1);
    this.counters.connection();
  }

  connectionClosed(breaker: Breaker = this.breaker): void {
    breaker.addConnections(-1);
    this.counters.connectionGone();
  }

  #rebalance(): void {
    this.#warm();
    this.#groups = this.#groupsOf(this.#localities);
  }

  #groupsOf(specs: readonly LocalityEndpointsSpec[]): readonly Group[] {
    const localities = specs.map((locality) => ({
      priority: locality.priority,
      overprovisioning: locality.overprovisioning,
      // A ring holds all localities of a priority.
      weight: this.spec.balance === "hash" ? undefined : locality.weight,
      endpoints: locality.endpoints.flatMap((spec) => this.#endpoints.get(endpointKey(spec)) ?? []),
    }));
    return healthySet(localities, this.spec.panicPercent).map((group) => ({
      share: group.share,
      priority: group.priority,
      endpoints: group.endpoints,
      balancer: this.#balancer(group.endpoints),
    }));
  }

  #balancer(endpoints: readonly Endpoint[]): Balancer | HashBalancer {
    const { balance, hash, choices } = this.spec;
    if (balance === "hash" && hash !== undefined) {
      const keyed = endpoints.map((endpoint) => ({
        key: endpoint.spec.hashKey ?? endpoint.text,
        weight: endpoint.weight,
      }));
      return createHashBalancer(hash, keyed);
    }
    return createBalancer(balance === "leastRequest" || balance === "random" ? balance : "roundRobin", endpoints, {
      random: this.context.random,
      inFlight: (index) => endpoints[index]?.active ?? 0,
      choices,
    });
  }

  /** Gives new endpoints the share of their weight that their age has earned, and comes back while some are still new. */
  #warm(): void {
    const { slowStart } = this.spec;
    if (slowStart === undefined) return;
    const { wheel } = this.context.io;
    const now = wheel.now();
    let warming = false;
    for (const endpoint of this.#endpoints.values()) {
      const age = Math.max(1, now - endpoint.createdMs) / slowStart.windowMs;
      endpoint.warmth = age >= 1 ? 1 : Math.max(slowStart.minPercent / 100, age ** (1 / slowStart.aggression));
      warming ||= age < 1;
    }
    if (!warming || this.#retired) return;
    this.#warmTimer ??= wheel.timer(() => this.#rebalance());
    this.#warmTimer.arm(Math.max(100, slowStart.windowMs / WARM_STEPS));
  }
  #warmTimer: WheelTimer | undefined = undefined;

  /** Taken out of the plan: idle connections close, requests under way finish. */
  retire(): void {
    this.#retired = true;
    this.#outliers.stop();
    this.breaker.detach();
    this.#high?.detach();
    this.#review?.cancel();
    this.#dns?.stop();
    this.#dynamic?.stop();
    this.#warmTimer?.cancel();
    for (const endpoint of this.#endpoints.values()) endpoint.retire();
  }

  destroy(): void {
    this.retire();
    for (const endpoint of this.#endpoints.values()) endpoint.destroy();
  }
}

function endpointKey(spec: EndpointSpec): string {
  const match = Object.entries(spec.transportSocketMatch)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
  return match === "" ? `${spec.address}|${spec.port}` : `${spec.address}|${spec.port}|${match}`;
}
