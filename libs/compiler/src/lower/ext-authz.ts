import type { ExtAuthzProvider } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { ApiVersion } from "@lateen/proto/envoy/config/core/v3/config_source";
import type { RBAC } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import { ExtAuthz } from "@lateen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz";
import { RBAC as HttpRbac } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import type { HttpFilter } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import type { ListStringMatcher, StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { providerHost } from "./access-log.ts";
import { outboundCluster } from "./names.ts";
import { typed } from "./proto.ts";

/** What CUSTOM policies ask for: who is asked, and about which requests. */
export interface CustomRules {
  readonly providerName: string;
  readonly provider: ExtAuthzProvider;
  /** Not enforced: a match names a policy, and the service is asked about the request. */
  readonly shadow: RBAC;
}

/** As Istio names them, so that what reads logs and metadata of its proxies can read ours. */
const STAT_PREFIX = "istio_ext_authz_";
const POLICY_PREFIX = "istio-ext-authz";
const RBAC_FILTER = "envoy.filters.http.rbac";

/** Name of a rule of a CUSTOM policy in the shadow rules. */
export function customPolicyName(provider: string, policy: string): string {
  return `${POLICY_PREFIX}-${provider}-${policy}`;
}

/** Finds out whether a policy speaks of the request, then asks the service. */
export function customFilters({ provider, providerName, shadow }: CustomRules): readonly HttpFilter[] {
  const rules = HttpRbac.fromPartial({ shadowRules: shadow, shadowRulesStatPrefix: STAT_PREFIX });
  const authz = ExtAuthz.fromPartial({
    transportApiVersion: ApiVersion.V3,
    ...service(provider),
    failureModeAllow: provider.failOpen,
    statusOnError: { code: provider.statusOnError as 403 },
    clearRouteCache: provider.clearRouteCache,
    ...(provider.body === undefined
      ? {}
      : {
          withRequestBody: {
            maxRequestBytes: provider.body.maxBytes,
            allowPartialMessage: provider.body.allowPartial,
            packAsBytes: provider.body.asBytes,
          },
        }),
    filterEnabledMetadata: {
      filter: RBAC_FILTER,
      path: [{ segment: { $case: "key", value: `${STAT_PREFIX}shadow_effective_policy_id` } }],
      value: {
        matchPattern: {
          $case: "stringMatch",
          value: { matchPattern: { $case: "prefix", value: `${POLICY_PREFIX}-${providerName}` } },
        },
      },
    },
  });
  return [
    { name: RBAC_FILTER, configType: typed(HttpRbac, rules), isOptional: false, disabled: false },
    { name: "envoy.filters.http.ext_authz", configType: typed(ExtAuthz, authz), isOptional: false, disabled: false },
  ];
}

function service(provider: ExtAuthzProvider): Parameters<typeof ExtAuthz.fromPartial>[0] {
  const host = providerHost(provider.service);
  const cluster = outboundCluster(host, provider.port);
  const timeout = durationFromMs(provider.timeoutMs);
  if (provider.kind === "grpc") {
    const target = { $case: "envoyGrpc", value: { clusterName: cluster, authority: host } } as const;
    return { services: { $case: "grpcService", value: { targetSpecifier: target, timeout } } };
  }
  const response = {
    ...list("allowedUpstreamHeaders", provider.upstreamOnAllow),
    ...list("allowedClientHeaders", provider.downstreamOnDeny),
    ...list("allowedClientHeadersOnSuccess", provider.downstreamOnAllow),
  };
  const headersToAdd = Object.entries(provider.additionalHeaders)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ key, value }));
  return {
    ...list("allowedHeaders", provider.requestHeaders),
    services: {
      $case: "httpService",
      value: {
        serverUri: {
          uri: `http://${host}:${provider.port}`,
          httpUpstreamType: { $case: "cluster", value: cluster },
          timeout,
        },
        pathPrefix: provider.pathPrefix,
        ...(headersToAdd.length === 0 ? {} : { authorizationRequest: { headersToAdd } }),
        authorizationResponse: response,
      },
    },
  };
}

function list<Field extends string>(field: Field, names: readonly string[]): { [F in Field]?: ListStringMatcher } {
  if (names.length === 0) return {};
  return { [field]: { patterns: names.map(headerPattern) } } as { [F in Field]?: ListStringMatcher };
}

/** `*` at an end stands for anything; header names have no case. */
function headerPattern(name: string): StringMatcher {
  const pattern = (kind: "exact" | "prefix" | "suffix", value: string): StringMatcher => ({
    matchPattern: { $case: kind, value },
    ignoreCase: true,
  });
  if (name === "*") return pattern("prefix", "");
  if (name.endsWith("*")) return pattern("prefix", name.slice(0, -1));
  return name.startsWith("*") ? pattern("suffix", name.slice(1)) : pattern("exact", name);
}
