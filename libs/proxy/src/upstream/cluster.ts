import { type Balancer, createBalancer, healthySet } from "@lateen/traffic";
import type { ClusterSpec, EndpointSpec, LocalityEndpointsSpec } from "../config/plan.ts";
import type { HeadPool } from "../http1/head.ts";
import type { IoLoop } from "../io/io-loop.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import type { ClusterCounters } from "../stats/cluster-counters.ts";
import type { TlsContexts } from "../tls/contexts.ts";
import { Endpoint } from "./endpoint.ts";

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
  resolve(host: string): Promise<readonly string[]>;
  counters(cluster: string): ClusterCounters;
}

interface Group {
  readonly share: number;
  readonly endpoints: readonly Endpoint[];
  readonly balancer: Balancer;
}

const MAX_ORIGINAL_DESTINATIONS = 1024;

/** A cluster in force: its endpoints, its balance, its circuit breakers and its outliers. */
export class Cluster {
  readonly spec: ClusterSpec;
  readonly context: UpstreamContext;
  readonly counters: ClusterCounters;
  activeRequests = 0;
  pendingRequests = 0;
  connections = 0;
  /** Retries under way (circuit breaker `maxRetries`). */
  retries = 0;
  /** Slot for whoever caches per-cluster data (metric series). */
  cache: unknown = undefined;
  #endpoints = new Map<string, Endpoint>();
  #localities: readonly LocalityEndpointsSpec[] = [];
  #groups: readonly Group[] = [];
  #ejected = 0;
  #dnsTimer: WheelTimer | undefined = undefined;
  #retired = false;

  constructor(spec: ClusterSpec, context: UpstreamContext) {
    this.spec = spec;
    this.context = context;
    this.counters = context.counters(spec.name);
    switch (spec.discovery) {
      case "static":
        this.setEndpoints(spec.endpoints);
        break;
      case "strictDns":
      case "logicalDns":
        this.#dnsTimer = context.io.wheel.timer(() => this.#refreshDns());
        this.#refreshDns();
        break;
      case "eds":
      case "originalDst":
        break;
    }
  }

  get endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
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
      if (gone.ejected) this.#ejected--;
      gone.pool.retire();
    }
    this.#rebalance();
  }

  /** The endpoint for one request, or undefined: no healthy upstream. `tried` are avoided when `attempts` allows. */
  pick(tried: readonly Endpoint[] = [], attempts = 1): Endpoint | undefined {
    let endpoint = this.#pickOnce();
    for (let i = 1; i < attempts && endpoint !== undefined && tried.includes(endpoint); i++)
      endpoint = this.#pickOnce();
    return endpoint;
  }

  #pickOnce(): Endpoint | undefined {
    const groups = this.#groups;
    if (groups.length === 0) return undefined;
    let group = groups[0];
    if (groups.length > 1) {
      let point = this.context.random();
      for (const candidate of groups) {
        group = candidate;
        point -= candidate.share;
        if (point < 0) break;
      }
    }
    return group?.endpoints[group.balancer.pick()];
  }

  /** The endpoint at an original destination; undefined when nothing may be dialled there. */
  originalDestination(address: string, port: number): Endpoint | undefined {
    const key = `${address}|${port}`;
    const known = this.#endpoints.get(key);
    if (known !== undefined) return known;
    const mapped = this.context.mapDestination(address, port, this.spec.direction);
    if (mapped === undefined) return undefined;
    if (this.#endpoints.size >= MAX_ORIGINAL_DESTINATIONS) {
      const oldest = this.#endpoints.keys().next().value;
      if (oldest !== undefined) {
        this.#endpoints.get(oldest)?.pool.retire();
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

  connectionOpened(): void {
    this.connections++;
    this.counters.connection();
  }

  connectionClosed(): void {
    this.connections--;
    this.counters.connectionGone();
  }

  /** Judges an endpoint by one outcome (outlier detection). `status` 0 = no response because of the network. */
  record(endpoint: Endpoint, status: number): void {
    const outlier = this.spec.outlier;
    if (outlier === undefined) return;
    const local = status === 0;
    if (!local && status < 500) {
      endpoint.consecutive5xx = 0;
      endpoint.consecutiveGateway = 0;
      endpoint.consecutiveLocal = 0;
      return;
    }
    if (local && outlier.splitExternalLocalOriginErrors) {
      if (hit(++endpoint.consecutiveLocal, outlier.consecutiveLocalOriginFailure)) this.#eject(endpoint);
      return;
    }
    endpoint.consecutive5xx++;
    if (local || (status >= 502 && status <= 504)) endpoint.consecutiveGateway++;
    else endpoint.consecutiveGateway = 0;
    if (
      hit(endpoint.consecutive5xx, outlier.consecutive5xx) ||
      hit(endpoint.consecutiveGateway, outlier.consecutiveGatewayFailure)
    ) {
      this.#eject(endpoint);
    }
  }

  #eject(endpoint: Endpoint): void {
    const outlier = this.spec.outlier;
    if (outlier === undefined || endpoint.ejected || this.#retired) return;
    endpoint.consecutive5xx = 0;
    endpoint.consecutiveGateway = 0;
    endpoint.consecutiveLocal = 0;
    // At least one may always be ejected, whatever the share says.
    const allowed = Math.max(1, Math.floor((this.#endpoints.size * outlier.maxEjectionPercent) / 100));
    if (this.#ejected >= allowed) return;
    this.#ejected++;
    endpoint.ejected = true;
    endpoint.ejections++;
    this.counters.ejection();
    this.#rebalance();
    const back = this.context.io.wheel.timer(() => {
      if (!endpoint.ejected || this.#endpoints.get(endpointKey(endpoint.spec)) !== endpoint) return;
      endpoint.ejected = false;
      this.#ejected--;
      this.#rebalance();
    });
    back.arm(outlier.baseEjectionMs * endpoint.ejections);
  }

  #rebalance(): void {
    const kind = this.spec.balance === "clusterProvided" ? "roundRobin" : this.spec.balance;
    const localities = this.#localities.map((locality) => ({
      priority: locality.priority,
      weight: locality.weight,
      endpoints: locality.endpoints.flatMap((spec) => this.#endpoints.get(endpointKey(spec)) ?? []),
    }));
    this.#groups = healthySet(localities, this.spec.panicPercent).map((group) => ({
      share: group.share,
      endpoints: group.endpoints,
      balancer: createBalancer(kind, group.endpoints, {
        random: this.context.random,
        inFlight: (index) => group.endpoints[index]?.active ?? 0,
        choices: this.spec.choices,
      }),
    }));
  }

  #refreshDns(): void {
    void this.#resolveAll().finally(() => {
      if (!this.#retired) this.#dnsTimer?.arm(Math.max(1000, this.spec.dnsRefreshMs));
    });
  }

  /** Resolves every host name; a name that fails keeps the addresses it had. */
  async #resolveAll(): Promise<void> {
    const localities = await Promise.all(
      this.spec.endpoints.map(async (locality) => ({
        ...locality,
        endpoints: (await Promise.all(locality.endpoints.map((endpoint) => this.#resolveOne(endpoint)))).flat(),
      })),
    );
    if (!this.#retired) this.setEndpoints(localities);
  }

  async #resolveOne(endpoint: EndpointSpec): Promise<readonly EndpointSpec[]> {
    try {
      const addresses = await this.context.resolve(endpoint.address);
      const used = this.spec.discovery === "logicalDns" ? addresses.slice(0, 1) : addresses;
      this.#resolved.set(endpoint.address, used);
    } catch {
      this.counters.dnsFailure();
    }
    return (this.#resolved.get(endpoint.address) ?? []).map((address) => ({ ...endpoint, address }));
  }
  readonly #resolved = new Map<string, readonly string[]>();

  /** Taken out of the plan: idle connections close, requests under way finish. */
  retire(): void {
    this.#retired = true;
    this.#dnsTimer?.cancel();
    for (const endpoint of this.#endpoints.values()) endpoint.pool.retire();
  }

  destroy(): void {
    this.retire();
    for (const endpoint of this.#endpoints.values()) endpoint.pool.destroy();
  }
}

function endpointKey(spec: EndpointSpec): string {
  const match = Object.entries(spec.transportSocketMatch)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
  return match === "" ? `${spec.address}|${spec.port}` : `${spec.address}|${spec.port}|${match}`;
}

function hit(count: number, limit: number): boolean {
  return limit > 0 && count >= limit;
}
