import type { MeshConfig } from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { authorizationRules } from "../lower/authorization.ts";
import type { RbacRules } from "../lower/filters.ts";
import type { RouteContext } from "../lower/route-context.ts";
import { type ProxyScope, scopeKey, type WorkloadScope } from "../scope.ts";
import { authorizationPoliciesFor } from "../world/policies.ts";
import { meshConfigOf, serviceByHost, settingsOf } from "../world/services.ts";
import { visibility } from "../world/visibility.ts";

/** Whether traffic to unknown hosts goes on. */
export const allowsAny = defineQuery<ProxyScope, boolean>({
  name: "allowsAny",
  key: scopeKey,
  compute: (read, scope) => read.ask(visibility, scope).allowAny,
});

/** What routes of a client may look up, except which place they are for. */
export function routeContext(read: Read, scope: ProxyScope): Omit<RouteContext, "gateway" | "port" | "secure"> {
  return {
    namespace: scope.namespace,
    labels: scope.labels,
    domain: settingsOf(read).domain,
    service: (host) => read.ask(serviceByHost, host),
    retry: meshConfigOf(read).defaultHttpRetryPolicy,
    annotate: scope.lateen,
  };
}

/** Access rules of a workload for both kinds of chains. */
export function accessRules(
  read: Read,
  scope: WorkloadScope,
  config: MeshConfig,
): { readonly http: RbacRules; readonly tcp: RbacRules } {
  const policies = read.ask(authorizationPoliciesFor, { namespace: scope.namespace, labels: scope.labels });
  const trustDomains = [config.trustDomain, ...config.trustDomainAliases];
  return {
    http: authorizationRules(policies, { trustDomains, layer: "http" }),
    tcp: authorizationRules(policies, { trustDomains, layer: "tcp" }),
  };
}
