import { splitWeights } from "../balance/weights.ts";
import type { HeadView } from "../head/head.ts";
import { compileHeaderMatch, type HeaderMatch, type Scheme } from "../match/header.ts";
import { compileMetadataMatch, type DynamicMetadata, type MetadataMatch } from "../match/metadata.ts";
import { compileQueryMatch } from "../match/query.ts";
import { compileHashPolicies, type HashClient, type RequestHash } from "./hash-policy.ts";
import { type CompiledHeaderEdits, compileHeaderEdits } from "./header-edits.ts";
import { compileHostIndex, hostEndWithoutPort } from "./hosts.ts";
import { compilePathIndex, compilePathMatch } from "./path-index.ts";
import { compilePathRewrite, type PathRewrite } from "./rewrite.ts";
import {
  isFilterDisabled,
  NO_HEADER_EDITS,
  type RouteActionSpec,
  type RouteMatchSpec,
  type RouteSpec,
  type RouteTableSpec,
  type VirtualHostSpec,
  type WeightedClusterSpec,
} from "./spec.ts";

/** A route table ready for matching. Matching allocates nothing except for expressions and repeated headers. */
export interface RouteTable {
  readonly spec: RouteTableSpec;
  /**
   * The first route that matches, or undefined: then `virtualHost` tells which of 404 `route_not_found` it is.
   * @param random uniform in [0, 1); asked only by routes for a share of requests.
   * @param scheme of the downstream request, default `http`.
   * @param metadata what filters found out so far.
   */
  match(
    head: HeadView,
    random: () => number,
    scheme?: Scheme,
    metadata?: DynamicMetadata | undefined,
  ): RouteMatch | undefined;
  /** The virtual host that serves the head's authority. */
  virtualHost(head: HeadView): CompiledVirtualHost | undefined;
}

/** Made once per route, not per request. */
export interface RouteMatch {
  readonly virtualHost: CompiledVirtualHost;
  readonly route: CompiledRoute;
}

export interface CompiledVirtualHost {
  readonly spec: VirtualHostSpec;
  readonly routes: readonly CompiledRoute[];
}

export interface CompiledRoute {
  readonly spec: RouteSpec;
  readonly action: RouteActionSpec;
  /** Empty unless the route forwards. */
  readonly clusters: readonly CompiledWeightedCluster[];
  /** Edits of route, virtual host and table, for redirects and direct responses; forwards use their cluster's. */
  readonly requestEdits: CompiledHeaderEdits;
  readonly responseEdits: CompiledHeaderEdits;
  /** Path and query after the route's rewrite; undefined without one. */
  readonly rewrite: PathRewrite | undefined;
  /** What a hash ring is asked with; undefined without hash policies. */
  readonly hash: ((head: HeadView, client: HashClient) => RequestHash) | undefined;
  /** A cluster by weight. Only for routes that forward: throws otherwise. */
  pickCluster(random: () => number): CompiledWeightedCluster;
  /** Route or virtual host does without some filter. */
  readonly switchesFilters: boolean;
  /** Configuration of a filter for this route: the route's own, else its virtual host's. */
  filterConfig(name: string, virtualHost?: CompiledVirtualHost): unknown;
}

export interface CompiledWeightedCluster {
  readonly spec: WeightedClusterSpec;
  readonly cluster: string;
  /** Authority to send, the route's before the cluster's; undefined leaves it. */
  readonly hostRewrite: string | undefined;
  /** All levels in order: cluster, route, virtual host, table. */
  readonly requestEdits: CompiledHeaderEdits;
  readonly responseEdits: CompiledHeaderEdits;
}

interface Conditions {
  readonly headers: readonly HeaderMatch[];
  readonly query: readonly ((head: HeadView) => boolean)[];
  readonly metadata: readonly MetadataMatch[];
  readonly fraction: number;
}

/**
 * Compiles a table. Domains prefer exact, longest suffix, longest prefix, `*`; within a virtual host the first route wins.
 * @throws LateenError LTN5901 for an expression that RE2 does not accept.
 */
export function compileRouteTable(spec: RouteTableSpec): RouteTable {
  const hosts = spec.virtualHosts.map((virtualHost) => compileVirtualHost(virtualHost, spec));
  const index = compileHostIndex(
    hosts.flatMap((host) => host.compiled.spec.domains.map((domain) => [domain, host] as const)),
  );
  const find = (head: HeadView) => {
    const { bytes, authorityStart: start, authorityEnd } = head;
    const end = spec.ignorePortInHostMatching ? hostEndWithoutPort(bytes, start, authorityEnd) : authorityEnd;
    return index.find(bytes, start, end);
  };
  return {
    spec,
    match: (head, random, scheme = "http", metadata = undefined) => find(head)?.match(head, random, scheme, metadata),
    virtualHost: (head) => find(head)?.compiled,
  };
}

interface HostMatcher {
  readonly compiled: CompiledVirtualHost;
  match(
    head: HeadView,
    random: () => number,
    scheme: Scheme,
    metadata: DynamicMetadata | undefined,
  ): RouteMatch | undefined;
}

function compileVirtualHost(spec: VirtualHostSpec, table: RouteTableSpec): HostMatcher {
  const routes = spec.routes.map((route) => compileRoute(route, spec, table));
  const compiled: CompiledVirtualHost = { spec, routes };
  const matches: readonly RouteMatch[] = routes.map((route) => ({ virtualHost: compiled, route }));
  const conditions = spec.routes.map(compileConditions);
  const paths = compilePathIndex(spec.routes.map((route) => route.match.path));
  const toTls: RouteMatch = { virtualHost: compiled, route: compileRoute(TLS_REDIRECT, spec, table) };
  // The request at hand, so that `accept` is one closure for all requests.
  let current: HeadView | undefined;
  let currentRandom: () => number = Math.random;
  let currentScheme: Scheme = "http";
  let currentMetadata: DynamicMetadata | undefined;
  const accept = (index: number): boolean => {
    const condition = conditions[index];
    if (condition === undefined || current === undefined) return false;
    for (const match of condition.metadata) if (!match(currentMetadata)) return false;
    return holds(condition, current, currentRandom, currentScheme);
  };
  return {
    compiled,
    match(head, random, scheme, metadata) {
      if (spec.requireTls && scheme !== "https") return toTls;
      current = head;
      currentRandom = random;
      currentScheme = scheme;
      currentMetadata = metadata;
      const index = paths.first(head, accept);
      current = undefined;
      return index < 0 ? undefined : matches[index];
    },
  };
}

/** Whether a request is one that a route would take. */
export type RequestMatch = (head: HeadView, random: () => number, scheme?: Scheme) => boolean;

/** The conditions of one route by themselves; those on metadata are met by no request. */
export function compileRouteMatch(spec: RouteMatchSpec): RequestMatch {
  const conditions = compileConditions({ match: spec });
  const path = compilePathMatch(spec.path);
  return (head, random, scheme = "http") =>
    path(head.bytes, head.pathStart, head.queryStart) &&
    conditions.metadata.every((match) => match(undefined)) &&
    holds(conditions, head, random, scheme);
}

function holds(condition: Conditions, head: HeadView, random: () => number, scheme: Scheme): boolean {
  for (let i = 0; i < condition.headers.length; i++) if (condition.headers[i]?.(head, scheme) !== true) return false;
  for (let i = 0; i < condition.query.length; i++) if (condition.query[i]?.(head) !== true) return false;
  return condition.fraction >= 1 || random() < condition.fraction;
}

function compileConditions(route: Pick<RouteSpec, "match">): Conditions {
  return {
    headers: route.match.headers.map(compileHeaderMatch),
    query: route.match.query.map(compileQueryMatch),
    metadata: (route.match.metadata ?? []).map(compileMetadataMatch),
    fraction: route.match.fraction,
  };
}

function compileRoute(spec: RouteSpec, virtualHost: VirtualHostSpec, table: RouteTableSpec): CompiledRoute {
  const { action } = spec;
  const clusters =
    action.kind === "forward"
      ? action.clusters.map((cluster) => compileCluster(cluster, action.rewrite.host, [spec, virtualHost, table]))
      : [];
  const weights = clusters.map((cluster) => cluster.spec.weight);
  const levels = [spec, virtualHost, table];
  return {
    spec,
    action,
    clusters,
    requestEdits: compileHeaderEdits(...levels.map((level) => level.requestHeaders)),
    responseEdits: compileHeaderEdits(...levels.map((level) => level.responseHeaders)),
    rewrite: compilePathRewrite(spec),
    hash:
      action.kind === "forward" && action.hashPolicies?.length ? compileHashPolicies(action.hashPolicies) : undefined,
    pickCluster(random) {
      const cluster = clusters[splitWeights(weights, random)];
      if (cluster === undefined) throw new Error(`route "${spec.name}" forwards to no cluster`);
      return cluster;
    },
    switchesFilters: [spec, virtualHost].some(({ filterConfig }) => Object.values(filterConfig).some(isFilterDisabled)),
    filterConfig: (name, host) => spec.filterConfig[name] ?? (host?.spec ?? virtualHost).filterConfig[name],
  };
}

type EditLevel = Pick<RouteSpec, "requestHeaders" | "responseHeaders">;

function compileCluster(
  spec: WeightedClusterSpec,
  routeHost: string | undefined,
  outer: readonly EditLevel[],
): CompiledWeightedCluster {
  const levels: readonly EditLevel[] = [spec, ...outer];
  return {
    spec,
    cluster: spec.cluster,
    hostRewrite: routeHost ?? spec.hostRewrite,
    requestEdits: compileHeaderEdits(...levels.map((level) => level.requestHeaders)),
    responseEdits: compileHeaderEdits(...levels.map((level) => level.responseHeaders)),
  };
}

/** What `requireTls` answers plain requests with. */
const TLS_REDIRECT: RouteSpec = {
  name: "",
  match: { path: { kind: "prefix", value: "", ignoreCase: false }, headers: [], query: [], fraction: 1 },
  action: {
    kind: "redirect",
    status: 301,
    scheme: "https",
    host: undefined,
    port: undefined,
    path: undefined,
    prefixRewrite: undefined,
    stripQuery: false,
  },
  requestHeaders: NO_HEADER_EDITS,
  responseHeaders: NO_HEADER_EDITS,
  filterConfig: {},
  origin: undefined,
  decorator: undefined,
};
