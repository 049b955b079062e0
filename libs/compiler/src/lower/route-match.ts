import { headerClaim, type VirtualService } from "@lateen/mesh-model";
import { HeaderMatcher, QueryParameterMatcher, RouteMatch } from "@lateen/proto/envoy/config/route/v3/route_components";
import type { MetadataMatcher } from "@lateen/proto/envoy/type/matcher/v3/metadata";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { claimMatcher } from "./claims.ts";
import { exactly, type Labels, labelsMatch, matchingRegex, startingWith } from "./proto.ts";

export type HttpRule = NonNullable<VirtualService["spec"]["http"]>[number];
export type HttpMatch = NonNullable<HttpRule["match"]>[number];
type Match = { readonly exact?: string; readonly prefix?: string; readonly regex?: string };

/** Which client, at which place, a rule is compiled for. These parts of a match are decided here, not per request. */
export interface RuleContext {
  /** Absolute gateway name, or `mesh`. */
  readonly gateway: string;
  readonly port: number;
  readonly namespace: string;
  readonly labels: Labels;
}

interface ClientMatch {
  readonly port?: number;
  readonly sourceLabels?: Labels;
  readonly sourceNamespace?: string;
  readonly gateways?: readonly string[];
}

/** Whether the parts of a match that the control plane decides hold. `absolute` makes gateway names absolute. */
export function clientMatches(
  match: ClientMatch,
  context: RuleContext,
  absolute: (gateway: string) => string,
): boolean {
  if (match.port !== undefined && match.port !== context.port) return false;
  if (match.sourceNamespace && match.sourceNamespace !== context.namespace) return false;
  // Gateways have no source workload of their own.
  if (context.gateway === "mesh" && !labelsMatch(match.sourceLabels ?? {}, context.labels)) return false;
  if (match.gateways && match.gateways.length > 0) return match.gateways.map(absolute).includes(context.gateway);
  return true;
}

/** Istio: an empty matcher, or the regex `*`, asks for presence. */
function isPresence(match: Match): boolean {
  return (match.exact === undefined && match.prefix === undefined && match.regex === undefined) || match.regex === "*";
}

function stringMatcher(match: Match): StringMatcher {
  if (match.exact !== undefined) return exactly(match.exact);
  if (match.prefix !== undefined) return startingWith(match.prefix);
  return matchingRegex(match.regex ?? "");
}

function headerMatcher(name: string, match: Match, invert: boolean): HeaderMatcher {
  if (isPresence(match)) {
    return HeaderMatcher.fromPartial({
      name,
      headerMatchSpecifier: { $case: "presentMatch", value: true },
      invertMatch: invert,
    });
  }
  return HeaderMatcher.fromPartial({
    name,
    headerMatchSpecifier: { $case: "stringMatch", value: stringMatcher(match) },
    invertMatch: invert,
    // Istio: a header that is not there counts as an empty one in a negated match.
    treatMissingHeaderAsEmpty: invert,
  });
}

function queryMatcher(name: string, match: Match): QueryParameterMatcher {
  return QueryParameterMatcher.fromPartial({
    name,
    queryParameterMatchSpecifier: isPresence(match)
      ? { $case: "presentMatch", value: true }
      : { $case: "stringMatch", value: stringMatcher(match) },
  });
}

function pathSpecifier(uri: Match | undefined, segments: boolean): NonNullable<RouteMatch["pathSpecifier"]> {
  if (uri?.exact !== undefined) return { $case: "path", value: uri.exact };
  if (uri?.regex !== undefined && uri.regex !== "*") {
    return { $case: "safeRegex", value: { regex: uri.regex } };
  }
  if (segments && uri?.prefix !== undefined) return { $case: "pathSeparatedPrefix", value: uri.prefix };
  return { $case: "prefix", value: uri?.prefix ?? "/" };
}

/**
 * One item of `match` as Envoy's route match; undefined matches everything. With `segments` a prefix is one of whole path segments:
 * it begins with "/" and does not end with it.
 */
export function routeMatch(match: HttpMatch | undefined, segments = false): RouteMatch {
  const headers: HeaderMatcher[] = [];
  const claims: MetadataMatcher[] = [];
  const add = (invert: boolean, [name, value]: readonly [string, Match]) => {
    const claim = headerClaim(name);
    if (claim === undefined) headers.push(headerMatcher(name.toLowerCase(), value, invert));
    else claims.push(claimMatcher({ claim, list: true }, isPresence(value) ? undefined : stringMatcher(value), invert));
  };
  for (const entry of sorted(match?.headers)) add(false, entry);
  for (const entry of sorted(match?.withoutHeaders)) add(true, entry);
  const pseudo = [
    [":scheme", match?.scheme],
    [":method", match?.method],
    [":authority", match?.authority],
  ] as const;
  for (const [name, value] of pseudo) if (value !== undefined) headers.push(headerMatcher(name, value, false));
  return RouteMatch.fromPartial({
    pathSpecifier: pathSpecifier(match?.uri, segments),
    ...(match?.ignoreUriCase ? { caseSensitive: false } : {}),
    headers,
    dynamicMetadata: claims,
    queryParameters: sorted(match?.queryParams).map(([name, value]) => queryMatcher(name, value)),
  });
}

function sorted<V>(record: Readonly<Record<string, V>> | undefined): readonly (readonly [string, V])[] {
  return Object.entries(record ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Whether nothing after this match can be reached. */
export function matchesEverything(match: RouteMatch): boolean {
  const path = match.pathSpecifier;
  const all =
    (path?.$case === "prefix" && path.value === "/") ||
    (path?.$case === "safeRegex" && (path.value.regex === ".*" || path.value.regex === "/.*"));
  return all && match.dynamicMetadata.length === 0 && match.headers.length === 0 && match.queryParameters.length === 0;
}
