import { typeUrl } from "@lateen/proto";
import type { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import {
  FilterConfig,
  type Route,
  type RouteMatch,
  VirtualHost_TlsRequirementType as TlsRequirement,
  type VirtualHost,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import type { Any } from "@lateen/proto/google/protobuf/any";
import type { FilterConfigs, RouteMatchSpec, RouteSpec, RouteTableSpec, VirtualHostSpec } from "@lateen/traffic";
import { decodeBytes } from "./any.ts";
import type { DecodeRun } from "./context.ts";
import { join, onlyFields, refuse } from "./fields.ts";
import { headerEdits } from "./headers.ts";
import { headerMatch, queryMatch, re2Pattern, runtimeFraction } from "./matchers.ts";
import { originOf } from "./metadata.ts";
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
    origin: originOf(route.metadata),
    decorator: route.decorator?.operation || undefined,
  };
}

/** @see envoy.config.route.v3.RouteMatch */
function routeMatch(match: RouteMatch | undefined, at: string): RouteMatchSpec {
  if (match === undefined) return refuse(at, "required");
  onlyFields(match, at, ["pathSpecifier", "caseSensitive", "runtimeFraction", "headers", "queryParameters"]);
  return {
    path: pathMatch(match, at),
    headers: match.headers.map((header, index) => headerMatch(header, join(at, `headers[${index}]`))),
    query: match.queryParameters.map((query, index) => queryMatch(query, join(at, `query_parameters[${index}]`))),
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

/** Filter configuration of a host or route, under the canonical name of the filter that reads it. */
export function perFilterConfig(configs: Readonly<Record<string, Any>>, run: DecodeRun, at: string): FilterConfigs {
  const decoded: Record<string, unknown> = {};
  for (const [name, any] of Object.entries(configs)) {
    const path = `${at}[${name}]`;
    const { config, isOptional } = unwrap(any, path);
    const factory = run.httpFilters.find((entry) => entry.routeConfigType === config.typeUrl);
    if (factory?.decodeRouteConfig === undefined) {
      if (isOptional) continue;
      return refuse(path, `${config.typeUrl} is not supported by this proxy`);
    }
    decoded[factory.name] = guarded(() => factory.decodeRouteConfig?.(config.value), path);
  }
  return decoded;
}

/** `envoy.config.route.v3.FilterConfig` wraps a config to make it optional. */
function unwrap(any: Any, at: string): { config: Any; isOptional: boolean } {
  if (any.typeUrl !== typeUrl(FilterConfig)) return { config: any, isOptional: false };
  const wrapper = decodeBytes(any.value, FilterConfig, at);
  if (wrapper.disabled) refuse(join(at, "disabled"), "not supported by this proxy");
  if (wrapper.config === undefined) return refuse(join(at, "config"), "required");
  return { config: wrapper.config, isOptional: wrapper.isOptional };
}

/** Runs a filter's own decoder; what it throws becomes a refusal with the path in front. */
export function guarded<T>(decode: () => T, at: string): T {
  try {
    return decode();
  } catch (error) {
    return refuse(at, error instanceof Error ? error.message : String(error));
  }
}
