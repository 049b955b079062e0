import { shortHostToFqdn } from "@lateen/mesh-model";
import { durationFromMs, packAny } from "@lateen/proto";
import {
  DirectResponseAction,
  Route,
  RouteAction,
  RouteAction_ClusterNotFoundResponseCode,
  type RouteAction_HashPolicy,
  RouteAction_RequestMirrorPolicy,
  type RouteMatch,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import { CorsPolicy } from "@lateen/proto/envoy/extensions/filters/http/cors/v3/cors";
import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { absoluteGateway, type BoundVirtualService } from "../world/virtual-services.ts";
import { CORS_FILTER, corsPolicy } from "./cors.ts";
import { FAULT_FILTER, faultConfig } from "./faults.ts";
import { headerEdits, hostOf, singleDestinationEdits } from "./header-edits.ts";
import { hashPolicies } from "./load-balancing.ts";
import { configPath, outboundCluster, parseOutboundCluster } from "./names.ts";
import { type ReplacedPath, replacePrefix } from "./path-segments.ts";
import { fractionalPercent } from "./proto.ts";
import { redirectAction } from "./redirects.ts";
import { retryPolicy } from "./retries.ts";
import type { RouteContext } from "./route-context.ts";
import { clientMatches, type HttpMatch, type HttpRule, matchesEverything, routeMatch } from "./route-match.ts";
import { milliseconds } from "./traffic-policy.ts";

/** Routes of a virtual service for one place, in order; what cannot be reached any more is left out. */
export function httpRoutes(bound: BoundVirtualService, context: RouteContext): readonly Route[] {
  const routes: Route[] = [];
  const absolute = (gateway: string) => absoluteGateway(gateway, bound.namespace);
  for (const [index, rule] of (bound.spec.http ?? []).entries()) {
    const matches = rule.match && rule.match.length > 0 ? rule.match : [undefined];
    for (const match of matches) {
      if (match !== undefined && !clientMatches(match, context, absolute)) continue;
      const route = ruleRoute(
        { bound, rule, index, match: routeMatch(match, bound.semantics !== undefined), written: match },
        context,
      );
      routes.push(route);
      if (route.match !== undefined && matchesEverything(route.match)) return routes;
    }
  }
  return routes;
}

interface RuleAt {
  readonly bound: BoundVirtualService;
  readonly rule: HttpRule;
  readonly index: number;
  readonly match: RouteMatch;
  /** The item of `match` it was made of. */
  readonly written: HttpMatch | undefined;
}

function ruleRoute(at: RuleAt, context: RouteContext): Route {
  const { bound, rule, match } = at;
  const faults = faultConfig(rule.fault);
  const cors = corsPolicy(rule.corsPolicy);
  const path = configPath("virtual-service", bound.namespace, bound.name);
  const [only, ...others] = liveDestinations(rule);
  const single = only !== undefined && others.length === 0;
  const edits = single ? singleDestinationEdits(rule.headers, only.headers) : headerEdits(rule.headers);
  return Route.fromPartial({
    name: [rule.name, at.written?.name].filter(Boolean).join("."),
    match,
    action: ruleAction(at, context),
    metadata: {
      filterMetadata: {
        istio: { config: path },
        ...(context.annotate ? { lateen: { origin: bound.origins[at.index] ?? path } } : {}),
      },
    },
    decorator: { operation: operationName(at, context) },
    ...(at.written?.statPrefix ? { statPrefix: at.written.statPrefix } : {}),
    typedPerFilterConfig: {
      ...(cors === undefined ? {} : { [CORS_FILTER]: packAny(CorsPolicy, cors) }),
      ...(faults === undefined ? {} : { [FAULT_FILTER]: packAny(HTTPFault, faults) }),
    },
    ...edits,
  });
}

/** Istio's description of a route for tracing: where to, and which path. Envoy takes no empty one. */
function operationName({ rule, bound, match }: RuleAt, context: RouteContext): string {
  const destinations = rule.route ?? [];
  const [first] = destinations;
  const path = operationPath(match);
  if (first === undefined || destinations.length > 1) return `${bound.name}:${context.port}${path}`;
  const { host, port } = first.destination;
  return `${host}:${port?.number ?? context.port}${path}`;
}

function operationPath({ pathSpecifier }: RouteMatch): string {
  switch (pathSpecifier?.$case) {
    case "prefix":
      return `${pathSpecifier.value}*`;
    case "path":
      return pathSpecifier.value;
    case "safeRegex":
      return pathSpecifier.value.regex;
    default:
      return "/*";
  }
}

function ruleAction(at: RuleAt, context: RouteContext): NonNullable<Route["action"]> {
  const { rule } = at;
  if (rule.redirect !== undefined)
    return {
      $case: "redirect",
      value: redirectAction(rule.redirect, context, replacedPath(at, rule.redirect.prefixRewrite)),
    };
  if (rule.directResponse !== undefined) {
    const body = rule.directResponse.body;
    return {
      $case: "directResponse",
      value: DirectResponseAction.fromPartial({
        status: rule.directResponse.status,
        ...(body?.string !== undefined
          ? { body: { specifier: { $case: "inlineString", value: body.string } } }
          : body?.bytes !== undefined
            ? { body: { specifier: { $case: "inlineBytes", value: Buffer.from(body.bytes, "base64") } } }
            : {}),
      }),
    };
  }
  return { $case: "route", value: forwardAction(at, context) };
}

/** Istio: with several destinations those of weight zero are dropped; a single one needs no weight. */
function liveDestinations({ route: all = [] }: HttpRule): readonly Destination[] {
  return all.length > 1 ? all.filter((entry) => (entry.weight ?? 0) > 0) : all;
}

function forwardAction(at: RuleAt, context: RouteContext): RouteAction {
  const { rule, bound } = at;
  const destinations = liveDestinations(rule);
  const timeout = durationFromMs(rule.timeout === undefined ? 0 : milliseconds(rule.timeout));
  const hashPolicy = destinations.flatMap(({ destination }) => hashingOf(destination, bound.namespace, context));
  const action = RouteAction.fromPartial({
    timeout,
    hashPolicy,
    // Not max_stream_duration: with it Envoy ignores `timeout`.
    maxGrpcTimeout: timeout,
    retryPolicy: retryPolicy(rule.retries, context.retry, hashPolicy.length > 0),
    requestMirrorPolicies: mirrors(rule, bound.namespace, context),
    appendXForwardedHost: context.tellHost,
    ...rewriteFields(at),
    ...(bound.semantics === "gateway"
      ? { clusterNotFoundResponseCode: RouteAction_ClusterNotFoundResponseCode.INTERNAL_SERVER_ERROR }
      : {}),
  });
  const [only] = destinations;
  const single = destinations.length === 1 ? only : undefined;
  const routeHost = rule.rewrite?.authority ?? hostOf(rule.headers) ?? hostOf(single?.headers);
  if (single !== undefined) {
    action.clusterSpecifier = {
      $case: "cluster",
      value: destinationCluster(single.destination, bound.namespace, context),
    };
  } else {
    action.clusterSpecifier = weighted(destinations, at, context);
  }
  if (routeHost !== undefined) action.hostRewriteSpecifier = { $case: "hostRewriteLiteral", value: routeHost };
  return action;
}

/** What requests to a destination are hashed by. */
function hashingOf(
  destination: Destination["destination"],
  namespace: string,
  context: RouteContext,
): readonly RouteAction_HashPolicy[] {
  return clusterHashing(destinationCluster(destination, namespace, context), context);
}

/** What requests to an outbound cluster are hashed by. */
export function clusterHashing(
  cluster: string,
  context: Pick<RouteContext, "consistentHash">,
): readonly RouteAction_HashPolicy[] {
  const parsed = parseOutboundCluster(cluster);
  const hash = parsed === undefined ? undefined : context.consistentHash(parsed.host, parsed.port, parsed.subset);
  return hash === undefined ? [] : hashPolicies(hash);
}

type Destination = NonNullable<HttpRule["route"]>[number];

function weighted(destinations: readonly Destination[], at: RuleAt, context: RouteContext) {
  const routeHost = at.rule.rewrite?.authority ?? hostOf(at.rule.headers);
  const clusters = destinations.map((entry) => {
    const host = routeHost === undefined ? hostOf(entry.headers) : undefined;
    return {
      name: destinationCluster(entry.destination, at.bound.namespace, context),
      weight: entry.weight ?? 0,
      ...headerEdits(entry.headers),
      ...(host === undefined ? {} : { hostRewriteSpecifier: { $case: "hostRewriteLiteral", value: host } as const }),
    };
  });
  return RouteAction.fromPartial({
    clusterSpecifier: { $case: "weightedClusters", value: { clusters } },
  }).clusterSpecifier;
}

/** The cluster of a destination: its port, else the listener's when the service has it, else the service's only port. */
export function destinationCluster(
  destination: Destination["destination"],
  namespace: string,
  context: Pick<RouteContext, "domain" | "service" | "port">,
): string {
  const host = shortHostToFqdn(destination.host, namespace, context.domain);
  const service = context.service(host);
  const explicit = destination.port?.number;
  if (explicit !== undefined) return outboundCluster(host, explicit, destination.subset);
  const [first, second] = service?.ports ?? [];
  const has = service?.ports.some((port) => port.number === context.port) ?? true;
  const port = has || first === undefined || second !== undefined ? context.port : first.number;
  return outboundCluster(host, port, destination.subset);
}

function rewriteFields(at: RuleAt): Parameters<typeof RouteAction.fromPartial>[0] {
  const { rule } = at;
  const regex = rule.rewrite?.uriRegexRewrite;
  if (regex?.match !== undefined) {
    return { regexRewrite: { pattern: { regex: regex.match }, substitution: regex.rewrite ?? "" } };
  }
  if (rule.rewrite?.uri === undefined) return {};
  const path = replacedPath(at, rule.rewrite.uri);
  if (path?.regex !== undefined) return { regexRewrite: path.regex };
  return { prefixRewrite: path?.prefix ?? rule.rewrite.uri };
}

/** How a prefix is replaced where it means whole path segments; undefined where it is plain text. */
function replacedPath({ bound, written }: RuleAt, replacement: string | undefined): ReplacedPath | undefined {
  if (bound.semantics === undefined || replacement === undefined) return undefined;
  return replacePrefix(written?.uri?.prefix, replacement);
}

function mirrors(rule: HttpRule, namespace: string, context: RouteContext): RouteAction_RequestMirrorPolicy[] {
  const single = rule.mirror
    ? [{ destination: rule.mirror, percentage: rule.mirrorPercentage ?? percentOf(rule.mirrorPercent) }]
    : [];
  return [...single, ...(rule.mirrors ?? [])].flatMap(({ destination, percentage }) => {
    const share = percentage === undefined ? 100 : (percentage.value ?? 0);
    if (share === 0) return [];
    return [
      RouteAction_RequestMirrorPolicy.fromPartial({
        cluster: destinationCluster(destination, namespace, context),
        runtimeFraction: { defaultValue: fractionalPercent(share) },
      }),
    ];
  });
}

function percentOf(value: number | undefined): { readonly value: number } | undefined {
  return value === undefined ? undefined : { value };
}
