import { bytesOf, latin1Text, wireText } from "../head/bytes.ts";
import type { HeadView } from "../head/head.ts";
import { compileRegex, replaceAll } from "../match/regex.ts";
import type { RouteSpec } from "./spec.ts";
import type { CompiledRoute } from "./table.ts";

/** New path and query for a head that the route matched, one character a byte. */
export type PathRewrite = (head: HeadView) => string;

/** The path and query to send upstream, or undefined when the route does not rewrite. @see envoy RouteAction.prefix_rewrite, regex_rewrite */
export function rewritePath(route: CompiledRoute, head: HeadView): string | undefined {
  return route.rewrite?.(head);
}

/** Compiles the path part of a forward's rewrite or of a redirect. */
export function compilePathRewrite(route: RouteSpec): PathRewrite | undefined {
  const { action } = route;
  if (action.kind === "direct") return undefined;
  const prefix = action.kind === "forward" ? action.rewrite.prefix : action.prefixRewrite;
  if (prefix !== undefined) return replaceMatched(route, wireText(prefix));
  const expression = action.kind === "forward" ? action.rewrite.regex : action.regexRewrite;
  if (expression === undefined) return undefined;
  const { pattern, substitution } = expression;
  const regex = compileRegex(pattern);
  const wireSubstitution = wireText(substitution);
  return (head) =>
    replaceAll(regex, latin1Text(head.bytes, head.pathStart, head.queryStart), wireSubstitution) + queryOf(head);
}

/** Replaces what the route matched: the prefix, or the whole path of exact and expression matches; the query stays. */
function replaceMatched(route: RouteSpec, replacement: string): PathRewrite {
  const { path } = route.match;
  if (path.kind === "exact" || path.kind === "regex") return (head) => replacement + queryOf(head);
  const matched = bytesOf(path.value).length;
  return (head) => replacement + latin1Text(head.bytes, head.pathStart + matched, head.pathEnd);
}

function queryOf(head: HeadView): string {
  return head.queryStart === head.pathEnd ? "" : latin1Text(head.bytes, head.queryStart, head.pathEnd);
}
