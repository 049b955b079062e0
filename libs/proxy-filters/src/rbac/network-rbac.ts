import type { FilterStats, NetworkFilter, NetworkFilterRuntime } from "@lateen/proxy";
import { compileRbac } from "@lateen/traffic";
import { NETWORK_RBAC, type RbacConfig } from "./config.ts";
import { deniedDetails } from "./details.ts";
import { ShadowRules } from "./shadow.ts";

const MOST_CANDIDATES = 32;
const ALLOWED = { allowed: true, details: "" } as const;

/** Authorisation of connections. @see envoy.extensions.filters.network.rbac.v3.RBAC */
export const networkRbacRuntime: NetworkFilterRuntime<RbacConfig> = {
  name: NETWORK_RBAC,
  create(config: RbacConfig, stats: FilterStats): NetworkFilter {
    const shadow = config.shadow && new ShadowRules(config.shadow, "envoy_rbac", stats);
    const rbac = config.rules && compileRbac(config.rules);
    const candidates = Object.keys(config.rules?.policies ?? {}).slice(0, MOST_CANDIDATES);
    return {
      onConnection(peer) {
        shadow?.judge(undefined, peer);
        if (rbac === undefined) return ALLOWED;
        const verdict = rbac.evaluate(undefined, peer);
        if (verdict.allowed) return ALLOWED;
        const { policy } = verdict;
        return {
          ...{ allowed: false, details: deniedDetails(policy) },
          ...(policy === undefined ? { candidates } : { because: policy }),
        };
      },
    };
  },
};
