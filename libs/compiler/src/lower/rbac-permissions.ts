import type { Permission } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { cidr, matchingRegex, startingWith } from "./proto.ts";
import { type Condition, header, httpOnly, type Operation, quote, type RuleContext, wildcard } from "./rbac-values.ts";

/** What an operation asks of a request, as an AND. */
export function operationParts(operation: Operation, context: RuleContext): readonly Permission[] {
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

/** What a condition on the destination asks; nothing for other keys. */
export function conditionPermission(condition: Condition, context: RuleContext): readonly Permission[] {
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

function anyPermission(rules: Permission[]): Permission {
  const [only] = rules;
  return rules.length === 1 && only !== undefined ? only : { rule: { $case: "orRules", value: { rules } } };
}

/** All of these; any request when there are none. */
export function allPermissions(rules: Permission[]): Permission {
  if (rules.length === 0) return { rule: { $case: "any", value: true } };
  return { rule: { $case: "andRules", value: { rules } } };
}

function notPermission(value: Permission): Permission {
  return { rule: { $case: "notRule", value } };
}
