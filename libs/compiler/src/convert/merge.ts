import type { VirtualService } from "@lateen/mesh-model";
import type { RouteFragment } from "./fragments.ts";
import { annotations, GATEWAY_MARK, INGRESS_MARK } from "./names.ts";
import { compareAge, orderedRules } from "./precedence.ts";

/** A virtual service with the places its HTTP rules were written at. */
export interface ConvertedRule {
  readonly object: VirtualService;
  readonly origins: readonly string[];
}

/** The virtual service of fragments of one group: named after the oldest route, rules by precedence. */
export function mergeFragments(fragments: readonly RouteFragment[]): ConvertedRule | undefined {
  const sorted = [...fragments].sort(compareAge);
  const [first] = sorted;
  if (first === undefined) return undefined;
  const { source, semantics, hosts, exportTo } = first;
  const mark = semantics === "ingress" ? INGRESS_MARK : GATEWAY_MARK;
  const rules = orderedRules(sorted);
  const tls = sorted.flatMap((fragment) => fragment.tls);
  const tcp = sorted.flatMap((fragment) => fragment.tcp);
  return {
    object: {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: {
        name: `${source.name}-${first.index}-${mark}`,
        namespace: source.namespace,
        ...(source.created === 0 ? {} : { creationTimestamp: new Date(source.created).toISOString() }),
        annotations: {
          [annotations.parents]: [...new Set(sorted.map((fragment) => fragment.source.parent))].join(","),
          [annotations.semantics]: semantics,
        },
      },
      spec: {
        hosts,
        gateways: [...new Set(sorted.flatMap(({ gateways }) => gateways))],
        ...(rules.length === 0 ? {} : { http: rules.map(({ rule }) => rule) }),
        ...(tls.length === 0 ? {} : { tls }),
        ...(tcp.length === 0 ? {} : { tcp }),
        exportTo,
      },
    },
    origins: rules.map(({ origin }) => origin),
  };
}
