import { typeUrl } from "@lateen/proto";
import { RoutingPriority } from "@lateen/proto/envoy/config/core/v3/base";
import {
  type DirectResponseAction,
  RouteAction_ClusterNotFoundResponseCode as NotFoundCode,
  type RedirectAction,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type RetryPolicy,
  type Route,
  type RouteAction,
  type RouteAction_HashPolicy,
  type RouteAction_RequestMirrorPolicy,
  type VirtualHost,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import { PreviousHostsPredicate } from "@lateen/proto/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts";
import {
  type ForwardSpec,
  type HashPolicySpec,
  isFilterDisabled,
  type MirrorSpec,
  NO_HEADER_EDITS,
  type RedirectSpec,
  type RetrySpec,
  type RouteActionSpec,
  type WeightedClusterSpec,
} from "@lateen/traffic";
import type { DecodeRun } from "./context.ts";
import { join, millis, onlyFields, optionalMs, refuse } from "./fields.ts";
import { headerEdits } from "./headers.ts";
import { re2Pattern, runtimeFraction } from "./matchers.ts";
import { perFilterConfig } from "./per-filter-config.ts";
import { rateLimits } from "./rate-limits.ts";
import { dataText } from "./tls.ts";

/** Envoy's default route timeout. */
const ROUTE_TIMEOUT_MS = 15_000;

/** What a matched route does. */
export function routeAction(action: Route["action"], host: VirtualHost, run: DecodeRun, at: string): RouteActionSpec {
  switch (action?.$case) {
    case "route":
      return { kind: "forward", ...forward(action.value, host, run, join(at, "route")) };
    case "redirect":
      return { kind: "redirect", ...redirect(action.value, join(at, "redirect")) };
    case "directResponse":
      return direct(action.value, run, join(at, "direct_response"));
    case "filterAction":
    case "nonForwardingAction":
      return refuse(at, `${action.$case} is not supported by this proxy`);
    case undefined:
      return refuse(at, "an action is required");
  }
}

function direct(action: DirectResponseAction, run: DecodeRun, at: string): RouteActionSpec {
  if (action.status < 200 || action.status > 599) refuse(join(at, "status"), `${action.status} is not a final status`);
  return {
    kind: "direct",
    status: action.status,
    body: action.body === undefined ? "" : dataText(action.body, run, join(at, "body")),
  };
}

const REDIRECT_STATUS = new Map<RedirectCode, number>([
  [RedirectCode.MOVED_PERMANENTLY, 301],
  [RedirectCode.FOUND, 302],
  [RedirectCode.SEE_OTHER, 303],
  [RedirectCode.TEMPORARY_REDIRECT, 307],
  [RedirectCode.PERMANENT_REDIRECT, 308],
]);

function redirect(action: RedirectAction, at: string): RedirectSpec {
  const scheme = action.schemeRewriteSpecifier;
  const path = action.pathRewriteSpecifier;
  return {
    status: REDIRECT_STATUS.get(action.responseCode) ?? refuse(join(at, "response_code"), "unknown"),
    scheme: scheme?.$case === "schemeRedirect" ? scheme.value : scheme?.value === true ? "https" : undefined,
    host: action.hostRedirect || undefined,
    port: action.portRedirect || undefined,
    path: path?.$case === "pathRedirect" ? path.value : undefined,
    prefixRewrite: path?.$case === "prefixRewrite" ? path.value : undefined,
    regexRewrite: path?.$case === "regexRewrite" ? regexRewrite(path.value, join(at, "regex_rewrite")) : undefined,
    stripQuery: action.stripQuery,
  };
}

/** @see envoy.config.route.v3.RouteAction */
function forward(action: RouteAction, host: VirtualHost, run: DecodeRun, at: string): ForwardSpec {
  onlyFields(action, at, [
    "clusterSpecifier",
    "clusterNotFoundResponseCode",
    "prefixRewrite",
    "regexRewrite",
    "hostRewriteSpecifier",
    "appendXForwardedHost",
    "timeout",
    "idleTimeout",
    "retryPolicy",
    "requestMirrorPolicies",
    "priority",
    "maxGrpcTimeout",
    "grpcTimeoutOffset",
    "upgradeConfigs",
    "maxStreamDuration",
    "hashPolicy",
    "rateLimits",
    "includeVhRateLimits",
  ]);
  if (action.maxStreamDuration !== undefined) {
    onlyFields(action.maxStreamDuration, join(at, "max_stream_duration"), [
      "grpcTimeoutHeaderMax",
      "grpcTimeoutHeaderOffset",
    ]);
  }
  const mirrors = action.requestMirrorPolicies.length > 0 ? action.requestMirrorPolicies : host.requestMirrorPolicies;
  const retry = action.retryPolicy ?? host.retryPolicy;
  return {
    clusters: clusters(action, run, at),
    timeoutMs: millis(action.timeout, ROUTE_TIMEOUT_MS, join(at, "timeout")),
    ...(action.priority === RoutingPriority.HIGH ? { highPriority: true } : {}),
    ...(action.appendXForwardedHost ? { forwardedHost: true } : {}),
    ...grpcTimeout(action, at),
    idleTimeoutMs: optionalMs(action.idleTimeout, join(at, "idle_timeout")),
    retry: retry === undefined ? undefined : retrySpec(retry, join(at, "retry_policy")),
    rewrite: rewriteSpec(action, at),
    mirrors: mirrors.map((mirror, index) => mirrorSpec(mirror, join(at, `request_mirror_policies[${index}]`))),
    upgrades: action.upgradeConfigs
      .filter((upgrade) => upgrade.enabled !== false)
      .map((upgrade) => upgrade.upgradeType.toLowerCase()),
    clusterNotFoundStatus: notFoundStatus(action.clusterNotFoundResponseCode),
    ...(action.rateLimits.length === 0 ? {} : { rateLimits: rateLimits(action.rateLimits, join(at, "rate_limits")) }),
    ...(action.includeVhRateLimits ? { includeVirtualHostRateLimits: true } : {}),
    ...(action.hashPolicy.length === 0
      ? {}
      : {
          hashPolicies: action.hashPolicy.map((policy, index) => hashPolicy(policy, join(at, `hash_policy[${index}]`))),
        }),
  };
}

/** The newer fields win over the older ones, as in Envoy. */
function grpcTimeout(action: RouteAction, at: string): Pick<ForwardSpec, "grpcTimeout"> {
  const stream = action.maxStreamDuration;
  const max = optionalMs(stream?.grpcTimeoutHeaderMax ?? action.maxGrpcTimeout, join(at, "max_grpc_timeout"));
  const offset = stream?.grpcTimeoutHeaderOffset ?? action.grpcTimeoutOffset;
  if (max === undefined) return {};
  const offsetMs = millis(offset, 0, join(at, "grpc_timeout_offset"));
  return {
    grpcTimeout: {
      maxMs: max,
      offsetMs,
      ...(stream?.grpcTimeoutHeaderMax === undefined ? {} : { wholeStream: true as const }),
    },
  };
}

function notFoundStatus(code: NotFoundCode): number {
  if (code === NotFoundCode.NOT_FOUND) return 404;
  return code === NotFoundCode.INTERNAL_SERVER_ERROR ? 500 : 503;
}

function clusters(action: RouteAction, run: DecodeRun, at: string): readonly WeightedClusterSpec[] {
  const specifier = action.clusterSpecifier;
  switch (specifier?.$case) {
    case "cluster":
      return [single(specifier.value)];
    case "weightedClusters": {
      const path = join(at, "weighted_clusters");
      onlyFields(specifier.value, path, ["clusters", "totalWeight", "runtimeKeyPrefix"]);
      const list = specifier.value.clusters.map((entry, index) => {
        const where = join(path, `clusters[${index}]`);
        onlyFields(entry, where, [
          "name",
          "weight",
          "requestHeadersToAdd",
          "requestHeadersToRemove",
          "responseHeadersToAdd",
          "responseHeadersToRemove",
          "hostRewriteSpecifier",
          "typedPerFilterConfig",
        ]);
        const perFilter = perFilterConfig(entry.typedPerFilterConfig, run, join(where, "typed_per_filter_config"));
        if (Object.values(perFilter).some(isFilterDisabled)) {
          refuse(join(where, "typed_per_filter_config"), "filters are switched off by routes and virtual hosts only");
        }
        return {
          cluster: entry.name || refuse(join(where, "name"), "required"),
          weight: entry.weight ?? 0,
          requestHeaders: headerEdits(
            entry.requestHeadersToAdd,
            entry.requestHeadersToRemove,
            join(where, "request_headers"),
          ),
          responseHeaders: headerEdits(
            entry.responseHeadersToAdd,
            entry.responseHeadersToRemove,
            join(where, "response_headers"),
          ),
          ...(Object.keys(perFilter).length === 0 ? {} : { filterConfig: perFilter }),
          hostRewrite: entry.hostRewriteSpecifier?.value,
        };
      });
      if (list.every((entry) => entry.weight === 0)) refuse(path, "the sum of weights must be greater than 0");
      return list;
    }
    case undefined:
      return refuse(at, "cluster_specifier is required");
    default:
      return refuse(at, `${specifier?.$case} is not supported by this proxy`);
  }
}

function single(cluster: string): WeightedClusterSpec {
  return {
    cluster,
    weight: 1,
    requestHeaders: NO_HEADER_EDITS,
    responseHeaders: NO_HEADER_EDITS,
    hostRewrite: undefined,
  };
}

function rewriteSpec(action: RouteAction, at: string): ForwardSpec["rewrite"] {
  const host = action.hostRewriteSpecifier;
  if (host !== undefined && host.$case !== "hostRewriteLiteral" && host.value !== false) {
    refuse(at, `${host.$case} is not supported by this proxy`);
  }
  const regex = action.regexRewrite;
  return {
    prefix: action.prefixRewrite || undefined,
    regex: regex === undefined ? undefined : regexRewrite(regex, join(at, "regex_rewrite")),
    host: host?.$case === "hostRewriteLiteral" ? host.value : undefined,
  };
}

function regexRewrite(
  regex: NonNullable<RouteAction["regexRewrite"]>,
  at: string,
): { readonly pattern: string; readonly substitution: string } {
  return { pattern: re2Pattern(regex.pattern, join(at, "pattern")), substitution: regex.substitution };
}

function mirrorSpec(policy: RouteAction_RequestMirrorPolicy, at: string): MirrorSpec {
  onlyFields(policy, at, ["cluster", "runtimeFraction", "traceSampled"]);
  return { cluster: policy.cluster, fraction: runtimeFraction(policy.runtimeFraction) };
}

/** @see envoy.config.route.v3.RouteAction.HashPolicy */
function hashPolicy(policy: RouteAction_HashPolicy, at: string): HashPolicySpec {
  const { terminal, policySpecifier: specifier } = policy;
  switch (specifier?.$case) {
    case "header":
      onlyFields(specifier.value, join(at, "header"), ["headerName"]);
      return { kind: "header", name: specifier.value.headerName.toLowerCase(), terminal };
    case "queryParameter":
      return { kind: "query", name: specifier.value.name, terminal };
    case "cookie": {
      const { name, ttl, path, attributes } = specifier.value;
      const ttlMs = optionalMs(ttl, join(at, "cookie.ttl"));
      return {
        kind: "cookie",
        name,
        ttlSeconds: ttlMs === undefined ? undefined : Math.floor(ttlMs / 1000),
        path,
        attributes: attributes.map((attribute) => ({ name: attribute.name, value: attribute.value })),
        terminal,
      };
    }
    case "connectionProperties":
      if (!specifier.value.sourceIp) refuse(join(at, "connection_properties"), "source_ip must be true");
      return { kind: "sourceIp", terminal };
    case "filterState":
      return refuse(join(at, "filter_state"), "not supported by this proxy");
    case undefined:
      return refuse(at, "policy_specifier is required");
  }
}

const PREVIOUS_PRIORITIES = "envoy.retry_priorities.previous_priorities";

const PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts";
const PREVIOUS_HOSTS_TYPE = typeUrl(PreviousHostsPredicate);

/** @see envoy.config.route.v3.RetryPolicy */
function retrySpec(policy: RetryPolicy, at: string): RetrySpec {
  onlyFields(policy, at, [
    "retryOn",
    "numRetries",
    "perTryTimeout",
    "retryHostPredicate",
    "hostSelectionRetryMaxAttempts",
    "retriableStatusCodes",
    "retryBackOff",
    "retryPriority",
  ]);
  if (policy.retryPriority !== undefined && policy.retryPriority.name !== PREVIOUS_PRIORITIES) {
    refuse(join(at, "retry_priority"), `${policy.retryPriority.name} is not supported by this proxy`);
  }
  for (const { name, configType } of policy.retryHostPredicate) {
    const type = configType === undefined ? PREVIOUS_HOSTS_TYPE : configType.value.typeUrl;
    if (name !== PREVIOUS_HOSTS || type !== PREVIOUS_HOSTS_TYPE)
      refuse(join(at, "retry_host_predicate"), `${name} (${type}) is not supported`);
  }
  const base = millis(policy.retryBackOff?.baseInterval, 25, join(at, "retry_back_off.base_interval"));
  return {
    attempts: policy.numRetries ?? 1,
    retryOn: policy.retryOn.split(",").flatMap((token) => token.trim() || []),
    retriableStatusCodes: policy.retriableStatusCodes,
    perTryTimeoutMs: millis(policy.perTryTimeout, 0, join(at, "per_try_timeout")),
    baseIntervalMs: base,
    maxIntervalMs: millis(policy.retryBackOff?.maxInterval, base * 10, join(at, "retry_back_off.max_interval")),
    avoidPreviousHosts: policy.retryHostPredicate.length > 0,
    hostSelectionMaxAttempts: Number(policy.hostSelectionRetryMaxAttempts) || 1,
    avoidPreviousPriorities: policy.retryPriority !== undefined,
  };
}
