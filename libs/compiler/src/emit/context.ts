import type { ExtAuthzProvider, MeshConfig, ProxyHeaders } from "@lateen/mesh-model";
import type { JwtAuthentication } from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { ObservedConfig } from "../lower/access-log.ts";
import { authorizationRules } from "../lower/authorization.ts";
import type { RbacRules } from "../lower/filters.ts";
import { jwtAuthentication, type KeySource } from "../lower/jwt.ts";
import type { ConsistentHash } from "../lower/load-balancing.ts";
import { PASSTHROUGH_CLUSTER } from "../lower/names.ts";
import type { RouteContext } from "../lower/route-context.ts";
import { collectorOf, tracing } from "../lower/tracing.ts";
import { policyFor } from "../lower/traffic-policy.ts";
import { sameJson } from "../resource.ts";
import { type ProxyScope, scopeKey, type WorkloadScope } from "../scope.ts";
import { destinationPolicy, type PolicyClient, policyClient, policyClientKey } from "../world/destination-rules.ts";
import { cells } from "../world/mesh-snapshot.ts";
import { authorizationPoliciesFor, requestAuthenticationsFor } from "../world/policies.ts";
import { meshConfigOf, serviceFor, settingsOf } from "../world/services.ts";
import { observationOf, providerNamed, type Side } from "../world/telemetry.ts";
import { visibility, visibleService } from "../world/visibility.ts";

/** The cluster that traffic to unknown hosts goes to; undefined: it is refused. */
export const fallbackCluster = defineQuery<ProxyScope, string | undefined>({
  name: "fallbackCluster",
  key: scopeKey,
  compute: (read, scope) => {
    const { allowAny, egressProxy } = read.ask(visibility, scope);
    return allowAny ? (egressProxy ?? PASSTHROUGH_CLUSTER) : undefined;
  },
});

/** What routes of a client may look up, except which place they are for. */
export function routeContext(read: Read, scope: ProxyScope): Omit<RouteContext, "gateway" | "port" | "secure"> {
  return {
    namespace: scope.namespace,
    labels: scope.labels,
    domain: settingsOf(read).domain,
    service: (host) => serviceFor(read, host, scope.namespace),
    consistentHash: (host, port, subset) =>
      read.ask(hashOfDestination, { host, port, subset, client: policyClient(read, scope) }),
    retry: meshConfigOf(read).defaultHttpRetryPolicy,
    annotate: scope.lateen,
    tellAttempts: !proxyHeadersOf(read, scope).attemptCount?.disabled,
    tellHost: proxyHeadersOf(read, scope).xForwardedHost?.enabled ?? false,
  };
}

function proxyHeadersOf(read: Read, { own }: ProxyScope): ProxyHeaders {
  return (own === undefined ? meshConfigOf(read).defaultConfig : own).proxyHeaders ?? {};
}

/** Routes change only when the hashing of their destinations does, not with every destination rule. */
const hashOfDestination = defineQuery<
  { readonly host: string; readonly port: number; readonly subset: string; readonly client: PolicyClient },
  ConsistentHash | undefined
>({
  name: "hashOfDestination",
  key: ({ host, port, subset, client }) => `${host}:${port}/${subset} ${policyClientKey(client)}`,
  compute: (read, { host, port, subset, client }) =>
    policyFor(read.ask(destinationPolicy, { host, client }), port, subset).loadBalancer?.consistentHash,
  equal: sameJson,
});

/** Access rules of a workload for both kinds of chains. */
export function accessRules(
  read: Read,
  scope: WorkloadScope,
  config: MeshConfig,
): {
  readonly http: RbacRules;
  readonly tcp: RbacRules;
  /** For proxyless servers, where nobody verifies tokens. */
  readonly tokenless: RbacRules;
  readonly tokens: JwtAuthentication | undefined;
} {
  const subject = { namespace: scope.namespace, labels: scope.labels };
  const policies = read.ask(authorizationPoliciesFor, subject);
  const trustDomains = [config.trustDomain, ...config.trustDomainAliases];
  const keys = (source: KeySource) => read.input(cells.keySet(source.url)) as string | undefined;
  return {
    tokens: jwtAuthentication(read.ask(requestAuthenticationsFor, subject), keys, scope.kind === "router"),
    tokenless: authorizationRules(policies, { trustDomains, layer: "http", tokens: false }),
    http: authorizationRules(policies, { trustDomains, layer: "http", providers: authorizers(config) }),
    tcp: authorizationRules(policies, { trustDomains, layer: "tcp" }),
  };
}

/** Providers that CUSTOM policies may name. */
function authorizers({ extensionProviders }: MeshConfig): ReadonlyMap<string, ExtAuthzProvider> {
  return new Map(
    extensionProviders.flatMap(({ name, extAuthz }) => (extAuthz === undefined ? [] : [[name, extAuthz] as const])),
  );
}

/** The mesh configuration with what Telemetry objects say of a workload on one side. */
export function observedConfig(read: Read, scope: ProxyScope, side: Side): ObservedConfig {
  const config = meshConfigOf(read);
  const subject = { namespace: scope.namespace, labels: scope.labels, side };
  const { logs, tracing: use, metrics } = read.ask(observationOf, subject);
  const provider = use && providerNamed(config, use.provider);
  const collector = provider && collectorOf(provider);
  // An Envoy refuses all of a listener whose collector it does not know.
  const service = collector && read.ask(visibleService, { scope, host: collector.host });
  const known = service?.ports.some(({ number }) => number === collector?.port) ?? false;
  const { labels } = scope;
  const workload = {
    namespace: scope.namespace,
    meshId: config.trustDomain,
    service: labels["service.istio.io/canonical-name"] ?? labels.app ?? "unknown",
    revision: labels["service.istio.io/canonical-revision"] ?? labels.version ?? "latest",
  };
  return {
    ...config,
    defaultConfig: { ...config.defaultConfig, ...scope.own },
    logs,
    metrics,
    tracing: known && use !== undefined && provider !== undefined ? tracing(use, provider, workload) : undefined,
  };
}
