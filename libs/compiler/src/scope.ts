import { defineQuery, type Read } from "./engine/query-engine.ts";
import type { Labels } from "./lower/proto.ts";
import type { XdsNode } from "./node.ts";
import { sameList } from "./resource.ts";
import { keysOf } from "./world/services.ts";
import { cells } from "./world/mesh-snapshot.ts";
import type { Resource } from "@lateen/mesh-model";

/**
 * All that the output for a proxy may depend on besides the mesh. It has no address and no pod name, and of the labels only those
 * that some selector in the configuration mentions, so replicas and most workloads of a namespace share one scope.
 */
export interface ProxyScope {
  readonly kind: XdsNode["kind"];
  readonly namespace: string;
  readonly labels: Labels;
  readonly lateen: boolean;
  readonly http2: boolean;
  readonly extensions: readonly string[];
}

/** A scope together with what only inbound traffic depends on. */
export interface WorkloadScope extends ProxyScope {
  readonly containerPorts: XdsNode["containerPorts"];
}

/** Label names that selectors mention: services, sidecars, gateways, policies, and sourceLabels of virtual services. */
const mentionedLabels = defineQuery<"", readonly string[]>({
  name: "mentionedLabels",
  compute: (read) => {
    const found = new Set<string>();
    for (const kind of SELECTING) {
      for (const key of keysOf(read, kind)) for (const label of read.ask(labelsOfObject, key)) found.add(label);
    }
    return [...found].sort();
  },
  equal: sameList,
});

const SELECTING = [
  "Service",
  "VirtualService",
  "Sidecar",
  "Gateway",
  "PeerAuthentication",
  "AuthorizationPolicy",
] as const;

const labelsOfObject = defineQuery<string, readonly string[]>({
  name: "labelsOfObject",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as Resource | undefined;
    return object === undefined ? [] : [...new Set(selectorsOf(object).flatMap((labels) => Object.keys(labels ?? {})))].sort();
  },
  equal: sameList,
});

function selectorsOf(object: Resource): readonly (Labels | undefined)[] {
  switch (object.kind) {
    case "Service":
      return [object.spec.selector];
    case "Gateway":
      return [object.spec.selector];
    case "Sidecar":
      return [object.spec.workloadSelector?.labels];
    case "PeerAuthentication":
    case "AuthorizationPolicy":
      return [object.spec?.selector?.matchLabels];
    case "VirtualService": {
      const { http = [], tcp = [], tls = [] } = object.spec;
      return [...http, ...tcp, ...tls].flatMap((rule) => (rule.match ?? []).map((match) => match.sourceLabels));
    }
    default:
      return [];
  }
}

/** What a node's outbound resources depend on. Reads the mentioned labels. */
export function scopeOf(read: Pick<Read, "ask">, node: XdsNode): ProxyScope {
  const labels: Record<string, string> = {};
  for (const name of read.ask(mentionedLabels, "")) {
    const value = node.labels[name];
    if (value !== undefined) labels[name] = value;
  }
  const { lateen, http2, extensions } = node.capabilities;
  return { kind: node.kind, namespace: node.namespace, labels, lateen, http2, extensions };
}
