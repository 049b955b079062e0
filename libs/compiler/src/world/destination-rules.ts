import { type DestinationRule, hostMatches, shortHostToFqdn } from "@lateen/mesh-model";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { type Labels, labelsMatch } from "../lower/proto.ts";
import { sameJson, sameList } from "../resource.ts";
import type { ProxyScope } from "../scope.ts";
import { derivedDestinationRules } from "./converted.ts";
import { exportedTo } from "./export-to.ts";
import { objectsOf } from "./objects.ts";
import { compare, meshConfigOf, serviceFor, settingsOf } from "./services.ts";

/** `trafficPolicy` of a destination rule or subset. */
export type TrafficPolicy = NonNullable<DestinationRule["spec"]["trafficPolicy"]>;

/** What a destination rule (or several for one host) says to clients of one namespace. */
export interface DestinationPolicy {
  readonly namespace: string;
  readonly name: string;
  /** The rule selects its clients by labels. */
  readonly selecting: boolean;
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
    const rules = [...objectsOf<DestinationRule>(read, "DestinationRule"), ...read.ask(derivedDestinationRules, "")];
    for (const rule of rules) {
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

/** Who looks up destination rules: clients of one namespace, and the rules that select some of them by labels. */
export interface PolicyClient {
  readonly namespace: string;
  /** Keys of rules with a workload selector that select the client, sorted, joined with `,`. Mostly empty. */
  readonly selected: string;
}

const selectingRules = defineQuery<string, readonly DestinationRule[]>({
  name: "selectingRules",
  compute: (read, namespace) =>
    objectsOf<DestinationRule>(read, "DestinationRule").filter(
      (rule) => rule.metadata.namespace === namespace && selects(rule),
    ),
  equal: sameList,
});

function selects(rule: DestinationRule): boolean {
  return Object.keys(rule.spec.workloadSelector?.matchLabels ?? {}).length > 0;
}

/** The scope as destination rules see it. A selector reaches workloads of its own namespace only. */
export function policyClient(read: Pick<Read, "ask">, scope: Pick<ProxyScope, "namespace" | "labels">): PolicyClient {
  const { namespace, labels } = scope;
  const selected = read
    .ask(selectingRules, namespace)
    .filter((rule) => labelsMatch(rule.spec.workloadSelector?.matchLabels ?? {}, labels))
    .map((rule) => rule.metadata.name)
    .sort();
  return { namespace, selected: selected.join(",") };
}

/** Part of a query key. */
export const policyClientKey = ({ namespace, selected }: PolicyClient): string => `${namespace}[${selected}]`;

/**
 * The policy for a host as clients of `namespace` see it. Looked for in the client's, then the service's, then the root
 * namespace; in a namespace the most specific host pattern wins; rules of the same host are merged, the oldest first. Rules that select the client
 * by its labels come before those that select nobody.
 */
export const destinationPolicy = defineQuery<
  { readonly host: string; readonly client: PolicyClient },
  DestinationPolicy | undefined
>({
  name: "destinationPolicy",
  key: ({ host, client }) => `${policyClientKey(client)}/${host}`,
  compute: (read, { host, client }) => {
    const { namespace } = client;
    const service = serviceFor(read, host, namespace);
    const order = new Set([namespace, service?.namespace ?? namespace, meshConfigOf(read).rootNamespace]);
    for (const candidate of order) {
      const found = policyIn(read, candidate, host, client);
      if (found !== undefined) return found;
    }
    return undefined;
  },
  equal: sameJson,
});

/**
 * The client whose view of a host is the same: the service's own namespace, when what it sees of the host is what `client` sees. So that
 * whatever depends on the host and its rules is made once and not for each namespace.
 */
export const sharedClient = defineQuery<{ readonly host: string; readonly client: PolicyClient }, PolicyClient>({
  name: "sharedClient",
  key: ({ host, client }) => `${policyClientKey(client)}/${host}`,
  compute: (read, { host, client }) => {
    const service = serviceFor(read, host, client.namespace);
    if (service === undefined || service.namespace === client.namespace) return client;
    const owner = { namespace: service.namespace, selected: "" };
    if (serviceFor(read, host, owner.namespace) !== service) return client;
    return sameJson(read.ask(destinationPolicy, { host, client: owner }), read.ask(destinationPolicy, { host, client }))
      ? owner
      : client;
  },
  equal: (before, after) => policyClientKey(before) === policyClientKey(after),
});

function policyIn(read: Read, namespace: string, host: string, client: PolicyClient): DestinationPolicy | undefined {
  const defaults = meshConfigOf(read).defaultDestinationRuleExportTo;
  const wildcards = read.ask(wildcardPatterns, namespace).filter((pattern) => hostMatches(pattern, host));
  for (const pattern of new Set([host, ...wildcards])) {
    const rules = read
      .ask(rulesWithPattern, { namespace, pattern })
      .filter((rule) => exportedTo(rule.spec.exportTo, defaults, namespace, client.namespace));
    const selected = new Set(namespace === client.namespace ? client.selected.split(",") : []);
    const own = rules.filter((rule) => selects(rule) && selected.has(rule.metadata.name));
    const merged = mergeRules(own.length > 0 ? own : rules.filter((rule) => !selects(rule)));
    if (merged !== undefined) return merged;
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
    selecting: selects(first),
    trafficPolicy: rules.find((rule) => rule.spec.trafficPolicy !== undefined)?.spec.trafficPolicy,
    subsets: [...subsets.values()],
  };
}
