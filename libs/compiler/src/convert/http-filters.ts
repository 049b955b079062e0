import type { HTTPRoute } from "@lateen/mesh-model";
import type { Problem } from "./conditions.ts";
import type { HttpRule } from "./fragments.ts";
import { type Referrer, resolveBackend } from "./references.ts";
import type { ConvertWorld } from "./world.ts";

type Rule = NonNullable<HTTPRoute["spec"]["rules"]>[number];
export type HttpFilter = NonNullable<Rule["filters"]>[number];
type Headers = NonNullable<HttpRule["headers"]>;
type Modifier = NonNullable<HttpFilter["requestHeaderModifier"]>;

/** What filters come to in a rule, and references among them that cannot be used. */
export interface ConvertedFilters {
  readonly fields: Pick<HttpRule, "headers" | "redirect" | "rewrite" | "mirrors" | "corsPolicy">;
  readonly problems: readonly Problem[];
}

/** Converts the filters of a rule. */
export function convertFilters(filters: readonly HttpFilter[], from: Referrer, world: ConvertWorld): ConvertedFilters {
  const problems: Problem[] = [];
  const mirrors: NonNullable<HttpRule["mirrors"]>[number][] = [];
  let fields: ConvertedFilters["fields"] = {};
  for (const filter of filters) {
    const { requestRedirect, urlRewrite, requestMirror, cors } = filter;
    if (cors !== undefined) fields = { ...fields, corsPolicy: corsOf(cors) };
    if (requestRedirect !== undefined) fields = { ...fields, redirect: redirectOf(requestRedirect) };
    if (urlRewrite !== undefined) {
      const rewrite = rewriteOf(urlRewrite);
      if (Object.keys(rewrite).length > 0) fields = { ...fields, rewrite };
    }
    if (requestMirror === undefined) continue;
    const backend = resolveBackend(world, from, requestMirror.backendRef);
    if (!backend.ok) problems.push(backend.problem);
    else mirrors.push({ destination: backend.destination, percentage: { value: mirroredShare(requestMirror) } });
  }
  const headers = headersOf(filters);
  return {
    fields: {
      ...fields,
      ...(headers === undefined ? {} : { headers }),
      ...(mirrors.length === 0 ? {} : { mirrors }),
    },
    problems,
  };
}

/** Percent of the requests that are mirrored; all unless said otherwise. */
function mirroredShare({ percent, fraction }: NonNullable<HttpFilter["requestMirror"]>): number {
  if (fraction !== undefined) return (fraction.numerator / (fraction.denominator ?? 100)) * 100;
  return percent ?? 100;
}

/** Header changes of filters; undefined when there are none. */
export function headersOf(filters: readonly HttpFilter[]): Headers | undefined {
  const request = operations(filters.find((filter) => filter.requestHeaderModifier)?.requestHeaderModifier);
  const response = operations(filters.find((filter) => filter.responseHeaderModifier)?.responseHeaderModifier);
  if (request === undefined && response === undefined) return undefined;
  return { ...(request === undefined ? {} : { request }), ...(response === undefined ? {} : { response }) };
}

function operations(modifier: Modifier | undefined): Headers["request"] {
  if (modifier === undefined) return undefined;
  const { set = [], add = [], remove = [] } = modifier;
  // Values are literal here; a percent sign begins an operator in Istio's.
  const map = (list: typeof set) =>
    Object.fromEntries(list.map(({ name, value }) => [name, value.replaceAll("%", "%%")]));
  return {
    ...(set.length === 0 ? {} : { set: map(set) }),
    ...(add.length === 0 ? {} : { add: map(add) }),
    ...(remove.length === 0 ? {} : { remove }),
  };
}

/** Default age 5 s, as the Gateway API has it. */
function corsOf(cors: NonNullable<HttpFilter["cors"]>): NonNullable<HttpRule["corsPolicy"]> {
  const { allowOrigins = [], allowMethods, allowHeaders, exposeHeaders, allowCredentials, maxAge = 5 } = cors;
  return {
    allowOrigins: allowOrigins.map((origin) => {
      if (!origin.includes("*")) return { exact: origin };
      const pattern = origin === "*" ? ".*" : origin.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace("*", ".+");
      return { regex: pattern };
    }),
    ...(allowMethods === undefined ? {} : { allowMethods }),
    ...(allowHeaders === undefined ? {} : { allowHeaders }),
    ...(exposeHeaders === undefined ? {} : { exposeHeaders }),
    ...(allowCredentials === undefined ? {} : { allowCredentials }),
    maxAge: `${maxAge}s`,
    unmatchedPreflights: "IGNORE",
  };
}

/** Without port: that of the new scheme when one is given, else the request's. */
function redirectOf(redirect: NonNullable<HttpFilter["requestRedirect"]>): NonNullable<HttpRule["redirect"]> {
  const { scheme, hostname, port, path, statusCode = 302 } = redirect;
  return {
    ...(path?.replaceFullPath === undefined ? {} : { uri: path.replaceFullPath || "/" }),
    ...(path?.replacePrefixMatch === undefined ? {} : { prefixRewrite: path.replacePrefixMatch || "/" }),
    ...(hostname === undefined ? {} : { authority: hostname }),
    ...(scheme === undefined ? {} : { scheme }),
    ...(port !== undefined
      ? { port }
      : { derivePort: scheme === undefined ? ("FROM_REQUEST_PORT" as const) : ("FROM_PROTOCOL_DEFAULT" as const) }),
    redirectCode: statusCode,
  };
}

function rewriteOf({ hostname, path }: NonNullable<HttpFilter["urlRewrite"]>): NonNullable<HttpRule["rewrite"]> {
  return {
    ...(hostname === undefined ? {} : { authority: hostname }),
    ...(path?.replacePrefixMatch === undefined ? {} : { uri: path.replacePrefixMatch || "/" }),
    ...(path?.replaceFullPath === undefined
      ? {}
      : { uriRegexRewrite: { match: "/.*", rewrite: (path.replaceFullPath || "/").replaceAll("\\", "\\\\") } }),
  };
}
