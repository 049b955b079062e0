import type { Precedence, RankedRule, RouteFragment } from "./fragments.ts";

/**
 * The Gateway API's order of matches: exact path, longest prefix, regular expression, method, most headers, most query
 * parameters. Where the specification leaves it open, a regular expression comes before "every path", which would hide it.
 * @returns negative when `a` comes first.
 */
export function comparePrecedence(a: Precedence, b: Precedence): number {
  return (
    b.path - a.path ||
    b.pathLength - a.pathLength ||
    Number(b.method) - Number(a.method) ||
    b.headers - a.headers ||
    b.queryParams - a.queryParams
  );
}

/** The order of routes that are otherwise equal: the oldest first, then by `namespace/name`. */
export function compareAge(a: RouteFragment, b: RouteFragment): number {
  const name = ({ source }: RouteFragment) => `${source.namespace}/${source.name} ${source.parent}`;
  return a.source.created - b.source.created || (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : a.index - b.index);
}

/** All rules of fragments in the order they are to be tried; equal ones stay in the order of age, then as written. */
export function orderedRules(fragments: readonly RouteFragment[]): readonly RankedRule[] {
  return [...fragments]
    .sort(compareAge)
    .flatMap(({ http }) => http)
    .sort((a, b) => comparePrecedence(a.precedence, b.precedence));
}
