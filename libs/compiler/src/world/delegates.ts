import { shortHostToFqdn, type VirtualService } from "@lateen/mesh-model";
import type { HttpMatch, HttpRule } from "../lower/route-match.ts";

/** An HTTP rule with the object and place it was written at. */
export interface PlacedRule {
  readonly rule: HttpRule;
  /** `VirtualService default/reviews http[1]` */
  readonly origin: string;
}

/** The place of a rule, for route metadata. */
export function ruleOrigin(object: VirtualService, index: number): string {
  return `VirtualService ${object.metadata.namespace}/${object.metadata.name} http[${index}]`;
}

/**
 * The rules that take the place of one which delegates: those of the delegate, narrowed by the matches of the root. Settings the
 * delegate does not make are the root's. A rule whose conditions exclude the root's is left out, as Istio does.
 */
export function delegatedRules(root: HttpRule, delegate: VirtualService, domain: string): readonly PlacedRule[] {
  return (delegate.spec.http ?? []).flatMap((rule, index) => {
    // A delegate of a delegate is refused when it is written; one that is there all the same does nothing.
    if (rule.delegate !== undefined) return [];
    const match = mergeMatches(root.match ?? [], rule.match ?? []);
    if (match === undefined) return [];
    const merged = mergeRule(root, absoluteRule(rule, delegate.metadata.namespace, domain), match);
    return [{ rule: merged, origin: ruleOrigin(delegate, index) }];
  });
}

const INHERITED = [
  "rewrite",
  "timeout",
  "retries",
  "fault",
  "mirror",
  "mirrorPercent",
  "mirrorPercentage",
  "mirrors",
  "corsPolicy",
  "headers",
] as const satisfies readonly (keyof HttpRule)[];

function mergeRule(root: HttpRule, rule: HttpRule, match: readonly HttpMatch[]): HttpRule {
  const inherited = Object.fromEntries(
    INHERITED.flatMap((field) => (root[field] === undefined ? [] : [[field, root[field]]])),
  ) as Partial<HttpRule>;
  const name = [root.name, rule.name].filter(Boolean).join("-");
  return { ...inherited, ...rule, ...(name === "" ? {} : { name }), match };
}

/** Short names of a delegate mean its own namespace, whatever that of the root is. */
function absoluteRule(rule: HttpRule, namespace: string, domain: string): HttpRule {
  const absolute = <D extends { readonly host: string }>(target: D): D => ({
    ...target,
    host: shortHostToFqdn(target.host, namespace, domain),
  });
  const within = <E extends { readonly destination: { readonly host: string } }>(entry: E): E => ({
    ...entry,
    destination: absolute(entry.destination),
  });
  return {
    ...rule,
    ...(rule.route === undefined ? {} : { route: rule.route.map(within) }),
    ...(rule.mirror === undefined ? {} : { mirror: absolute(rule.mirror) }),
    ...(rule.mirrors === undefined ? {} : { mirrors: rule.mirrors.map(within) }),
  };
}

/** Every condition of the root with every one of the delegate that does not contradict it; undefined: all of them do. */
function mergeMatches(root: readonly HttpMatch[], delegate: readonly HttpMatch[]): readonly HttpMatch[] | undefined {
  if (root.length === 0) return delegate;
  if (delegate.length === 0) return root;
  const merged = root.flatMap((outer) =>
    delegate.flatMap((inner) => (conflicts(outer, inner) ? [] : [mergeMatch(outer, inner)])),
  );
  return merged.length === 0 ? undefined : merged;
}

type StringMatch = NonNullable<HttpMatch["uri"]>;

function conflicts(root: HttpMatch, delegate: HttpMatch): boolean {
  if (root.uri !== undefined && delegate.uri !== undefined && !refines(root.uri, delegate.uri)) return true;
  for (const field of ["scheme", "method", "authority"] as const) {
    if (root[field] !== undefined && delegate[field] !== undefined) return true;
  }
  for (const field of ["headers", "withoutHeaders", "queryParams"] as const) {
    if (Object.keys(root[field] ?? {}).some((name) => delegate[field]?.[name] !== undefined)) return true;
  }
  for (const field of ["port", "sourceNamespace", "ignoreUriCase"] as const) {
    if (root[field] !== undefined && delegate[field] !== undefined && root[field] !== delegate[field]) return true;
  }
  const labels = Object.entries(root.sourceLabels ?? {});
  return labels.some(([name, value]) => (delegate.sourceLabels?.[name] ?? value) !== value);
}

/** Only a prefix can be narrowed, by a longer prefix or an exact path. */
function refines(root: StringMatch, delegate: StringMatch): boolean {
  if (root.prefix === undefined) return false;
  const narrower = delegate.exact ?? delegate.prefix;
  return narrower?.startsWith(root.prefix) ?? false;
}

function mergeMatch(root: HttpMatch, delegate: HttpMatch): HttpMatch {
  const merged: HttpMatch = { ...root, ...delegate };
  const name = [root.name, delegate.name].filter(Boolean).join("-");
  const joined = Object.fromEntries(
    (["headers", "withoutHeaders", "queryParams", "sourceLabels"] as const).flatMap((field) =>
      root[field] === undefined || delegate[field] === undefined
        ? []
        : [[field, { ...root[field], ...delegate[field] }]],
    ),
  );
  // A delegate belongs to no gateway of its own.
  const gateways = root.gateways === undefined ? {} : { gateways: root.gateways };
  return { ...merged, ...joined, ...gateways, ...(name === "" ? {} : { name }) };
}
