import { parseDuration } from "@lateen/kernel";
import type { GRPCRoute, HTTPRoute } from "@lateen/mesh-model";
import { convertBackends } from "./backends.ts";
import type { Problem } from "./conditions.ts";
import type { HttpRule, Precedence, RankedRule } from "./fragments.ts";
import { convertFilters } from "./http-filters.ts";
import type { ConvertWorld } from "./world.ts";

export type RoutedByHttp = HTTPRoute | GRPCRoute;
type HttpMatch = NonNullable<HttpRule["match"]>[number];
type Rule = NonNullable<HTTPRoute["spec"]["rules"]>[number];
type RouteMatch = NonNullable<Rule["matches"]>[number];
/** What rules of both kinds have; a GRPCRoute never has the last two. */
type AnyRule = Pick<Rule, "filters" | "backendRefs" | "timeouts" | "retry"> & { readonly matches?: readonly unknown[] };
type GrpcMatch = NonNullable<NonNullable<GRPCRoute["spec"]["rules"]>[number]["matches"]>[number];
type NamedMatch = NonNullable<RouteMatch["headers"]>[number];

/** The rules of a route, one for each match, and references that cannot be used. */
export interface ConvertedRules {
  readonly rules: readonly RankedRule[];
  readonly problems: readonly Problem[];
}

/** Converts the rules of an HTTPRoute or GRPCRoute. A route without rules has one that serves nothing. */
export function convertHttpRules(route: RoutedByHttp, world: ConvertWorld): ConvertedRules {
  const { namespace, name } = route.metadata;
  const from = { kind: route.kind, namespace };
  const problems: Problem[] = [];
  const written: readonly AnyRule[] = route.spec.rules ?? [];
  const rules = written.flatMap((rule, index): readonly RankedRule[] => {
    const filters = convertFilters(rule.filters ?? [], from, world);
    const backends = convertBackends(rule.backendRefs ?? [], from, world);
    problems.push(...filters.problems, ...backends.problems);
    const body: HttpRule = {
      name: `${namespace}.${name}.${index}`,
      ...filters.fields,
      ...(filters.fields.redirect !== undefined
        ? {}
        : backends.route.length > 0
          ? { route: backends.route }
          : { directResponse: { status: 500 } }),
      ...patience(rule),
    };
    const origin = `${route.kind} ${namespace}/${name} rules[${index}]`;
    return matchesOf(route, rule.matches).map((match) => ({
      precedence: precedenceOf(match),
      rule: withoutRewrite({ ...body, ...(Object.keys(match).length === 0 ? {} : { match: [match] }) }),
      origin,
    }));
  });
  return { rules, problems };
}

/** What answers by itself rewrites and mirrors nothing. */
function withoutRewrite(rule: HttpRule): HttpRule {
  if (rule.directResponse === undefined) return rule;
  const { rewrite: _rewrite, mirrors: _mirrors, ...rest } = rule;
  return rest;
}

/** Timeouts and retries. A backend's timeout is that of each try. */
function patience({ timeouts, retry }: AnyRule): Pick<HttpRule, "timeout" | "retries"> {
  const perTry = isZero(timeouts?.backendRequest) ? undefined : timeouts?.backendRequest;
  const retries: HttpRule["retries"] =
    retry !== undefined
      ? {
          attempts: retry.attempts ?? 1,
          ...(retry.codes === undefined ? {} : { retryOn: retry.codes.join(",") }),
          ...(retry.backoff === undefined ? {} : { backoff: retry.backoff }),
        }
      : perTry === undefined
        ? undefined
        : { attempts: 2 };
  return {
    ...(timeouts?.request === undefined ? {} : { timeout: timeouts.request }),
    ...(retries === undefined
      ? {}
      : { retries: perTry === undefined ? retries : { ...retries, perTryTimeout: perTry } }),
  };
}

/** Zero turns a timeout off. */
function isZero(duration: string | undefined): boolean {
  const parsed = duration === undefined ? undefined : parseDuration(duration);
  return parsed?.ok === true && parsed.value === 0;
}

function matchesOf(route: RoutedByHttp, matches: readonly unknown[] | undefined): readonly HttpMatch[] {
  const list = (matches ?? []) as readonly (RouteMatch & GrpcMatch)[];
  if (list.length === 0) return [{}];
  return list.map((match) => (route.kind === "HTTPRoute" ? httpMatch(match) : grpcMatch(match)));
}

function httpMatch({ path, headers, queryParams, method }: RouteMatch): HttpMatch {
  const uri = uriOf(path);
  return {
    ...(uri === undefined ? {} : { uri }),
    ...(method === undefined ? {} : { method: { exact: method } }),
    ...named("headers", headers, true),
    ...named("queryParams", queryParams, false),
  };
}

function uriOf(path: RouteMatch["path"]): HttpMatch["uri"] {
  const { type = "PathPrefix", value = "/" } = path ?? {};
  switch (type) {
    case "Exact":
      return { exact: value };
    case "RegularExpression":
      return { regex: value };
    case "PathPrefix": {
      const prefix = value.replace(/\/+$/, "");
      return prefix === "" ? undefined : { prefix };
    }
  }
}

/** A gRPC method is the path `/service/method`. */
function grpcMatch({ method, headers }: GrpcMatch): HttpMatch {
  const uri = grpcUri(method);
  return { ...(uri === undefined ? {} : { uri }), ...named("headers", headers, true) };
}

function grpcUri(match: GrpcMatch["method"]): HttpMatch["uri"] {
  const { type = "Exact", service, method } = match ?? {};
  if (service === undefined && method === undefined) return undefined;
  if (type === "RegularExpression") return { regex: `/(?:${service ?? "[^/]+"})/(?:${method ?? "[^/]+"})` };
  if (service === undefined) return { regex: `/[^/]+/${method}` };
  return method === undefined ? { prefix: `/${service}` } : { exact: `/${service}/${method}` };
}

/** Of one name the first match counts. */
function named(
  field: "headers" | "queryParams",
  matches: readonly NamedMatch[] | undefined,
  lower: boolean,
): Pick<HttpMatch, "headers" | "queryParams"> {
  const found: Record<string, { readonly exact: string } | { readonly regex: string }> = {};
  for (const { name, type = "Exact", value } of matches ?? []) {
    const key = lower ? name.toLowerCase() : name;
    if (!Object.hasOwn(found, key)) found[key] = type === "Exact" ? { exact: value } : { regex: value };
  }
  return Object.keys(found).length === 0 ? {} : { [field]: found };
}

function precedenceOf({ uri, method, headers, queryParams }: HttpMatch): Precedence {
  const text = uri?.exact ?? uri?.prefix ?? uri?.regex ?? "";
  return {
    path: uri?.exact !== undefined ? 3 : uri?.prefix !== undefined ? 2 : uri?.regex !== undefined ? 1 : 0,
    pathLength: text.length,
    method: method !== undefined,
    headers: Object.keys(headers ?? {}).length,
    queryParams: Object.keys(queryParams ?? {}).length,
  };
}
