import type { AuthorizationPolicy, ExtAuthzProvider } from "@lateen/mesh-model";
import type { HeaderMatcher } from "@lateen/proto/envoy/config/route/v3/route_components";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { endingWith, exactly, matchingRegex, startingWith } from "./proto.ts";

/** A rule of an AuthorizationPolicy. */
export type Rule = NonNullable<NonNullable<AuthorizationPolicy["spec"]>["rules"]>[number];

/** Who may call. */
export type Source = NonNullable<NonNullable<Rule["from"]>[number]["source"]>;

/** What may be called. */
export type Operation = NonNullable<NonNullable<Rule["to"]>[number]["operation"]>;

/** A further condition by attribute key. */
export type Condition = NonNullable<Rule["when"]>[number];

/** What policies are compiled for. */
export interface AuthorizationContext {
  /** Own trust domain first, then its aliases. */
  readonly trustDomains: readonly string[];
  /** TCP chains have no request to look at. */
  readonly layer: "http" | "tcp";
  /** False: nobody there verifies tokens. Default true. */
  readonly tokens?: boolean;
  /** Who decides for CUSTOM policies, by name. */
  readonly providers?: ReadonlyMap<string, ExtAuthzProvider>;
}

/** Thrown inside when a rule uses what this layer cannot decide; the caller turns it into Istio's treatment of the rule. */
export const NOT_DECIDABLE = Symbol("not decidable");

/** The same for one rule; `namespace` is that of its policy. */
export interface RuleContext extends AuthorizationContext {
  readonly action: "ALLOW" | "DENY";
  readonly namespace: string;
}

/** HTTP-only parts on TCP: an ALLOW rule never matches, in a DENY rule the part is left out. */
export function httpOnly<T>(context: RuleContext, values: readonly string[] | undefined, make: () => T): readonly T[] {
  if (values === undefined || values.length === 0) return [];
  if (context.layer === "http") return [make()];
  if (context.action === "ALLOW") throw NOT_DECIDABLE;
  return [];
}

/** Parts on tokens: where nobody verifies them, they are treated as {@link httpOnly} ones on TCP. */
export function tokenOnly<T>(context: RuleContext, values: readonly string[] | undefined, make: () => T): readonly T[] {
  return httpOnly(context.tokens === false ? { ...context, layer: "tcp" } : context, values, make);
}

/** The text as RE2 that matches only itself. */
export function quote(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}

/** A header whose value is in Istio's value syntax. */
export function header(name: string, value: string): HeaderMatcher {
  const base = { name, invertMatch: false, treatMissingHeaderAsEmpty: false };
  return { ...base, headerMatchSpecifier: { $case: "stringMatch", value: wildcard(value) } };
}

/** Istio's value syntax: `*` = present and not empty, `abc*`, `*abc`, else the whole value. */
export function wildcard(value: string, ignoreCase = false): StringMatcher {
  if (value === "*") return matchingRegex(".+", false);
  if (value.startsWith("*")) return endingWith(value.slice(1), ignoreCase);
  if (value.endsWith("*")) return startingWith(value.slice(0, -1), ignoreCase);
  return exactly(value, ignoreCase);
}
