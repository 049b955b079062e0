import { isDeepStrictEqual } from "node:util";
import { messageOf } from "@lateen/kernel";
import { compileRouteTable, type RouteTable, type RouteTableSpec } from "@lateen/traffic";
import type { ClusterSpec, LocalityEndpointsSpec, PlanDelta } from "../config/plan.ts";
import { checkTls, type TlsContexts } from "../tls/contexts.ts";
import { Cluster, type UpstreamContext } from "../upstream/cluster.ts";
import type { ApplyFailure } from "./protocol.ts";
import type { PlanView } from "./state.ts";

/** A delta made ready: what can go wrong has gone wrong, {@link PlanStore.commit} only swaps. */
export interface PreparedPlan {
  readonly delta: PlanDelta;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly tables: ReadonlyMap<string, RouteTable>;
  readonly failures: readonly ApplyFailure[];
}

/** Clusters, route tables and names in force. */
export class PlanStore implements PlanView {
  readonly #upstream: UpstreamContext;
  readonly #tls: TlsContexts;
  readonly #clusters = new Map<string, Cluster>();
  readonly #endpoints = new Map<string, readonly LocalityEndpointsSpec[]>();
  readonly #tables = new Map<string, RouteTable>();
  #names: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(upstream: UpstreamContext, tls: TlsContexts) {
    this.#upstream = upstream;
    this.#tls = tls;
  }

  get clusters(): Iterable<Cluster> {
    return this.#clusters.values();
  }

  cluster(name: string): Cluster | undefined {
    return this.#clusters.get(name);
  }

  routes(name: string): RouteTable | undefined {
    return this.#tables.get(name);
  }

  resolveName(host: string): readonly string[] | undefined {
    return this.#names.get(host);
  }

  /** Compiles what the delta brings. Secrets take effect at once: they are needed to judge the rest, and hurt nobody. */
  prepare(delta: PlanDelta): PreparedPlan {
    const failures: ApplyFailure[] = this.#tls
      .update(delta.secrets)
      .map(({ name, reason }) => ({ resource: "secret", name, reason }));
    const clusters = new Map<string, Cluster>();
    for (const spec of delta.clusters) {
      const known = this.#clusters.get(spec.name);
      if (known !== undefined && isDeepStrictEqual(known.spec, spec)) continue;
      try {
        clusters.set(spec.name, this.#newCluster(spec, known));
      } catch (error) {
        failures.push({ resource: "cluster", name: spec.name, reason: messageOf(error) });
      }
    }
    const tables = new Map<string, RouteTable>();
    for (const spec of delta.routes) {
      const table = this.#compile(spec, failures);
      if (table !== undefined) tables.set(spec.name, table);
    }
    return { delta, clusters, tables, failures };
  }

  /** The one swap. What must go, goes in {@link removeOld}, once listeners no longer lead to it. */
  commit({ delta, clusters, tables }: PreparedPlan): void {
    for (const [name, cluster] of clusters) {
      this.#clusters.get(name)?.retire();
      this.#clusters.set(name, cluster);
      const endpoints = this.#endpoints.get(name);
      if (endpoints !== undefined && cluster.spec.discovery === "eds") cluster.setEndpoints(endpoints);
    }
    for (const { cluster, localities } of delta.endpoints) {
      this.#endpoints.set(cluster, localities);
      this.#clusters.get(cluster)?.setEndpoints(localities);
    }
    for (const [name, table] of tables) this.#tables.set(name, table);
    if (delta.names !== undefined) this.#names = new Map(Object.entries(delta.names));
  }

  removeOld(delta: PlanDelta): void {
    for (const name of delta.removedRoutes) this.#tables.delete(name);
    for (const name of delta.removedClusters) {
      this.#clusters.get(name)?.retire();
      this.#clusters.delete(name);
      this.#endpoints.delete(name);
    }
  }

  destroy(): void {
    for (const cluster of this.#clusters.values()) cluster.destroy();
  }

  /** TLS settings that no certificate can make work are refused now rather than at the first request. */
  #newCluster(spec: ClusterSpec, before: Cluster | undefined): Cluster {
    for (const transport of [spec.transport, ...spec.transportMatches.map((entry) => entry.transport)]) {
      const problem = transport.kind === "tls" ? checkTls(transport) : undefined;
      if (problem !== undefined) throw new Error(problem);
    }
    return new Cluster(spec, this.#upstream, before);
  }

  #compile(spec: RouteTableSpec, failures: ApplyFailure[]): RouteTable | undefined {
    try {
      return compileRouteTable(spec);
    } catch (error) {
      failures.push({ resource: "route", name: spec.name, reason: messageOf(error) });
      return undefined;
    }
  }
}
