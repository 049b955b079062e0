import { nearestName } from "@lateen/kernel";
import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { conditionClaim } from "../../validation/claims.ts";
import { checkSelector } from "../../validation/common.ts";
import { isHeaderName } from "../../validation/headers.ts";
import { isIpOrCidr } from "../../validation/ip.ts";
import type { KindContext } from "../index.ts";
import { checkTargets } from "../targets.ts";
import type { authorizationPolicyBody } from "./schema.ts";

type Spec = NonNullable<Infer<typeof authorizationPolicyBody>["spec"]>;
type Rule = NonNullable<Spec["rules"]>[number];
type Source = NonNullable<NonNullable<Rule["from"]>[number]["source"]>;
type Operation = NonNullable<NonNullable<Rule["to"]>[number]["operation"]>;
type Condition = NonNullable<Rule["when"]>[number];

/** Annotation of policies that only tell what they would do: `"true"`. */
export const DRY_RUN_ANNOTATION = "istio.io/dry-run";
const IP_FIELDS = ["ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"] as const;
const CONDITION_KEYS = [
  "source.ip",
  "remote.ip",
  "source.namespace",
  "source.principal",
  "source.serviceAccount",
  "source.trustDomain",
  "request.auth.principal",
  "request.auth.audiences",
  "request.auth.presenter",
  "destination.ip",
  "destination.port",
  "connection.sni",
] as const;

/** security.istio.io AuthorizationPolicy, as Istio's admission checks it. */
export function validateAuthorizationPolicy(body: Infer<typeof authorizationPolicyBody>, context: KindContext): void {
  const spec = body.spec ?? {};
  const check = context.check.at("spec");
  const action = spec.action ?? "ALLOW";
  checkSelector(spec.selector, "matchLabels", check.at("selector"));
  checkTargets(spec, context.metadata.namespace, check);
  if (context.metadata.annotations?.[DRY_RUN_ANNOTATION] === "true" && action === "CUSTOM") {
    context.check
      .at("metadata", "annotations", DRY_RUN_ANNOTATION)
      .error("a CUSTOM policy cannot be a dry run: it would be enforced", { code: codes.unsupported, part: "key" });
  }
  if (action === "CUSTOM") checkCustom(spec, check);
  else if (spec.provider !== undefined) check.at("provider").error("only CUSTOM policies have a provider");
  if (action === "AUDIT") check.at("action").warn("nothing records an AUDIT policy yet: it has no effect");
  if (spec.rules === undefined) {
    if (action === "DENY") check.error("a DENY policy needs rules", { code: codes.missingField });
    if (action === "ALLOW") check.warn("an ALLOW policy without rules denies every request");
  }
  for (const [index, rule] of (spec.rules ?? []).entries()) checkRule(rule, check.at("rules", index));
}

/** Conditions that depend on who calls: an authorisation service is asked before anybody knows. */
const IDENTITY_KEYS = /^(source\.(namespace|principal|serviceAccount|trustDomain)|request\.auth\..*)$/;
const IDENTITY_FIELDS = [
  "principals",
  "notPrincipals",
  "requestPrincipals",
  "notRequestPrincipals",
  "namespaces",
  "notNamespaces",
  "serviceAccounts",
  "notServiceAccounts",
] as const;

function checkCustom(spec: Spec, check: Check): void {
  if (!spec.provider?.name) check.error("a CUSTOM policy needs provider.name", { code: codes.missingField });
  if (spec.rules === undefined) check.error("a CUSTOM policy needs rules", { code: codes.missingField });
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    const at = check.at("rules", index);
    for (const [i, { source }] of (rule.from ?? []).entries()) {
      for (const field of IDENTITY_FIELDS) {
        if (source?.[field] === undefined) continue;
        at.at("from", i, "source", field).error(`${field} cannot be used with CUSTOM`, { part: "key" });
      }
    }
    for (const [i, { key }] of (rule.when ?? []).entries()) {
      if (IDENTITY_KEYS.test(key)) at.at("when", i, "key").error(`"${key}" cannot be used with CUSTOM`);
    }
  }
}

function checkRule(rule: Rule, check: Check): void {
  for (const part of ["from", "to", "when"] as const) {
    if (rule[part]?.length === 0) check.at(part).error(`${part} must not be empty`);
  }
  for (const [index, from] of (rule.from ?? []).entries()) {
    const at = check.at("from", index);
    if (from.source === undefined || isEmpty(from.source)) at.error("a source needs at least one field");
    else checkSource(from.source, at.at("source"));
  }
  for (const [index, to] of (rule.to ?? []).entries()) {
    const at = check.at("to", index);
    if (to.operation === undefined || isEmpty(to.operation)) at.error("an operation needs at least one field");
    else checkOperation(to.operation, at.at("operation"));
  }
  for (const [index, condition] of (rule.when ?? []).entries()) checkCondition(condition, check.at("when", index));
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

/** Values become patterns, whose length proxies bound. */
const LONGEST = 512;

function checkValues(fields: Readonly<Record<string, readonly string[] | undefined>>, check: Check): void {
  for (const [name, values] of Object.entries(fields)) {
    if (values?.length === 0) check.at(name).error(`${name} must not be empty`);
    for (const [index, value] of (values ?? []).entries()) {
      if (value === "") check.at(name, index).error("a value must not be empty");
      if (value.length > LONGEST) check.at(name, index).error(`a value has at most ${LONGEST} characters`);
    }
  }
}

function checkSource(source: Source, check: Check): void {
  checkValues(source, check);
  for (const field of ["principals", "notPrincipals"] as const) {
    for (const [index, principal] of (source[field] ?? []).entries()) checkPrincipal(principal, check.at(field, index));
  }
  for (const field of IP_FIELDS) {
    for (const [index, block] of (source[field] ?? []).entries()) {
      if (!isIpOrCidr(block)) check.at(field, index).error(`"${block}" is not an address or CIDR`);
    }
  }
  for (const field of ["serviceAccounts", "notServiceAccounts"] as const) {
    if (source[field] === undefined) continue;
    for (const other of ["principals", "notPrincipals", "namespaces", "notNamespaces"] as const) {
      if (source[other] !== undefined) {
        check.at(field).error(`${field} and ${other} exclude each other`, { code: codes.conflict, part: "key" });
      }
    }
    for (const [index, account] of source[field].entries()) {
      const parts = account.split("/");
      if (account.includes("*")) check.at(field, index).error("wildcards are not supported in service accounts");
      else if (parts.length > 2 || parts.includes("")) {
        check.at(field, index).error(`"${account}" is not "name" or "namespace/name"`);
      }
    }
  }
}

/** A principal is written without its scheme; with it the value matches nobody, and a DENY rule lets everybody in. */
function checkPrincipal(principal: string, check: Check): void {
  if (!principal.startsWith("spiffe://")) return;
  check.warn(`"${principal}" never matches: principals are written without "spiffe://"`, {
    hint: `write "${principal.slice("spiffe://".length)}"`,
  });
}

function checkOperation(operation: Operation, check: Check): void {
  checkValues(operation, check);
  for (const field of ["ports", "notPorts"] as const) checkPorts(operation[field], check.at(field));
  for (const field of ["paths", "notPaths"] as const) {
    for (const [index, path] of (operation[field] ?? []).entries()) checkPathTemplate(path, check.at(field, index));
    for (const [index, path] of (operation[field] ?? []).entries()) {
      if (!/^[/*{]/.test(path)) check.at(field, index).warn(`"${path}" never matches: a path begins with "/"`);
    }
  }
  for (const field of ["methods", "notMethods"] as const) {
    for (const [index, method] of (operation[field] ?? []).entries()) {
      if (method === method.toUpperCase()) continue;
      check.at(field, index).warn(`"${method}" never matches: methods are upper case`, {
        hint: `write "${method.toUpperCase()}"`,
      });
    }
  }
}

function checkPorts(ports: readonly string[] | undefined, check: Check): void {
  for (const [index, port] of (ports ?? []).entries()) {
    const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
    if (number < 1 || number > 65535) check.at(index).error(`"${port}" is not a port number`);
  }
}

/** `{*}` stands for one segment, `{**}` for any number and only once, as the last operator. */
function checkPathTemplate(path: string, check: Check): void {
  if (!path.includes("{") && !path.includes("}")) return;
  const segments = path.split("/");
  let open = false;
  for (const segment of segments) {
    const operator = segment === "{*}" || segment === "{**}";
    if (!operator && /[{}]/.test(segment)) {
      check.error(`"${path}": only {*} and {**} can be used, each as a whole segment`);
      return;
    }
    if (segment.includes("*") && !operator) {
      check.error(`"${path}": "*" cannot be combined with {*} or {**}`);
      return;
    }
    if (operator && open) {
      check.error(`"${path}": {**} must be the last operator`);
      return;
    }
    open ||= segment === "{**}";
  }
}

function checkCondition(condition: Condition, check: Check): void {
  const { key } = condition;
  if (!condition.values?.length && !condition.notValues?.length) {
    check.error("a condition needs values or notValues", { code: codes.missingField });
  }
  const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (header !== undefined) {
    if (!isHeaderName(header)) check.at("key").error(`"${header}" is not a header name`);
  } else if (key.startsWith("request.auth.claims")) {
    if (conditionClaim(key) === undefined) {
      check.at("key").error(`"${key}" names no claim`, { hint: 'write "request.auth.claims[NAME]"' });
    }
  } else if (key.startsWith("experimental.")) {
    check.at("key").error(`condition "${key}" is not supported yet`, { code: codes.unsupported });
    return;
  } else if (!CONDITION_KEYS.some((known) => known === key)) {
    const nearest = nearestName(key, [...CONDITION_KEYS, "request.headers[name]"]);
    check.at("key").error(`"${key}" is not a condition`, { hint: nearest && `did you mean "${nearest}"?` });
    return;
  }
  for (const field of ["values", "notValues"] as const) {
    const at = check.at(field);
    if (key === "destination.port") checkPorts(condition[field], at);
    if (key === "source.principal") {
      for (const [index, principal] of (condition[field] ?? []).entries()) checkPrincipal(principal, at.at(index));
    }
    if (!key.endsWith(".ip")) continue;
    for (const [index, block] of (condition[field] ?? []).entries()) {
      if (!isIpOrCidr(block)) at.at(index).error(`"${block}" is not an address or CIDR`);
    }
  }
}
