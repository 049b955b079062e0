import { type DestinationRule, hostMatches, shortHostToFqdn } from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import type { Labels } from "../lower/proto.ts";
import { sameJson, sameList } from "../resource.ts";
import { exportedTo, objectsOf } from "./objects.ts";
import { compare, meshConfigOf, serviceByHost, settingsOf } from "./services.ts";

/** `trafficPolicy` of a destination rule or subset. */
export type TrafficPolicy = NonNullable<DestinationRule["spec"]["trafficPolicy"]>;

/** What a destination rule (or several for one host) says to clients of one namespace. */
export interface DestinationPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: readonly {
    readonly name: string;
    readonly labels: Labels;
    readonly trafficPolicy: TrafficPolicy | undefined;
  }[];
}

/** Rules of a namespace by absolute host pattern, each list oldest first. */
const destinationRuleIndex = defineQuery<string, ReadonlyMap<string, readonly DestinationRule[]>>({
  name: "destinationRuleIndex",
  compute: (read, namespace) => {
    const { domain } = settingsOf(read);
    const index = new Map<string, DestinationRule[]>();
    for (const rule of objectsOf<DestinationRule>(read, "DestinationRule")) {
      if (rule.metadata.namespace !== namespace) continue;
      const pattern = shortHostToFqdn(rule.spec.host, namespace, domain);
      const list = index.get(pattern) ?? [];
      index.set(pattern, list);
      list.push(rule);
    }
    return index;
  },
});

const rulesWithPattern = defineQuery<
  { readonly namespace: string; readonly pattern: string },
  readonly DestinationRule[]
>({
  name: "rulesWithPattern",
  key: ({ namespace, pattern }) => `${namespace}/${pattern}`,
  compute: (read, { namespace, pattern }) => read.ask(destinationRuleIndex, namespace).get(pattern) ?? [],
  equal: sameList,
});

/** Wildcard patterns of a namespace's rules, the most specific first. */
const wildcardPatterns = defineQuery<string, readonly string[]>({
  name: "wildcardPatterns",
  compute: (read, namespace) =>
    [...read.ask(destinationRuleIndex, namespace).keys()]
      .filter((pattern) => pattern.startsWith("*"))
      .sort((a, b) => b.length - a.length || compare(a, b)),
  equal: sameList,
});

/**
 * The policy for a host as clients of `namespace` see it. Looked for in the client's, then the service's, then the root
 * namespace; in a namespace the most specific host pattern wins; rules of the same host are merged, the oldest first.
 */
export const destinationPolicy = defineQuery<
  { readonly host: string; readonly namespace: string },
  DestinationPolicy | undefined
>({
  name: "destinationPolicy",
  key: ({ host, namespace }) => `${namespace}/${host}`,
  compute: (read, { host, namespace }) => {
    const service = read.ask(serviceByHost, host);
    const order = new Set([namespace, service?.namespace ?? namespace, meshConfigOf(read).rootNamespace]);
    for (const candidate of order) {
      const found = policyIn(read, candidate, host, namespace);
      if (found !== undefined) return found;
    }
    return undefined;
  },
  equal: sameJson,
});

function policyIn(read: Read, namespace: string, host: string, client: string): DestinationPolicy | undefined {
  const defaults = meshConfigOf(read).defaultDestinationRuleExportTo;
  const wildcards = read.ask(wildcardPatterns, namespace).filter((pattern) => hostMatches(pattern, host));
  for (const pattern of new Set([host, ...wildcards])) {
    const rules = read
      .ask(rulesWithPattern, { namespace, pattern })
      .filter((rule) => exportedTo(rule.spec.exportTo, defaults, namespace, client));
    if (rules.length > 0) return mergeRules(rules);
  }
  return undefined;
}

function mergeRules(rules: readonly DestinationRule[]): DestinationPolicy | undefined {
  const [first] = rules;
  if (first === undefined) return undefined;
  const subsets = new Map<string, DestinationPolicy["subsets"][number]>();
  for (const rule of rules) {
    for (const subset of rule.spec.subsets ?? []) {
      if (subsets.has(subset.name)) continue;
      subsets.set(subset.name, {
        name: subset.name,
        labels: subset.labels ?? {},
        trafficPolicy: subset.trafficPolicy,
      });
    }
  }
  return {
    namespace: first.metadata.namespace,
    name: first.metadata.name,
    trafficPolicy: rules.find((rule) => rule.spec.trafficPolicy !== undefined)?.spec.trafficPolicy,
    subsets: [...subsets.values()],
  };
}
