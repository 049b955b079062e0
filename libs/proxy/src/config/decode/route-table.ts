import type { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import {
  type Route,
  type RouteMatch,
  VirtualHost_TlsRequirementType as TlsRequirement,
  type VirtualHost,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import type { RouteMatchSpec, RouteSpec, RouteTableSpec, VirtualHostSpec } from "@lateen/traffic";
import type { DecodeRun } from "./context.ts";
import { join, onlyFields, refuse } from "./fields.ts";
import { headerEdits } from "./headers.ts";
import { headerMatch, metadataMatch, queryMatch, re2Pattern, runtimeFraction } from "./matchers.ts";
import { originOf } from "./metadata.ts";
import { perFilterConfig } from "./per-filter-config.ts";
import { rateLimits } from "./rate-limits.ts";
import { routeAction } from "./route-action.ts";

/** @see envoy.config.route.v3.RouteConfiguration */
export function routeTable(config: RouteConfiguration, run: DecodeRun, at = ""): RouteTableSpec {
  onlyFields(config, at, [
    "name",
    "virtualHosts",
    "internalOnlyHeaders",
    "responseHeadersToAdd",
    "responseHeadersToRemove",
    "requestHeadersToAdd",
    "requestHeadersToRemove",
    "validateClusters",
    "maxDirectResponseBodySizeBytes",
    "ignorePortInHostMatching",
    "metadata",
  ]);
  return {
    name: config.name,
    virtualHosts: config.virtualHosts.map((host) => virtualHost(host, run, join(at, `virtual_hosts[${host.name}]`))),
    ignorePortInHostMatching: config.ignorePortInHostMatching,
    requestHeaders: headerEdits(config.requestHeadersToAdd, config.requestHeadersToRemove, join(at, "request_headers")),
    responseHeaders: headerEdits(
      config.responseHeadersToAdd,
      config.responseHeadersToRemove,
      join(at, "response_headers"),
    ),
    maxDirectResponseBytes: config.maxDirectResponseBodySizeBytes ?? 4096,
  };
}

function virtualHost(host: VirtualHost, run: DecodeRun, at: string): VirtualHostSpec {
  onlyFields(host, at, [
    "name",
    "domains",
    "routes",
    "requireTls",
    "requestHeadersToAdd",
    "requestHeadersToRemove",
    "responseHeadersToAdd",
    "responseHeadersToRemove",
    "typedPerFilterConfig",
    "includeRequestAttemptCount",
    "perRequestBufferLimitBytes",
    "virtualClusters",
    "metadata",
    "retryPolicy",
    "requestMirrorPolicies",
    "rateLimits",
  ]);
  if (host.domains.length === 0) refuse(join(at, "domains"), "at least one is required");
  return {
    name: host.name,
    domains: host.domains,
    routes: host.routes.map((route, index) => routeSpec(route, host, run, join(at, `routes[${route.name || index}]`))),
    requestHeaders: headerEdits(host.requestHeadersToAdd, host.requestHeadersToRemove, join(at, "request_headers")),
    responseHeaders: headerEdits(host.responseHeadersToAdd, host.responseHeadersToRemove, join(at, "response_headers")),
    includeAttemptCount: host.includeRequestAttemptCount,
    requireTls: host.requireTls === TlsRequirement.ALL,
    filterConfig: perFilterConfig(host.typedPerFilterConfig, run, join(at, "typed_per_filter_config")),
    ...(host.rateLimits.length === 0 ? {} : { rateLimits: rateLimits(host.rateLimits, join(at, "rate_limits")) }),
  };
}

function routeSpec(route: Route, host: VirtualHost, run: DecodeRun, at: string): RouteSpec {
  onlyFields(route, at, [
    "name",
    "match",
    "action",
    "metadata",
    "decorator",
    "typedPerFilterConfig",
    "requestHeadersToAdd",
    "requestHeadersToRemove",
    "responseHeadersToAdd",
    "responseHeadersToRemove",
    "perRequestBufferLimitBytes",
    "statPrefix",
  ]);
  return {
    name: route.name,
    match: routeMatch(route.match, join(at, "match")),
    action: routeAction(route.action, host, run, at),
    requestHeaders: headerEdits(route.requestHeadersToAdd, route.requestHeadersToRemove, join(at, "request_headers")),
    responseHeaders: headerEdits(
      route.responseHeadersToAdd,
      route.responseHeadersToRemove,
      join(at, "response_headers"),
    ),
    filterConfig: perFilterConfig(route.typedPerFilterConfig, run, join(at, "typed_per_filter_config")),
    ...metadataOf(route),
    origin: originOf(route.metadata),
    decorator: route.decorator?.operation || undefined,
  };
}

function metadataOf({ metadata }: Route): Pick<RouteSpec, "metadata"> {
  const entries = Object.entries(metadata?.filterMetadata ?? {});
  return entries.length === 0
    ? {}
    : { metadata: Object.fromEntries(entries.map(([name, value]) => [name, { ...value }])) };
}

/** @see envoy.config.route.v3.RouteMatch */
export function routeMatch(match: RouteMatch | undefined, at: string): RouteMatchSpec {
  if (match === undefined) return refuse(at, "required");
  onlyFields(match, at, [
    "pathSpecifier",
    "caseSensitive",
    "runtimeFraction",
    "headers",
    "queryParameters",
    "dynamicMetadata",
  ]);
  return {
    path: pathMatch(match, at),
    headers: match.headers.map((header, index) => headerMatch(header, join(at, `headers[${index}]`))),
    query: match.queryParameters.map((query, index) => queryMatch(query, join(at, `query_parameters[${index}]`))),
    ...(match.dynamicMetadata.length === 0
      ? {}
      : {
          metadata: match.dynamicMetadata.map((one, index) =>
            metadataMatch(one, join(at, `dynamic_metadata[${index}]`)),
          ),
        }),
    fraction: runtimeFraction(match.runtimeFraction),
  };
}

function pathMatch(match: RouteMatch, at: string): RouteMatchSpec["path"] {
  const ignoreCase = match.caseSensitive === false;
  const specifier = match.pathSpecifier;
  switch (specifier?.$case) {
    case "prefix":
      return { kind: "prefix", value: specifier.value, ignoreCase };
    case "path":
      return { kind: "exact", value: specifier.value, ignoreCase };
    case "pathSeparatedPrefix":
      return { kind: "pathSeparatedPrefix", value: specifier.value, ignoreCase };
    case "safeRegex":
      return { kind: "regex", pattern: re2Pattern(specifier.value, join(at, "safe_regex")) };
    case "connectMatcher":
      return refuse(join(at, "connect_matcher"), "not supported by this proxy");
    case "pathMatchPolicy":
      return refuse(join(at, "path_match_policy"), "not supported by this proxy");
    case undefined:
      return refuse(at, "path_specifier is required");
  }
}
