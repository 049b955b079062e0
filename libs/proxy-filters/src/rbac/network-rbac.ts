import type { NetworkFilter, NetworkFilterRuntime } from "@lateen/proxy";
import { compileRbac } from "@lateen/traffic";
import { NETWORK_RBAC, type RbacConfig } from "./config.ts";
import { deniedDetails } from "./details.ts";

const ALLOWED = { allowed: true, details: "" } as const;

/** Authorisation of connections. @see envoy.extensions.filters.network.rbac.v3.RBAC */
export const networkRbacRuntime: NetworkFilterRuntime<RbacConfig> = {
  name: NETWORK_RBAC,
  create(config: RbacConfig): NetworkFilter {
    if (config.rules === undefined) return { onConnection: () => ALLOWED };
    const rbac = compileRbac(config.rules);
    return {
      onConnection(peer) {
        const verdict = rbac.evaluate(undefined, peer);
        return verdict.allowed ? ALLOWED : { allowed: false, details: deniedDetails(verdict.policy) };
      },
    };
  },
};
