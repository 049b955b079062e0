import { typeUrl } from "@lateen/proto";
import {
  type Permission,
  type Policy,
  type Principal,
  type RBAC,
  RBAC_Action,
} from "@lateen/proto/envoy/config/rbac/v3/rbac";
import { RBAC as HttpRbac, RBACPerRoute } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { RBAC as NetworkRbac } from "@lateen/proto/envoy/extensions/filters/network/rbac/v3/rbac";
import type { PathMatcher } from "@lateen/proto/envoy/type/matcher/v3/path";
import { cidr, headerMatch, join, metadataMatch, onlyFields, refuse, stringMatch } from "@lateen/proxy";
import {
  compileRbac,
  type PermissionSpec,
  type PrincipalSpec,
  type RbacPolicySpec,
  type RbacSpec,
  type StringMatchSpec,
} from "@lateen/traffic";
import type { RbacConfig } from "./config.ts";

export const HTTP_RBAC_TYPE = typeUrl(HttpRbac);
export const HTTP_RBAC_ROUTE_TYPE = typeUrl(RBACPerRoute);
export const NETWORK_RBAC_TYPE = typeUrl(NetworkRbac);

/** @see envoy.extensions.filters.http.rbac.v3.RBAC. Matcher trees are refused. */
export function decodeHttpRbac(bytes: Uint8Array): RbacConfig {
  return httpRbac(HttpRbac.decode(bytes), "");
}

/** A route without rules of its own switches the filter off. @see envoy.extensions.filters.http.rbac.v3.RBACPerRoute */
export function decodeRbacPerRoute(bytes: Uint8Array): RbacConfig {
  const { rbac } = RBACPerRoute.decode(bytes);
  return rbac === undefined ? { rules: undefined } : httpRbac(rbac, "rbac");
}

/** @see envoy.extensions.filters.network.rbac.v3.RBAC */
export function decodeNetworkRbac(bytes: Uint8Array): RbacConfig {
  const message = NetworkRbac.decode(bytes);
  // Judging once or continuously is the same for a filter that reads nothing but connection facts.
  onlyFields(message, "", ["rules", "shadowRules", "shadowRulesStatPrefix", "statPrefix", "enforcementType"]);
  return withShadow(message, "");
}

function httpRbac(message: HttpRbac, at: string): RbacConfig {
  onlyFields(message, at, ["rules", "rulesStatPrefix", "shadowRules", "shadowRulesStatPrefix", "trackPerRuleStats"]);
  return withShadow(message, at);
}

function withShadow(
  message: Pick<HttpRbac, "rules" | "shadowRules" | "shadowRulesStatPrefix">,
  at: string,
): RbacConfig {
  const shadow = rulesOf(message.shadowRules, join(at, "shadow_rules"));
  return {
    rules: rulesOf(message.rules, join(at, "rules")),
    ...(shadow === undefined ? {} : { shadow: { rules: shadow, prefix: message.shadowRulesStatPrefix } }),
  };
}

const ACTIONS: Readonly<Record<number, RbacSpec["action"]>> = {
  [RBAC_Action.ALLOW]: "allow",
  [RBAC_Action.DENY]: "deny",
  [RBAC_Action.LOG]: "log",
};

function rulesOf(rbac: RBAC | undefined, at: string): RbacSpec | undefined {
  if (rbac === undefined) return undefined;
  onlyFields(rbac, at, ["action", "policies"]);
  const action = ACTIONS[rbac.action] ?? refuse(join(at, "action"), `unknown action ${rbac.action}`);
  const policies = Object.entries(rbac.policies).map(
    ([name, policy]) => [name, policyOf(policy, join(at, `policies[${name}]`))] as const,
  );
  const spec: RbacSpec = { action, policies: Object.fromEntries(policies) };
  // Whatever the worker would refuse later (patterns too large, bad ranges) is refused here, where it becomes a NACK.
  compileRbac(spec);
  return spec;
}

function policyOf(policy: Policy, at: string): RbacPolicySpec {
  onlyFields(policy, at, ["permissions", "principals"]);
  return {
    permissions: policy.permissions.map((rule, i) => permissionOf(rule, join(at, `permissions[${i}]`))),
    principals: policy.principals.map((id, i) => principalOf(id, join(at, `principals[${i}]`))),
  };
}

function permissionOf(permission: Permission, at: string): PermissionSpec {
  const { rule } = permission;
  switch (rule?.$case) {
    case "any":
      return anything(rule.value, at);
    case "andRules":
      return { kind: "and", of: rule.value.rules.map((part, i) => permissionOf(part, join(at, `and_rules[${i}]`))) };
    case "orRules":
      return { kind: "or", of: rule.value.rules.map((part, i) => permissionOf(part, join(at, `or_rules[${i}]`))) };
    case "notRule":
      return { kind: "not", of: permissionOf(rule.value, join(at, "not_rule")) };
    case "header":
      return { kind: "header", header: headerMatch(rule.value, join(at, "header")) };
    case "urlPath":
      return { kind: "urlPath", path: pathOf(rule.value, join(at, "url_path")) };
    case "destinationIp":
      return { kind: "destinationIp", cidr: cidr(rule.value) };
    case "destinationPort":
      return { kind: "destinationPort", port: rule.value };
    case "requestedServerName":
      return { kind: "serverName", match: stringMatch(rule.value, join(at, "requested_server_name")) };
    case "metadata":
      return { kind: "metadata", metadata: metadataMatch(rule.value, join(at, "metadata")) };
    case undefined:
      return refuse(at, "rule is required");
    default:
      return refuse(at, `rule ${String(rule?.$case)} is not supported by this proxy`);
  }
}

function principalOf(principal: Principal, at: string): PrincipalSpec {
  const { identifier } = principal;
  switch (identifier?.$case) {
    case "any":
      return anything(identifier.value, at);
    case "andIds":
      return { kind: "and", of: identifier.value.ids.map((id, i) => principalOf(id, join(at, `and_ids[${i}]`))) };
    case "orIds":
      return { kind: "or", of: identifier.value.ids.map((id, i) => principalOf(id, join(at, `or_ids[${i}]`))) };
    case "notId":
      return { kind: "not", of: principalOf(identifier.value, join(at, "not_id")) };
    case "authenticated": {
      const name = identifier.value.principalName;
      const at_ = join(at, "authenticated.principal_name");
      return { kind: "authenticated", principal: name === undefined ? undefined : stringMatch(name, at_) };
    }
    case "directRemoteIp":
    case "remoteIp":
    case "sourceIp":
      return { kind: identifier.$case, cidr: cidr(identifier.value) };
    case "header":
      return { kind: "header", header: headerMatch(identifier.value, join(at, "header")) };
    case "urlPath":
      return { kind: "urlPath", path: pathOf(identifier.value, join(at, "url_path")) };
    case "metadata":
      return { kind: "metadata", metadata: metadataMatch(identifier.value, join(at, "metadata")) };
    case undefined:
      return refuse(at, "identifier is required");
    default:
      return refuse(at, `identifier ${String(identifier?.$case)} is not supported by this proxy`);
  }
}

/** `any: false` has no meaning in Envoy's API; taking it for `true` would widen a rule. */
function anything(value: boolean, at: string): { readonly kind: "any" } {
  return value ? { kind: "any" } : refuse(join(at, "any"), "must be true");
}

function pathOf(matcher: PathMatcher, at: string): StringMatchSpec {
  return stringMatch(matcher.rule?.value, join(at, "path"));
}
