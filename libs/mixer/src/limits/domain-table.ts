import { createHash } from "node:crypto";
import type { RateLimitDomain, RateLimitRule, RateLimitRuleLimit } from "@lateen/mesh-model";

/** One entry of a request's descriptor. */
export interface Entry {
  readonly key: string;
  readonly value: string;
}

/** The rule that holds of a descriptor. */
export interface MatchedRule {
  readonly limit: RateLimitRuleLimit;
  readonly shadow: boolean;
  /** What requests count together by. */
  readonly counter: string;
  /** The rule for metrics: keys and values as configured, those of requests only where the rule asks for it. */
  readonly path: string;
}

/** The rules of one list, by key. */
type Level = ReadonlyMap<string, KeyRules>;
interface KeyRules {
  readonly exact: ReadonlyMap<string, Rule>;
  /** Those that end in `*`, the longest first. */
  readonly prefixes: readonly Rule[];
  readonly any: Rule | undefined;
}
interface Rule {
  readonly written: RateLimitRule;
  /** What values begin with; of prefixes. */
  readonly prefix: string;
  readonly next: Level;
}

/** Finds the rule of a descriptor. */
export interface DomainTable {
  find(entries: readonly Entry[]): MatchedRule | undefined;
}

/**
 * As Envoy's rate-limit service matches: entry by entry, down one level each; a rule with the entry's value goes before one whose value ends
 * in `*`, and that before one without a value; there is no way back. The rule of the last entry decides, and only that.
 */
export function compileDomain({ domain, descriptors }: RateLimitDomain): DomainTable {
  const top = compileLevel(descriptors);
  return {
    find(entries) {
      const path: string[] = [];
      const counted: string[] = [domain];
      let level = top;
      let last: Rule | undefined;
      for (const { key, value } of entries) {
        last = ruleOf(level.get(key), value);
        if (last === undefined) return undefined;
        const { written } = last;
        counted.push(key, written.shareThreshold ? (written.value ?? value) : value);
        const shown = written.detailedMetric ? value : written.value;
        path.push(shown === undefined ? key : `${key}_${shown}`);
        level = last.next;
      }
      if (last?.written.limit === undefined) return undefined;
      const { limit, shadow } = last.written;
      return { limit, shadow, counter: counterName(counted), path: path.join(".") };
    },
  };
}

function compileLevel(rules: readonly RateLimitRule[]): Level {
  const byKey = new Map<string, { exact: Map<string, Rule>; prefixes: Rule[]; any: Rule | undefined }>();
  for (const written of rules) {
    const of = byKey.get(written.key) ?? { exact: new Map<string, Rule>(), prefixes: [], any: undefined };
    byKey.set(written.key, of);
    const { value } = written;
    const prefix = value?.endsWith("*") === true ? value.slice(0, -1) : "";
    const rule = { written, prefix, next: compileLevel(written.descriptors) };
    if (value === undefined) of.any = rule;
    else if (value.endsWith("*")) of.prefixes.push(rule);
    else of.exact.set(value, rule);
  }
  for (const { prefixes } of byKey.values()) prefixes.sort((a, b) => b.prefix.length - a.prefix.length);
  return byKey;
}

function ruleOf(rules: KeyRules | undefined, value: string): Rule | undefined {
  return rules?.exact.get(value) ?? rules?.prefixes.find(({ prefix }) => value.startsWith(prefix)) ?? rules?.any;
}

/** Values come from requests, and may be as long as headers may be. */
const LONGEST_NAME = 200;

/** Unambiguous text for a list of texts. */
export function counterName(parts: readonly string[]): string {
  const name = JSON.stringify(parts);
  if (name.length <= LONGEST_NAME) return name;
  return JSON.stringify([parts[0]?.slice(0, 60), createHash("sha256").update(name).digest("base64url")]);
}
