import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkRegex } from "../../validation/common.ts";
import { checkBackendFilters, checkFilters, checkNamedMatches } from "../gateway-api/check-filters.ts";
import { checkBackend, checkHostname, checkParents } from "../gateway-api/check-refs.ts";
import type { KindContext } from "../index.ts";
import type { grpcRouteBody } from "./schema.ts";

type Rule = NonNullable<Infer<typeof grpcRouteBody>["spec"]["rules"]>[number];
type Match = NonNullable<Rule["matches"]>[number];

const SERVICE = /^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$/;
const METHOD = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** gateway.networking.k8s.io GRPCRoute, as the rules of its CRD say. */
export function validateGrpcRoute(body: Infer<typeof grpcRouteBody>, context: KindContext): void {
  const { parentRefs, hostnames, rules } = body.spec;
  const check = context.check.at("spec");
  checkParents(parentRefs, check);
  for (const [index, host] of (hostnames ?? []).entries()) checkHostname(host, check.at("hostnames", index));
  for (const [index, rule] of (rules ?? []).entries()) {
    const at = check.at("rules", index);
    for (const [number, match] of (rule.matches ?? []).entries()) checkMatch(match, at.at("matches", number));
    checkFilters(rule.filters, at.at("filters"));
    for (const [number, backend] of (rule.backendRefs ?? []).entries()) {
      checkBackend(backend, at.at("backendRefs", number));
      checkBackendFilters(backend.filters, at.at("backendRefs", number, "filters"));
    }
  }
}

function checkMatch(match: Match, check: Check): void {
  checkNamedMatches(match.headers, check.at("headers"), true);
  if (match.method === undefined) return;
  const { type = "Exact", service, method } = match.method;
  const at = check.at("method");
  if (service === undefined && method === undefined) {
    at.error("one or both of service and method are required", { code: codes.missingField });
  }
  if (type === "RegularExpression") {
    if (service !== undefined) checkRegex(service, at.at("service"));
    if (method !== undefined) checkRegex(method, at.at("method"));
    return;
  }
  if (service !== undefined && !SERVICE.test(service)) at.at("service").error(`"${service}" is not a gRPC service`);
  if (method !== undefined && !METHOD.test(method)) at.at("method").error(`"${method}" is not a gRPC method`);
}
