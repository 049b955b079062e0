import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { isBase64 } from "../../validation/base64.ts";
import type { Check } from "../../validation/check.ts";
import { headerClaim } from "../../validation/claims.ts";
import {
  checkDestination,
  checkDuration,
  checkGateways,
  checkPercent,
  checkRegex,
  checkStringMatch,
  checkWeights,
} from "../../validation/common.ts";
import { checkHeaders, checkHeaderText, isHeaderName } from "../../validation/headers.ts";
import { isDnsLabel, isDnsSubdomain } from "../../validation/names.ts";
import { checkCors } from "./cors.ts";
import { checkFault, checkRetries } from "./resilience.ts";
import type { virtualServiceBody } from "./schema.ts";

export type HttpRoute = NonNullable<Infer<typeof virtualServiceBody>["spec"]["http"]>[number];
type HttpMatch = NonNullable<HttpRoute["match"]>[number];

const REDIRECT_CODES: ReadonlySet<number> = new Set([0, 301, 302, 303, 307, 308]);
const MAX_BODY = 1024 * 1024;

/** The `http` list of a VirtualService. */
export function checkHttpRoutes(routes: readonly HttpRoute[], check: Check): void {
  let catchAll: number | undefined;
  for (const [index, route] of routes.entries()) {
    checkHttpRoute(route, check.at(index));
    if (catchAll !== undefined) {
      check
        .at(index)
        .warn(`this rule is never reached: http[${catchAll}] before it matches everything`, { code: "IST0130" });
    } else if (matchesEverything(route)) catchAll = index;
  }
}

function matchesEverything(route: HttpRoute): boolean {
  if (route.match === undefined || route.match.length === 0) return true;
  return route.match.some((match) => {
    const { name: _name, ignoreUriCase: _case, uri, ...others } = match;
    return Object.keys(others).length === 0 && (uri === undefined || uri.prefix === "/");
  });
}

function checkHttpRoute(route: HttpRoute, check: Check): void {
  const hasRoute = route.route !== undefined && route.route.length > 0;
  const actions = [
    ...(hasRoute ? ["route"] : []),
    ...(["redirect", "directResponse", "delegate"] as const).filter((action) => route[action] !== undefined),
  ];
  if (actions.length !== 1) {
    const found = actions.length === 0 ? "none is there" : `${actions.join(" and ")} are there`;
    check.error(`an http route needs exactly one of route, redirect, directResponse, delegate; ${found}`, {
      code: codes.conflict,
    });
  }
  if (!hasRoute && route.delegate === undefined) {
    for (const extra of ["fault", "rewrite"] as const) {
      if (route[extra] === undefined || actions.length === 0) continue;
      check
        .at(extra)
        .error(`${extra} cannot be combined with ${actions.join(" and ")}`, { code: codes.conflict, part: "key" });
    }
  }
  for (const [index, match] of (route.match ?? []).entries()) checkMatch(match, check.at("match", index));
  for (const [index, target] of (route.route ?? []).entries()) {
    checkDestination(target.destination, check.at("route", index, "destination"));
    checkHeaders(target.headers, check.at("route", index, "headers"));
  }
  checkWeights(route.route, check.at("route"));
  checkHeaders(route.headers, check.at("headers"));
  checkRedirect(route, check.at("redirect"));
  checkDirectResponse(route.directResponse, check.at("directResponse"));
  checkRewrite(route, check.at("rewrite"));
  checkMirrors(route, check);
  checkDuration(route.timeout, check.at("timeout"), true);
  checkRetries(route.retries, check.at("retries"));
  checkFault(route.fault, check.at("fault"));
  checkCors(route.corsPolicy, check.at("corsPolicy"));
  checkDelegate(route.delegate, check.at("delegate"));
}

function checkDelegate(delegate: HttpRoute["delegate"], check: Check): void {
  if (delegate === undefined) return;
  if (!isDnsSubdomain(delegate.name ?? "")) {
    check.error("a delegate needs the name of a virtual service", { code: codes.missingField });
  }
  if (delegate.namespace && !isDnsLabel(delegate.namespace)) {
    check.at("namespace").error(`"${delegate.namespace}" is not a namespace`);
  }
}

function checkMatch(match: HttpMatch, check: Check): void {
  for (const field of ["uri", "scheme", "method", "authority"] as const)
    checkStringMatch(match[field], check.at(field));
  for (const field of ["headers", "withoutHeaders"] as const) {
    for (const [name, value] of Object.entries(match[field] ?? {})) {
      const at = check.at(field, name);
      if (name.startsWith("@")) {
        if (headerClaim(name) === undefined) {
          at.error(`"${name}" names no claim`, { part: "key", hint: 'write "@request.auth.claims.NAME"' });
        }
      } else if (!isHeaderName(name)) at.error(`"${name}" is not a header name`, { part: "key" });
      checkStringMatch(value, at, true);
    }
  }
  for (const [name, value] of Object.entries(match.queryParams ?? {})) {
    if (name === "") check.at("queryParams").error("a query parameter needs a name");
    checkStringMatch(value, check.at("queryParams", name));
  }
  checkGateways(match.gateways, check);
}

function checkRedirect(route: HttpRoute, check: Check): void {
  const { redirect } = route;
  if (redirect === undefined) return;
  const set = (["uri", "prefixRewrite", "authority", "scheme", "port", "derivePort"] as const).filter(
    (field) => redirect[field] !== undefined && redirect[field] !== "",
  );
  for (const field of ["uri", "prefixRewrite", "authority"] as const) checkHeaderText(redirect[field], check.at(field));
  if (set.length === 0) check.error("a redirect needs one of uri, prefixRewrite, authority, scheme, port");
  if (redirect.uri && redirect.prefixRewrite)
    check.error("uri and prefixRewrite exclude each other", { code: codes.conflict });
  if (redirect.port !== undefined && redirect.derivePort !== undefined) {
    check.error("port and derivePort exclude each other", { code: codes.conflict });
  }
  if (redirect.prefixRewrite && !(route.match ?? []).every((match) => match.uri?.prefix !== undefined)) {
    check.at("prefixRewrite").error("prefixRewrite needs matches that are all uri prefixes", { code: codes.conflict });
  }
  if (redirect.redirectCode !== undefined && !REDIRECT_CODES.has(redirect.redirectCode)) {
    check.at("redirectCode").error(`${redirect.redirectCode} is not one of 301, 302, 303, 307, 308`);
  }
  if (redirect.scheme && redirect.scheme !== "http" && redirect.scheme !== "https") {
    check.at("scheme").error(`scheme must be http or https, not "${redirect.scheme}"`);
  }
}

function checkDirectResponse(response: HttpRoute["directResponse"], check: Check): void {
  if (response === undefined) return;
  if (response.status < 200 || response.status > 599) {
    check.at("status").error(`status must be between 200 and 599, not ${response.status}`);
  }
  const { body } = response;
  if (body === undefined) return;
  if (body.string !== undefined && body.bytes !== undefined) {
    check.at("body").error("string and bytes exclude each other", { code: codes.conflict });
  }
  if (body.bytes !== undefined && !isBase64(body.bytes)) check.at("body", "bytes").error("bytes must be base64");
  const size =
    body.string !== undefined ? new TextEncoder().encode(body.string).length : ((body.bytes ?? "").length * 3) / 4;
  if (size >= MAX_BODY) check.at("body").error("the body must be smaller than 1 MiB");
  else if (size > 100_000) check.at("body").warn("a body over 100 kB is kept in every proxy's memory");
}

function checkRewrite(route: HttpRoute, check: Check): void {
  const { rewrite } = route;
  if (rewrite === undefined) return;
  for (const field of ["uri", "authority"] as const) checkHeaderText(rewrite[field], check.at(field));
  if (!rewrite.uri && !rewrite.authority && rewrite.uriRegexRewrite === undefined) {
    check.error("a rewrite needs uri, uriRegexRewrite or authority");
  }
  if (rewrite.uri && rewrite.uriRegexRewrite !== undefined) {
    check.error("uri and uriRegexRewrite exclude each other", { code: codes.conflict });
  }
  if (rewrite.uri && (route.match ?? []).some((match) => match.uri?.regex !== undefined)) {
    check.at("uri").error("a regex match cannot be combined with rewrite.uri", { hint: "use uriRegexRewrite" });
  }
  const regex = rewrite.uriRegexRewrite;
  if (regex === undefined) return;
  checkHeaderText(regex.rewrite, check.at("uriRegexRewrite", "rewrite"));
  if (!regex.match || regex.rewrite === undefined || regex.rewrite === "") {
    check.at("uriRegexRewrite").error("match and rewrite are both required", { code: codes.missingField });
    return;
  }
  checkRegex(regex.match, check.at("uriRegexRewrite", "match"));
}

function checkMirrors(route: HttpRoute, check: Check): void {
  const mirrors = route.mirrors ?? [];
  if (route.mirror !== undefined && mirrors.length > 0) {
    check.at("mirrors").error("mirror and mirrors exclude each other", { code: codes.conflict, part: "key" });
  }
  checkDestination(route.mirror, check.at("mirror"));
  checkPercent(route.mirrorPercentage?.value, check.at("mirrorPercentage", "value"));
  for (const [index, mirror] of mirrors.entries()) {
    checkDestination(mirror.destination, check.at("mirrors", index, "destination"));
    checkPercent(mirror.percentage?.value, check.at("mirrors", index, "percentage", "value"));
  }
}
