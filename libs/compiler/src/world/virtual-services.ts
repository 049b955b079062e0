import { shortHostToFqdn, type VirtualService } from "@lateen/mesh-model";
import { annotations, createdMs } from "../convert/names.ts";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { sameJson, sameList } from "../resource.ts";
import { derivedRule, ruleGroups } from "./converted.ts";
import { delegatedRules, type PlacedRule, ruleOrigin } from "./delegates.ts";
import { exportedTo } from "./export-to.ts";
import { cells } from "./mesh-snapshot.ts";
import { objectsOf } from "./objects.ts";
import { compare, meshConfigOf, settingsOf } from "./services.ts";

/** A virtual service with its names made absolute. */
export interface BoundVirtualService {
  readonly namespace: string;
  readonly name: string;
  /** Full host names or wildcards, lower case. */
  readonly hosts: readonly string[];
  /** `mesh` or `namespace/name`. */
  readonly gateways: readonly string[];
  /** Full names of the hosts it sends to. */
  readonly destinations: readonly string[];
  /** With the rules of delegates in the place of those that delegate. */
  readonly spec: VirtualService["spec"];
  /** Where each of `spec.http` was written: `VirtualService default/reviews http[1]`. */
  readonly origins: readonly string[];
  /** Set where it was made of routes of the Gateway API or of Ingress: prefixes are whole path segments there. */
  readonly semantics?: "gateway" | "ingress";
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

const virtualServiceOfObject = defineQuery<string, BoundVirtualService | undefined>({
  name: "virtualServiceOfObject",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as VirtualService | undefined;
    if (object === undefined) return undefined;
    const { namespace, name } = object.metadata;
    const { domain } = settingsOf(read);
    const gateways = object.spec.gateways ?? [];
    const rules = placedRules(read, object);
    const spec = object.spec.http === undefined ? object.spec : { ...object.spec, http: rules.map(({ rule }) => rule) };
    return {
      namespace,
      name,
      hosts: (object.spec.hosts ?? []).map((host) => shortHostToFqdn(host, namespace, domain)),
      gateways: gateways.length === 0 ? ["mesh"] : gateways.map((gateway) => absoluteGateway(gateway, namespace)),
      destinations: destinationHosts(spec).map((host) => shortHostToFqdn(host, namespace, domain)),
      spec,
      origins: rules.map(({ origin }) => origin),
      createdAt: createdMs(object),
    };
  },
  equal: sameJson,
});

/** The HTTP rules with their origins. A delegate that is not there, or not exported to the root's namespace, has no rules. */
function placedRules(read: Read, object: VirtualService): readonly PlacedRule[] {
  const { namespace } = object.metadata;
  return (object.spec.http ?? []).flatMap((rule, index) => {
    if (rule.delegate === undefined) return [{ rule, origin: ruleOrigin(object, index) }];
    const home = rule.delegate.namespace || namespace;
    const key = `VirtualService/${home}/${rule.delegate.name ?? ""}`;
    const delegate = read.input(cells.object(key)) as VirtualService | undefined;
    const usable =
      delegate !== undefined &&
      (delegate.spec.hosts ?? []).length === 0 &&
      exportedTo(delegate.spec.exportTo, meshConfigOf(read).defaultVirtualServiceExportTo, home, namespace);
    return usable ? delegatedRules(rule, delegate, settingsOf(read).domain) : [];
  });
}

function destinationHosts(spec: VirtualService["spec"]): readonly string[] {
  const { http = [], tcp = [], tls = [] } = spec;
  const routes = [...http, ...tcp, ...tls].flatMap((rule) => (rule.route ?? []).map(({ destination }) => destination));
  const mirrors = http.flatMap((rule) => [
    ...(rule.mirror === undefined ? [] : [rule.mirror]),
    ...(rule.mirrors ?? []).map(({ destination }) => destination),
  ]);
  return [...new Set([...routes, ...mirrors].map(({ host }) => host))];
}

/** `mesh` stays; `name` means one of the rule's namespace. */
export function absoluteGateway(gateway: string, namespace: string): string {
  return gateway === "mesh" || gateway.includes("/") ? gateway : `${namespace}/${gateway}`;
}

/** A virtual service made of routes of the Gateway API or of Ingress. */
const virtualServiceOfGroup = defineQuery<string, BoundVirtualService | undefined>({
  name: "virtualServiceOfGroup",
  compute: (read, group) => {
    const derived = read.ask(derivedRule, group);
    if (derived === undefined) return undefined;
    const { metadata, spec } = derived.object;
    return {
      namespace: metadata.namespace,
      name: metadata.name,
      hosts: spec.hosts ?? [],
      gateways: spec.gateways ?? [],
      destinations: destinationHosts(spec),
      spec,
      origins: derived.origins,
      semantics: metadata.annotations?.[annotations.semantics] === "ingress" ? "ingress" : "gateway",
      createdAt: createdMs(derived.object),
    };
  },
});

/**
 * All virtual services, oldest first; in front of them what a namespace says about its own calls to services of others (Gateway
 * API), which counts there before what anybody else says.
 */
export const allVirtualServices = defineQuery<"", readonly BoundVirtualService[]>({
  name: "allVirtualServices",
  compute: (read) => {
    const written = objectsOf<VirtualService>(read, "VirtualService").flatMap((object) => {
      // Without hosts it is a part of others.
      if ((object.spec.hosts ?? []).length === 0) return [];
      const bound = read.ask(
        virtualServiceOfObject,
        `VirtualService/${object.metadata.namespace}/${object.metadata.name}`,
      );
      return bound === undefined ? [] : [bound];
    });
    const derived = read.ask(ruleGroups, "").flatMap((group) => read.ask(virtualServiceOfGroup, group) ?? []);
    if (derived.length === 0) return written;
    const rank = (bound: BoundVirtualService) =>
      bound.semantics === "gateway" && bound.gateways.includes("mesh") && bound.spec.exportTo?.[0] !== "*" ? 0 : 1;
    return [...written, ...derived].sort(
      (a, b) =>
        rank(a) - rank(b) || a.createdAt - b.createdAt || compare(a.name, b.name) || compare(a.namespace, b.namespace),
    );
  },
  equal: sameList,
});
