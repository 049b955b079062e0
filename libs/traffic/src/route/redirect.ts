import { latin1Text, wireText } from "../head/bytes.ts";
import type { HeadView } from "../head/head.ts";
import type { Scheme } from "../match/header.ts";
import { hostEndWithoutPort } from "./hosts.ts";
import type { RedirectSpec } from "./spec.ts";
import type { CompiledRoute } from "./table.ts";

export interface Redirect {
  readonly status: number;
  readonly location: string;
}

/**
 * Where a redirecting route sends the client; undefined for other routes. A port that is the scheme's default is left out.
 * @param scheme of the downstream request.
 * @see envoy.config.route.v3.RedirectAction
 */
export function redirectLocation(route: CompiledRoute, head: HeadView, scheme: Scheme): Redirect | undefined {
  const { action } = route;
  if (action.kind !== "redirect") return undefined;
  const newScheme = action.scheme ?? scheme;
  const host = action.host ?? requestHost(head, action, scheme, newScheme);
  const port = action.port === undefined || action.port === defaultPort(newScheme) ? "" : `:${action.port}`;
  return { status: action.status, location: `${newScheme}://${host}${port}${newPath(route, action, head)}` };
}

function requestHost(head: HeadView, action: RedirectSpec, scheme: Scheme, newScheme: string): string {
  const { bytes, authorityStart, authorityEnd } = head;
  const end = hostEndWithoutPort(bytes, authorityStart, authorityEnd);
  const port = end === authorityEnd ? undefined : Number(latin1Text(bytes, end + 1, authorityEnd));
  const drop = action.port !== undefined || (newScheme !== scheme && port === defaultPort(scheme));
  return latin1Text(bytes, authorityStart, drop ? end : authorityEnd);
}

function defaultPort(scheme: string): number | undefined {
  if (scheme === "http") return 80;
  return scheme === "https" ? 443 : undefined;
}

function newPath(route: CompiledRoute, action: RedirectSpec, head: HeadView): string {
  const query = action.stripQuery ? "" : latin1Text(head.bytes, head.queryStart, head.pathEnd);
  if (action.path !== undefined)
    return action.path.includes("?") ? wireText(action.path) : wireText(action.path) + query;
  if (route.rewrite === undefined) return latin1Text(head.bytes, head.pathStart, head.queryStart) + query;
  const rewritten = route.rewrite(head);
  return action.stripQuery ? rewritten.split("?", 1).join("") : rewritten;
}
