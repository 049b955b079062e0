import { conditionClaim } from "@lateen/mesh-model";
import type { Principal } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { claimMatcher, type TokenCondition } from "./claims.ts";
import { cidr, endingWith, matchingRegex } from "./proto.ts";
import {
  type Condition,
  header,
  httpOnly,
  NOT_DECIDABLE,
  quote,
  type RuleContext,
  type Source,
  tokenOnly,
  wildcard,
} from "./rbac-values.ts";

/** What a source asks of the caller, as an AND. */
export function sourceParts(source: Source, context: RuleContext): readonly Principal[] {
  const { trustDomains, namespace } = context;
  const parts: Principal[] = [];
  const add = (
    values: readonly string[] | undefined,
    negated: readonly string[] | undefined,
    one: (value: string) => Principal[],
  ) => {
    if (values && values.length > 0) parts.push(anyPrincipal(values.flatMap(one)));
    if (negated && negated.length > 0) parts.push(notPrincipal(anyPrincipal(negated.flatMap(one))));
  };
  add(source.principals, source.notPrincipals, (value) => principalNames(value, trustDomains).map(authenticated));
  const asked = source.requestPrincipals;
  const refused = source.notRequestPrincipals;
  const tokens = (values: readonly string[] | undefined) => anyPrincipal((values ?? []).map(requestPrincipal));
  parts.push(...tokenOnly(context, asked, () => tokens(asked)));
  parts.push(...tokenOnly(context, refused, () => notPrincipal(tokens(refused))));
  add(source.namespaces, source.notNamespaces, (value) => [authenticated(namespacePattern(value))]);
  add(source.serviceAccounts, source.notServiceAccounts, (value) => [authenticated(accountPattern(value, namespace))]);
  add(source.trustDomains, source.notTrustDomains, (value) => [authenticated(trustDomainPattern(value))]);
  add(source.ipBlocks, source.notIpBlocks, (value) => [address("directRemoteIp", value)]);
  add(source.remoteIpBlocks, source.notRemoteIpBlocks, (value) => [address("remoteIp", value)]);
  return parts;
}

/** What a condition on the caller or the request asks; nothing for keys of the destination. */
export function conditionPrincipal(condition: Condition, context: RuleContext): readonly Principal[] {
  const make = principalOf(condition.key, context);
  if (make === undefined) return [];
  const only = condition.key.startsWith("request.auth.")
    ? tokenOnly
    : condition.key.startsWith("request.")
      ? httpOnly
      : undefined;
  const parts = (
    values: readonly string[] | undefined,
    wrap: (principal: Principal) => Principal,
  ): readonly Principal[] => {
    if (values === undefined || values.length === 0) return [];
    const build = () => wrap(anyPrincipal(values.flatMap(make)));
    return only === undefined ? [build()] : only(context, values, build);
  };
  return [...parts(condition.values, (principal) => principal), ...parts(condition.notValues, notPrincipal)];
}

function principalOf(key: string, context: RuleContext): ((value: string) => Principal[]) | undefined {
  switch (key) {
    case "source.ip":
      return (value) => [address("directRemoteIp", value)];
    case "remote.ip":
      return (value) => [address("remoteIp", value)];
    case "source.namespace":
      return (value) => [authenticated(namespacePattern(value))];
    case "source.principal":
      return (value) => principalNames(value, context.trustDomains).map(authenticated);
    case "source.trustDomain":
      return (value) => [authenticated(trustDomainPattern(value))];
    case "source.serviceAccount":
      return (value) => [authenticated(accountPattern(value, context.namespace))];
  }
  const claim = tokenPart(key);
  if (claim !== undefined) return (value) => [claim(value)];
  const name = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (name !== undefined) {
    return (value) => [{ identifier: { $case: "header", value: header(name.toLowerCase(), value) } }];
  }
  // Conditions on the destination are permissions. Of anything else nobody can decide, so an ALLOW rule never matches, and a
  // DENY rule does without the condition: neither lets through what the policy may have meant to stop.
  if (DESTINATION_KEYS.has(key) || context.action === "DENY") return undefined;
  throw NOT_DECIDABLE;
}

/** What a condition on a token looks at. */
function tokenPart(key: string): ((value: string) => Principal) | undefined {
  const of = (condition: TokenCondition) => (value: string) => claimed(condition, value);
  switch (key) {
    case "request.auth.principal":
      return requestPrincipal;
    case "request.auth.audiences":
      return of({ claim: ["aud"], list: true });
    case "request.auth.presenter":
      return of({ claim: ["azp"], list: false });
  }
  const claim = conditionClaim(key);
  return claim && of({ claim, list: true });
}

function claimed(condition: TokenCondition, value: string): Principal {
  return { identifier: { $case: "metadata", value: claimMatcher(condition, wildcard(value)) } };
}

/** `ISSUER/SUBJECT`, each with a wildcard of its own; `*`: anybody with a token. */
function requestPrincipal(value: string): Principal {
  const slash = value.lastIndexOf("/");
  const [issuer, subject] =
    value === "*" ? ["*", "*"] : slash < 0 ? [value, "*"] : [value.slice(0, slash), value.slice(slash + 1)];
  return allPrincipals([
    claimed({ claim: ["iss"], list: false }, issuer),
    claimed({ claim: ["sub"], list: false }, subject),
  ]);
}

const DESTINATION_KEYS: ReadonlySet<string> = new Set(["destination.ip", "destination.port", "connection.sni"]);

const DEFAULT_TRUST_DOMAIN = "cluster.local";

function principalNames(value: string, trustDomains: readonly string[]): readonly StringMatcher[] {
  if (value === "*") return [matchingRegex(".+")];
  if (value.startsWith("*")) return [endingWith(value.slice(1))];
  const [own = "", ...aliases] = trustDomains;
  const slash = value.indexOf("/");
  const domain = slash < 0 ? value : value.slice(0, slash);
  const rest = slash < 0 ? "" : value.slice(slash);
  // The old default name and every alias stand for the mesh's own trust domain.
  const domains =
    domain === own || domain === DEFAULT_TRUST_DOMAIN || aliases.includes(domain) ? [own, ...aliases] : [domain];
  return domains.map((name) => wildcard(`spiffe://${name}${rest}`));
}

function namespacePattern(value: string): StringMatcher {
  return matchingRegex(`spiffe://[^/]+/ns/${globPattern(value)}/sa/[^/]+`);
}

/** The trust domain of the caller's certificate itself: aliases do not stand for it. */
function trustDomainPattern(value: string): StringMatcher {
  return matchingRegex(`spiffe://${globPattern(value)}/.+`);
}

/** `name` of the policy's namespace, or `namespace/name`. */
function accountPattern(value: string, namespace: string): StringMatcher {
  const [first = "", second] = value.split("/");
  const [ns, account] = second === undefined ? [namespace, first] : [first, second];
  return matchingRegex(`spiffe://[^/]+/ns/${quote(ns)}/sa/${quote(account)}`);
}

/** A value with `*` at an end, as RE2 that stays inside one path segment. */
function globPattern(value: string): string {
  if (value === "*") return "[^/]+";
  if (value.startsWith("*")) return `[^/]*${quote(value.slice(1))}`;
  if (value.endsWith("*")) return `${quote(value.slice(0, -1))}[^/]*`;
  return quote(value);
}

function authenticated(principalName: StringMatcher): Principal {
  return { identifier: { $case: "authenticated", value: { principalName } } };
}

function address(kind: "directRemoteIp" | "remoteIp", value: string): Principal {
  return { identifier: { $case: kind, value: cidr(value) } };
}

function anyPrincipal(ids: Principal[]): Principal {
  const [only] = ids;
  return ids.length === 1 && only !== undefined ? only : { identifier: { $case: "orIds", value: { ids } } };
}

/** All of these; anybody when there are none. */
export function allPrincipals(ids: Principal[]): Principal {
  if (ids.length === 0) return { identifier: { $case: "any", value: true } };
  return { identifier: { $case: "andIds", value: { ids } } };
}

function notPrincipal(value: Principal): Principal {
  return { identifier: { $case: "notId", value } };
}
