import { parseDuration } from "@lateen/kernel";
import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkDuration, checkRegex } from "../../validation/common.ts";
import { checkBackendFilters, checkFilters, checkNamedMatches, isPath } from "../gateway-api/check-filters.ts";
import { checkBackend, checkHostname, checkParents } from "../gateway-api/check-refs.ts";
import type { KindContext } from "../index.ts";
import type { httpRouteBody } from "./schema.ts";

type Rule = NonNullable<Infer<typeof httpRouteBody>["spec"]["rules"]>[number];
type Match = NonNullable<Rule["matches"]>[number];

/** gateway.networking.k8s.io HTTPRoute, as the rules of its CRD say. */
export function validateHttpRoute(body: Infer<typeof httpRouteBody>, context: KindContext): void {
  const { parentRefs, hostnames, rules } = body.spec;
  const check = context.check.at("spec");
  checkParents(parentRefs, check);
  for (const [index, host] of (hostnames ?? []).entries()) checkHostname(host, check.at("hostnames", index));
  for (const [index, rule] of (rules ?? []).entries()) checkRule(rule, check.at("rules", index));
}

function checkRule(rule: Rule, check: Check): void {
  for (const [index, match] of (rule.matches ?? []).entries()) checkMatch(match, check.at("matches", index));
  checkFilters(rule.filters, check.at("filters"));
  for (const [index, backend] of (rule.backendRefs ?? []).entries()) {
    checkBackend(backend, check.at("backendRefs", index));
    checkBackendFilters(backend.filters, check.at("backendRefs", index, "filters"));
  }
  const redirects = rule.filters?.some(({ type }) => type === "RequestRedirect") ?? false;
  if (redirects && (rule.backendRefs ?? []).length > 0) {
    check.at("backendRefs").error("a rule that redirects has no backends", { code: codes.conflict });
  }
  checkPrefixReplacement(rule, check);
  checkTimeouts(rule, check);
  checkDuration(rule.retry?.backoff, check.at("retry", "backoff"));
}

/** What is replaced must be one prefix. */
function checkPrefixReplacement(rule: Rule, check: Check): void {
  for (const [index, filter] of (rule.filters ?? []).entries()) {
    const path = filter.requestRedirect?.path ?? filter.urlRewrite?.path;
    if (path?.type !== "ReplacePrefixMatch") continue;
    const [match, second] = rule.matches ?? [];
    const prefix = match === undefined || (match.path?.type ?? "PathPrefix") === "PathPrefix";
    if (second !== undefined || !prefix) {
      check.at("filters", index).error("ReplacePrefixMatch needs exactly one match, of type PathPrefix", {
        code: codes.conflict,
      });
    }
  }
}

function checkTimeouts({ timeouts }: Rule, check: Check): void {
  const at = check.at("timeouts");
  checkDuration(timeouts?.request, at.at("request"), true);
  checkDuration(timeouts?.backendRequest, at.at("backendRequest"), true);
  const request = parseDuration(timeouts?.request ?? "0s");
  const backend = parseDuration(timeouts?.backendRequest ?? "0s");
  if (request.ok && backend.ok && request.value > 0 && backend.value > request.value) {
    at.at("backendRequest").error("backendRequest must not be longer than request", { code: codes.conflict });
  }
}

function checkMatch(match: Match, check: Check): void {
  checkPath(match.path, check.at("path"));
  checkNamedMatches(match.headers, check.at("headers"), true);
  checkNamedMatches(match.queryParams, check.at("queryParams"), false);
}

function checkPath(path: Match["path"], check: Check): void {
  if (path === undefined) return;
  const { type = "PathPrefix", value = "/" } = path;
  const at = check.at("value");
  if (type === "RegularExpression") {
    checkRegex(value, at);
    return;
  }
  if (!value.startsWith("/")) at.error(`a path begins with "/", "${value}" does not`);
  if (!isPath(value)) at.error(`"${value}" has a character that a path cannot have`);
  const bad = ["//", "/./", "/../", "%2f", "%2F"].find((part) => value.includes(part));
  if (bad !== undefined) at.error(`a path must not contain "${bad}"`);
  if (value.endsWith("/..") || value.endsWith("/.")) at.error("a path must not end with a dot segment");
}
