import type { ClusterSpec, FilterContext, FilterStats, WorkloadFacts } from "@lateen/proxy";
import { type Call, callLabels, destinationOf } from "./labels.ts";
import { CallSeries } from "./series.ts";

/** Pairs of workloads told apart by one worker; further ones are counted together, under `unknown` names. */
const MAX_CALLS = 2000;

type ByParty = WeakMap<object, CallSeries>;
type ByPrincipal = Map<string, ByParty>;

/**
 * Finds the series of a call by the identity of what is known about it: cluster, principal of the other end, and endpoint or
 * peer. New objects that say the same (after a push) lead to the same series. One per worker.
 */
export class CallTable {
  readonly #stats: FilterStats;
  readonly #self: FilterContext["self"];
  readonly #known = { source: new WeakMap<object, ByPrincipal>(), destination: new WeakMap<object, ByPrincipal>() };
  readonly #byLabels = new Map<string, CallSeries>();
  readonly #byHost = new Map<string, CallSeries>();

  constructor(context: Pick<FilterContext, "stats" | "self">) {
    this.#stats = context.stats;
    this.#self = context.self;
  }

  /**
   * @param party what the other end's facts were read from, with stable identity; undefined: nothing is known of it.
   * @param other the facts.
   */
  find(
    reporter: Call["reporter"],
    cluster: ClusterSpec | undefined,
    principal: string | undefined,
    party: object | undefined,
    other: WorkloadFacts | undefined,
  ): CallSeries {
    const known = this.#known[reporter]
      .get(cluster ?? NOTHING)
      ?.get(principal ?? "")
      ?.get(party ?? NOTHING);
    if (known !== undefined) return known;
    const series = this.#series({
      reporter,
      self: this.#self,
      other,
      principal,
      destination: destinationOf(cluster, ""),
    });
    this.#remember(this.#known[reporter], cluster ?? NOTHING, principal ?? "", party ?? NOTHING, series);
    return series;
  }

  /** Calls to destinations outside the registry, by the host asked for. */
  findHost(cluster: ClusterSpec, host: string): CallSeries {
    const key = `${cluster.name}|${host}`;
    const known = this.#byHost.get(key);
    if (known !== undefined) return known;
    const destination = destinationOf(cluster, this.#byHost.size < MAX_CALLS ? host : "");
    const call: Call = { reporter: "source", self: this.#self, other: undefined, principal: undefined, destination };
    const series = this.#series(call);
    if (this.#byHost.size < MAX_CALLS) this.#byHost.set(key, series);
    return series;
  }

  #series(call: Call): CallSeries {
    const labels = callLabels(call);
    const key = JSON.stringify(labels);
    const known = this.#byLabels.get(key);
    if (known !== undefined) return known;
    if (this.#byLabels.size >= MAX_CALLS && call.other !== undefined)
      return this.#series({ ...call, other: undefined, principal: undefined });
    const series = new CallSeries(labels, this.#stats);
    this.#byLabels.set(key, series);
    return series;
  }

  #remember(
    table: WeakMap<object, ByPrincipal>,
    cluster: object,
    principal: string,
    party: object,
    series: CallSeries,
  ): void {
    const byPrincipal = table.get(cluster) ?? new Map<string, ByParty>();
    if (byPrincipal.size >= MAX_CALLS && !byPrincipal.has(principal)) return;
    const byParty = byPrincipal.get(principal) ?? new WeakMap<object, CallSeries>();
    byParty.set(party, series);
    byPrincipal.set(principal, byParty);
    table.set(cluster, byPrincipal);
  }
}

/** Stands for "none" where a key must be an object. */
const NOTHING: object = Object.freeze({});
