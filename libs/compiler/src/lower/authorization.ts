import { type AuthorizationPolicy, DRY_RUN_ANNOTATION } from "@lateen/mesh-model";
import { type Permission, Policy, type Principal, RBAC, RBAC_Action } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import { type CustomRules, customPolicyName } from "./ext-authz.ts";
import type { RbacRules } from "./filters.ts";
import { allPermissions, conditionPermission, operationParts } from "./rbac-permissions.ts";
import { allPrincipals, conditionPrincipal, sourceParts } from "./rbac-principals.ts";
import { type AuthorizationContext, NOT_DECIDABLE, type Rule, type RuleContext } from "./rbac-values.ts";

/**
 * Policies of a workload as RBAC. CUSTOM policies ask their provider on HTTP chains; where nobody can be asked (TCP chains, proxyless
 * servers, providers that are not defined, several of them at once) they are made a denial of everything. AUDIT has no effect on traffic. On TCP, HTTP-only parts make an ALLOW rule match never and are
 * ignored in a DENY rule, which makes it stricter.
 */
export function authorizationRules(all: readonly AuthorizationPolicy[], context: AuthorizationContext): RbacRules {
  const dry = all.filter(isDryRun);
  const rules = enforcedRules(dry.length === 0 ? all : all.filter((policy) => !isDryRun(policy)), context);
  if (dry.length === 0) return rules;
  // Nobody asks for the sake of a dry run.
  const shadow = enforcedRules(
    dry.filter(({ spec }) => spec?.action !== "CUSTOM"),
    context,
  );
  return { ...rules, shadow: { deny: shadow.deny, allow: shadow.allow } };
}

/** Whether a policy is only to tell what it would do. */
function isDryRun({ metadata }: AuthorizationPolicy): boolean {
  return metadata.annotations?.[DRY_RUN_ANNOTATION] === "true";
}

function enforcedRules(policies: readonly AuthorizationPolicy[], context: AuthorizationContext): RbacRules {
  const action = (policy: AuthorizationPolicy) => policy.spec?.action ?? "ALLOW";
  const custom = policies.filter((policy) => action(policy) === "CUSTOM");
  const deny = policies.filter((policy) => action(policy) === "DENY");
  const allow = policies.filter((policy) => action(policy) === "ALLOW");
  const denials = rulesOf(deny, "DENY", context);
  const asked = customRules(custom, context);
  if (asked === undefined) for (const policy of custom) denials[policyName(policy, 0)] = everything();
  return {
    ...(asked === undefined ? {} : { custom: asked }),
    deny: Object.keys(denials).length > 0 ? rbac(RBAC_Action.DENY, denials) : undefined,
    allow: allow.length > 0 ? rbac(RBAC_Action.ALLOW, rulesOf(allow, "ALLOW", context)) : undefined,
  };
}

/** The provider that all of them name, with what it is asked about; undefined: nobody can be asked. */
function customRules(policies: readonly AuthorizationPolicy[], context: AuthorizationContext): CustomRules | undefined {
  const [name = "", ...others] = new Set(policies.map((policy) => policy.spec?.provider?.name ?? ""));
  const provider = context.providers?.get(name);
  if (provider === undefined || others.length > 0 || context.layer === "tcp" || context.tokens === false)
    return undefined;
  const rules = Object.entries(rulesOf(policies, "DENY", context));
  const named = rules.map(([rule, policy]) => [customPolicyName(name, rule), policy] as const);
  return { providerName: name, provider, shadow: rbac(RBAC_Action.DENY, Object.fromEntries(named)) };
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
