import {
  type ForwardSpec,
  NO_HEADER_EDITS,
  type RouteSpec,
  type RouteTableSpec,
  type VirtualHostSpec,
} from "../route/spec.ts";

type Match = Partial<RouteSpec["match"]>;

export function forward(cluster: string, change: Partial<ForwardSpec> = {}): RouteSpec["action"] {
  return {
    kind: "forward",
    clusters: [weighted(cluster, 1)],
    timeoutMs: 0,
    idleTimeoutMs: undefined,
    retry: undefined,
    rewrite: { prefix: undefined, regex: undefined, host: undefined },
    mirrors: [],
    upgrades: [],
    clusterNotFoundStatus: 503,
    ...change,
  };
}

export function weighted(cluster: string, weight: number): ForwardSpec["clusters"][number] {
  return { cluster, weight, requestHeaders: NO_HEADER_EDITS, responseHeaders: NO_HEADER_EDITS, hostRewrite: undefined };
}

export function prefix(value: string, ignoreCase = false): RouteSpec["match"]["path"] {
  return { kind: "prefix", value, ignoreCase };
}

/** A route to the cluster of its name, matching everything unless told otherwise. */
export function route(name: string, match: Match = {}, change: Partial<RouteSpec> = {}): RouteSpec {
  return {
    name,
    match: { path: prefix("/"), headers: [], query: [], fraction: 1, ...match },
    action: forward(name),
    requestHeaders: NO_HEADER_EDITS,
    responseHeaders: NO_HEADER_EDITS,
    filterConfig: {},
    origin: undefined,
    decorator: undefined,
    ...change,
  };
}

export function virtualHost(
  domains: readonly string[],
  routes: readonly RouteSpec[],
  change: Partial<VirtualHostSpec> = {},
): VirtualHostSpec {
  return {
    name: domains[0] ?? "",
    domains,
    routes,
    requestHeaders: NO_HEADER_EDITS,
    responseHeaders: NO_HEADER_EDITS,
    includeAttemptCount: false,
    requireTls: false,
    filterConfig: {},
    ...change,
  };
}

export function table(virtualHosts: readonly VirtualHostSpec[], change: Partial<RouteTableSpec> = {}): RouteTableSpec {
  return {
    name: "table",
    virtualHosts,
    ignorePortInHostMatching: false,
    requestHeaders: NO_HEADER_EDITS,
    responseHeaders: NO_HEADER_EDITS,
    maxDirectResponseBytes: 4096,
    ...change,
  };
}
