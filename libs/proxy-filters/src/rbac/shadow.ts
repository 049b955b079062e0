import type { FilterStats } from "@lateen/proxy";
import { type CompiledRbac, compileRbac, type HeadView, type PeerFacts } from "@lateen/traffic";
import type { RbacConfig } from "./config.ts";

/** Prefix of what policies of a dry run say, and of no other rules. */
const DRY_RUN = /^istio_dry_run_(allow|deny)_$/;

/** Rules that are looked at and not enforced. Those of a dry run are counted, by what they would have done. */
export class ShadowRules {
  readonly prefix: string;
  readonly #rbac: CompiledRbac;
  readonly #stats: FilterStats;
  readonly #counters: { readonly allowed: number; readonly denied: number } | undefined;

  /** @param metric series that counts, with labels as Istio's proxies have them. */
  constructor({ rules, prefix }: NonNullable<RbacConfig["shadow"]>, metric: string, stats: FilterStats) {
    this.prefix = prefix;
    this.#rbac = compileRbac(rules);
    this.#stats = stats;
    const [, action] = DRY_RUN.exec(prefix) ?? [];
    const counter = (result: string) =>
      stats.counter(metric, { authz_dry_run_action: action ?? "", authz_dry_run_result: result });
    this.#counters = action === undefined ? undefined : { allowed: counter("allowed"), denied: counter("denied") };
  }

  /** What they say of a request, or of a connection without one. */
  judge(
    head: HeadView | undefined,
    peer: PeerFacts,
  ): { readonly allowed: boolean; readonly policy?: string | undefined } {
    const verdict = this.#rbac.evaluate(head, peer);
    const counters = this.#counters;
    if (counters !== undefined) this.#stats.add(verdict.allowed ? counters.allowed : counters.denied, 1);
    return verdict;
  }
}
