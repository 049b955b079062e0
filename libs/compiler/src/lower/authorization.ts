import type { AuthorizationPolicy } from "@lateen/mesh-model";
import { type Permission, Policy, type Principal, RBAC, RBAC_Action } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import type { HeaderMatcher } from "@lateen/proto/envoy/config/route/v3/route_components";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import type { RbacRules } from "./filters.ts";
import { cidr, endingWith, exactly, matchingRegex, startingWith } from "./proto.ts";

type Rule = NonNullable<NonNullable<AuthorizationPolicy["spec"]>["rules"]>[number];
type Source = NonNullable<NonNullable<Rule["from"]>[number]["source"]>;
type Operation = NonNullable<NonNullable<Rule["to"]>[number]["operation"]>;
type Condition = NonNullable<Rule["when"]>[number];

export interface AuthorizationContext {
  /** Own trust domain first, then its aliases. */
  readonly trustDomains: readonly string[];
  /** TCP chains have no request to look at. */
  readonly layer: "http" | "tcp";
}

/** Thrown inside when a rule uses what this layer cannot decide; the caller turns it into Istio's treatment of the rule. */
const NOT_DECIDABLE = Symbol("not decidable");

/**
 * Policies of a workload as RBAC. Only DENY and ALLOW are enforced here; CUSTOM has no enforcer yet and is made a denial of
 * everything (fail closed), AUDIT has no effect on traffic. On TCP, HTTP-only parts make an ALLOW rule match never and are
 * ignored in a DENY rule, which makes it stricter.
 */
export function authorizationRules(policies: readonly AuthorizationPolicy[], context: AuthorizationContext): RbacRules {
  const action = (policy: AuthorizationPolicy) => policy.spec?.action ?? "ALLOW";
  const custom = policies.filter((policy) => action(policy) === "CUSTOM");
  const deny = policies.filter((policy) => action(policy) === "DENY");
  const allow = policies.filter((policy) => action(policy) === "ALLOW");
  const denials = rulesOf(deny, "DENY", context);
  for (const policy of custom) denials[policyName(policy, 0)] = everything();
  return {
    deny: Object.keys(denials).length > 0 ? rbac(RBAC_Action.DENY, denials) : undefined,
    allow: allow.length > 0 ? rbac(RBAC_Action.ALLOW, rulesOf(allow, "ALLOW", context)) : undefined,
  };
}

function rbac(action: RBAC_Action, policies: Record<string, Policy>): RBAC {
  return RBAC.fromPartial({ action, policies });
}

function everything(): Policy {
  return Policy.fromPartial({
    permissions: [{ rule: { $case: "any", value: true } }],
    principals: [{ identifier: { $case: "any", value: true } }],
  });
}

/** `ns[default]-policy[reviews]-rule[0]` */
export function policyName(policy: AuthorizationPolicy, rule: number): string {
  return `ns[${policy.metadata.namespace}]-policy[${policy.metadata.name}]-rule[${rule}]`;
}

function rulesOf(
  policies: readonly AuthorizationPolicy[],
  action: "ALLOW" | "DENY",
  context: AuthorizationContext,
): Record<string, Policy> {
  const out: Record<string, Policy> = {};
  for (const policy of policies) {
    for (const [index, rule] of (policy.spec?.rules ?? []).entries()) {
      const compiled = compileRule(rule, { ...context, action, namespace: policy.metadata.namespace });
      if (compiled !== undefined) out[policyName(policy, index)] = compiled;
    }
  }
  return Object.fromEntries(Object.entries(out).sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface RuleContext extends AuthorizationContext {
  readonly action: "ALLOW" | "DENY";
  readonly namespace: string;
}

function compileRule(rule: Rule, context: RuleContext): Policy | undefined {
  const when = rule.when ?? [];
  const principals: Principal[] = [];
  const permissions: Permission[] = [];
  try {
    const conditionPrincipals = when.flatMap((condition) => conditionPrincipal(condition, context));
    const conditionPermissions = when.flatMap((condition) => conditionPermission(condition, context));
    const sources = rule.from && rule.from.length > 0 ? rule.from : [undefined];
    for (const from of sources) {
      principals.push(allPrincipals([...sourceParts(from?.source ?? {}, context), ...conditionPrincipals]));
    }
    const operations = rule.to && rule.to.length > 0 ? rule.to : [undefined];
    for (const to of operations) {
      permissions.push(allPermissions([...operationParts(to?.operation ?? {}, context), ...conditionPermissions]));
    }
  } catch (thrown) {
    if (thrown !== NOT_DECIDABLE) throw thrown;
    return undefined;
  }
  return Policy.fromPartial({ permissions, principals });
}

/** HTTP-only parts on TCP: an ALLOW rule never matches, in a DENY rule the part is left out. */
function httpOnly<T>(context: RuleContext, values: readonly string[] | undefined, make: () => T): readonly T[] {
  if (values === undefined || values.length === 0) return [];
  if (context.layer === "http") return [make()];
  if (context.action === "ALLOW") throw NOT_DECIDABLE;
  return [];
}

// ---------------------------------------------------------------- principals

function sourceParts(source: Source, context: RuleContext): readonly Principal[] {
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
  add(source.namespaces, source.notNamespaces, (value) => [authenticated(namespacePattern(value))]);
  add(source.serviceAccounts, source.notServiceAccounts, (value) => [authenticated(accountPattern(value, namespace))]);
  add(source.ipBlocks, source.notIpBlocks, (value) => [address("directRemoteIp", value)]);
  add(source.remoteIpBlocks, source.notRemoteIpBlocks, (value) => [address("remoteIp", value)]);
  return parts;
}

function conditionPrincipal(condition: Condition, context: RuleContext): readonly Principal[] {
  const make = principalOf(condition.key, context);
  if (make === undefined) return [];
  const header = condition.key.startsWith("request.");
  const parts = (
    values: readonly string[] | undefined,
    wrap: (principal: Principal) => Principal,
  ): readonly Principal[] => {
    if (values === undefined || values.length === 0) return [];
    const build = () => wrap(anyPrincipal(values.flatMap(make)));
    return header ? httpOnly(context, values, build) : [build()];
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
    case "source.serviceAccount":
      return (value) => [authenticated(accountPattern(value, context.namespace))];
  }
  const name = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (name !== undefined) {
    return (value) => [{ identifier: { $case: "header", value: header(name.toLowerCase(), value) } }];
  }
  // Conditions on the destination are permissions. Of anything else nobody can decide, so an ALLOW rule never matches, and a
  // DENY rule does without the condition: neither lets through what the policy may have meant to stop.
  if (DESTINATION_KEYS.has(key) || context.action === "DENY") return undefined;
  throw NOT_DECIDABLE;
}

const DESTINATION_KEYS: ReadonlySet<string> = new Set(["destination.ip", "destination.port", "connection.sni"]);

/** Condition keys of AuthorizationPolicy that no filter here can decide. */
export function undecidableKeys(policy: AuthorizationPolicy): readonly string[] {
  const known =
    /^(source\.(ip|namespace|principal|serviceAccount)|remote\.ip|destination\.(ip|port)|connection\.sni|request\.headers\[.+\])$/;
  return (policy.spec?.rules ?? []).flatMap((rule) =>
    (rule.when ?? []).map((condition) => condition.key).filter((key) => !known.test(key)),
  );
}

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

function quote(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
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
function allPrincipals(ids: Principal[]): Principal {
  if (ids.length === 0) return { identifier: { $case: "any", value: true } };
  return { identifier: { $case: "andIds", value: { ids } } };
}
function notPrincipal(value: Principal): Principal {
  return { identifier: { $case: "notId", value } };
}

// ---------------------------------------------------------------- permissions

function operationParts(operation: Operation, context: RuleContext): readonly Permission[] {
  const both = (
    values: readonly string[] | undefined,
    negated: readonly string[] | undefined,
    one: (value: string) => Permission,
    http: boolean,
  ): readonly Permission[] => {
    const build = (list: readonly string[] | undefined, wrap: (permission: Permission) => Permission) => {
      if (list === undefined || list.length === 0) return [];
      const make = () => wrap(anyPermission(list.map(one)));
      return http ? httpOnly(context, list, make) : [make()];
    };
    return [...build(values, (permission) => permission), ...build(negated, notPermission)];
  };
  return [
    ...both(operation.hosts, operation.notHosts, hostPermission, true),
    ...both(operation.methods, operation.notMethods, (value) => headerPermission(":method", value), true),
    ...both(operation.paths, operation.notPaths, pathPermission, true),
    ...both(operation.ports, operation.notPorts, portPermission, false),
  ];
}

function conditionPermission(condition: Condition, context: RuleContext): readonly Permission[] {
  const make = permissionOf(condition.key);
  if (make === undefined) return [];
  void context;
  const parts: Permission[] = [];
  if (condition.values?.length) parts.push(anyPermission(condition.values.map(make)));
  if (condition.notValues?.length) parts.push(notPermission(anyPermission(condition.notValues.map(make))));
  return parts;
}

function permissionOf(key: string): ((value: string) => Permission) | undefined {
  switch (key) {
    case "destination.ip":
      return (value) => ({ rule: { $case: "destinationIp", value: cidr(value) } });
    case "destination.port":
      return portPermission;
    case "connection.sni":
      return (value) => ({ rule: { $case: "requestedServerName", value: wildcard(value) } });
    default:
      return undefined;
  }
}

function portPermission(value: string): Permission {
  return { rule: { $case: "destinationPort", value: Number(value) } };
}

/** Hosts are compared without case, the port included; `host:*` is the host with any port. */
function hostPermission(value: string): Permission {
  const named = (matcher: StringMatcher): Permission => ({
    rule: {
      $case: "header",
      value: {
        name: ":authority",
        headerMatchSpecifier: { $case: "stringMatch", value: matcher },
        invertMatch: false,
        treatMissingHeaderAsEmpty: false,
      },
    },
  });
  return value.endsWith(":*") ? named(startingWith(value.slice(0, -1), true)) : named(wildcard(value, true));
}

function headerPermission(name: string, value: string): Permission {
  return { rule: { $case: "header", value: header(name, value) } };
}

function header(name: string, value: string): HeaderMatcher {
  const base = { name, invertMatch: false, treatMissingHeaderAsEmpty: false };
  return { ...base, headerMatchSpecifier: { $case: "stringMatch", value: wildcard(value) } };
}

/** Paths may also be templates: `{*}` is one segment, `{**}` any number. */
function pathPermission(value: string): Permission {
  const path =
    value.includes("{*}") || value.includes("{**}") ? matchingRegex(templatePattern(value)) : wildcard(value);
  return { rule: { $case: "urlPath", value: { rule: { $case: "path", value: path } } } };
}

function templatePattern(value: string): string {
  return value
    .split(/(\{\*\*?\})/)
    .map((part) => (part === "{*}" ? "[^/]+" : part === "{**}" ? ".*" : quote(part)))
    .join("");
}

/** Istio's value syntax: `*` = present and not empty, `abc*`, `*abc`, else the whole value. */
function wildcard(value: string, ignoreCase = false): StringMatcher {
  if (value === "*") return matchingRegex(".+", false);
  if (value.startsWith("*")) return endingWith(value.slice(1), ignoreCase);
  if (value.endsWith("*")) return startingWith(value.slice(0, -1), ignoreCase);
  return exactly(value, ignoreCase);
}

function anyPermission(rules: Permission[]): Permission {
  const [only] = rules;
  return rules.length === 1 && only !== undefined ? only : { rule: { $case: "orRules", value: { rules } } };
}
function allPermissions(rules: Permission[]): Permission {
  if (rules.length === 0) return { rule: { $case: "any", value: true } };
  return { rule: { $case: "andRules", value: { rules } } };
}
function notPermission(value: Permission): Permission {
  return { rule: { $case: "notRule", value } };
}
