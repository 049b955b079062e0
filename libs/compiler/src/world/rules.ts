import {
  type DestinationRule,
  type Gateway,
  hostMatches,
  type MeshConfig,
  type MeshService,
  type Resource,
  type Sidecar,
  shortHostToFqdn,
  type VirtualService,
} from "@lateen/mesh-model";
import { defineQuery, type Query, type Read } from "../engine/query-engine.ts";
import { providerHost } from "../lower/access-log.ts";
import { type Labels, labelsMatch } from "../lower/proto.ts";
import { sameJson, sameList } from "../resource.ts";
import { type ProxyScope, scopeKey, scopePortKey } from "../scope.ts";
import { cells } from "./mesh-snapshot.ts";
import { allServices, compare, keysOf, listOf, meshConfigOf, serviceByHost, settingsOf } from "./services.ts";

export type TrafficPolicy = NonNullable<DestinationRule["spec"]["trafficPolicy"]>;

/** Objects of a kind, oldest first, ties by name and namespace (Istio's conflict order). */
function byAge<R extends Resource>(objects: readonly R[]): readonly R[] {
  return [...objects].sort(
    (a, b) =>
      timeOf(a) - timeOf(b) ||
      compare(a.metadata.name, b.metadata.name) ||
      compare(a.metadata.namespace, b.metadata.namespace),
  );
}
function timeOf(object: Resource): number {
  const time = Date.parse(object.metadata.creationTimestamp ?? "");
  return Number.isNaN(time) ? 0 : time;
}

function objectsOf<R extends Resource>(read: Read, kind: R["kind"]): readonly R[] {
  return byAge(keysOf(read, kind).map((key) => read.input(cells.object(key)) as R));
}

/** Whether an object of `namespace` with this `exportTo` (or the default) is seen from `client`. */
function exportedTo(
  exportTo: readonly string[] | undefined,
  defaults: readonly string[],
  namespace: string,
  client: string,
): boolean {
  const targets = exportTo === undefined || exportTo.length === 0 ? defaults : exportTo;
  return targets.some((target) => target === "*" || (target === "." ? namespace === client : target === client));
}

// ---------------------------------------------------------------- destination rules

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

// ---------------------------------------------------------------- virtual services

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
  readonly spec: VirtualService["spec"];
}

const virtualServiceOfObject = defineQuery<string, BoundVirtualService | undefined>({
  name: "virtualServiceOfObject",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as VirtualService | undefined;
    if (object === undefined) return undefined;
    const { namespace, name } = object.metadata;
    const { domain } = settingsOf(read);
    const gateways = object.spec.gateways ?? [];
    return {
      namespace,
      name,
      hosts: (object.spec.hosts ?? []).map((host) => shortHostToFqdn(host, namespace, domain)),
      gateways: gateways.length === 0 ? ["mesh"] : gateways.map((gateway) => absoluteGateway(gateway, namespace)),
      destinations: destinationHosts(object.spec).map((host) => shortHostToFqdn(host, namespace, domain)),
      spec: object.spec,
    };
  },
});

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

/** All virtual services, oldest first. */
export const allVirtualServices = defineQuery<"", readonly BoundVirtualService[]>({
  name: "allVirtualServices",
  compute: (read) =>
    objectsOf<VirtualService>(read, "VirtualService").flatMap((object) => {
      const bound = read.ask(
        virtualServiceOfObject,
        `VirtualService/${object.metadata.namespace}/${object.metadata.name}`,
      );
      return bound === undefined ? [] : [bound];
    }),
  equal: sameList,
});

// ---------------------------------------------------------------- sidecars and visibility

/** The Sidecar that applies: one that selects the workload, else the namespace's, else the root namespace's. */
function sidecarFor(read: Read, scope: ProxyScope): Sidecar | undefined {
  if (scope.kind !== "sidecar") return undefined;
  const own = byAge(listOf(read, "Sidecar", scope.namespace));
  const selecting = own.find((sidecar) => {
    const labels = sidecar.spec.workloadSelector?.labels;
    return labels !== undefined && labelsMatch(labels, scope.labels);
  });
  if (selecting !== undefined) return selecting;
  const plain = (sidecar: Sidecar) => sidecar.spec.workloadSelector?.labels === undefined;
  return own.find(plain) ?? byAge(listOf(read, "Sidecar", meshConfigOf(read).rootNamespace)).find(plain);
}

export interface Visibility {
  /** Oldest first. */
  readonly services: readonly MeshService[];
  readonly virtualServices: readonly BoundVirtualService[];
  readonly allowAny: boolean;
}

/**
 * What a proxy may see: exported to its namespace, and imported by its Sidecar when one applies. What an imported virtual service
 * sends to, and the services that access logs go to, are imported with it.
 */
export const visibility = defineQuery<ProxyScope, Visibility>({
  name: "visibility",
  key: scopeKey,
  compute: (read, scope) => {
    const config = meshConfigOf(read);
    const sidecar = sidecarFor(read, scope);
    const imports = sidecar?.spec.egress?.flatMap((egress) => egress.hosts);
    const imported = importFilter(imports, scope.namespace);
    const virtualServices = read
      .ask(allVirtualServices, "")
      .filter(
        (bound) =>
          exportedTo(bound.spec.exportTo, config.defaultVirtualServiceExportTo, bound.namespace, scope.namespace) &&
          bound.hosts.some((host) => imported(bound.namespace, host)),
      );
    const needed = new Set([...virtualServices.flatMap((bound) => bound.destinations), ...logServices(config)]);
    const services = read
      .ask(allServices, "")
      .filter(
        (service) =>
          exportedTo(service.exportTo, config.defaultServiceExportTo, service.namespace, scope.namespace) &&
          (imported(service.namespace, service.host) || needed.has(service.host)),
      );
    const mode = sidecar?.spec.outboundTrafficPolicy?.mode ?? config.outboundTrafficPolicy.mode;
    return { services, virtualServices, allowAny: mode === "ALLOW_ANY" };
  },
  equal: (a, b) =>
    a.allowAny === b.allowAny && sameList(a.services, b.services) && sameList(a.virtualServices, b.virtualServices),
});

function logServices(config: MeshConfig): readonly string[] {
  const named = new Set(config.defaultProviders.accessLogging);
  return config.extensionProviders.flatMap(({ name, envoyHttpAls }) =>
    envoyHttpAls !== undefined && named.has(name) ? [providerHost(envoyHttpAls.service)] : [],
  );
}

/** Reads `namespace/dnsName` import lists of a Sidecar's egress. */
function importFilter(
  imports: readonly string[] | undefined,
  own: string,
): (namespace: string, host: string) => boolean {
  if (imports === undefined) return () => true;
  const parsed = imports.map((entry) => {
    const slash = entry.indexOf("/");
    return { namespace: entry.slice(0, slash), host: entry.slice(slash + 1).toLowerCase() };
  });
  return (namespace, host) =>
    parsed.some(
      (entry) =>
        (entry.namespace === "*" || (entry.namespace === "." ? namespace === own : entry.namespace === namespace)) &&
        (hostMatches(entry.host, host) || (host.startsWith("*") && hostMatches(host, entry.host))),
    );
}

/** Visible services, oldest first. Unlike {@link visibility}, not concerned by a change of virtual services. */
export const visibleServices = defineQuery<ProxyScope, readonly MeshService[]>({
  name: "visibleServices",
  key: scopeKey,
  compute: (read, scope) => read.ask(visibility, scope).services,
  equal: sameList,
});

/** Services of a scope by port number, each list oldest first. */
const servicesByPort = defineQuery<ProxyScope, ReadonlyMap<number, readonly MeshService[]>>({
  name: "servicesByPort",
  key: scopeKey,
  compute: (read, scope) => {
    const byPort = new Map<number, MeshService[]>();
    for (const service of read.ask(visibleServices, scope)) {
      for (const number of new Set(service.ports.map((port) => port.number))) {
        const list = byPort.get(number) ?? [];
        byPort.set(number, list);
        list.push(service);
      }
    }
    return byPort;
  },
});

/** Visible services that have a port of this number. Changes only when one of those does. */
export const servicesOnPort = defineQuery<
  { readonly scope: ProxyScope; readonly port: number },
  readonly MeshService[]
>({
  name: "servicesOnPort",
  key: scopePortKey,
  compute: (read, { scope, port }) => read.ask(servicesByPort, scope).get(port) ?? [],
  equal: sameList,
});

/** Port numbers of visible services, ascending. */
export const visiblePorts = defineQuery<ProxyScope, readonly number[]>({
  name: "visiblePorts",
  key: scopeKey,
  compute: (read, scope) => [...read.ask(servicesByPort, scope).keys()].sort((a, b) => a - b),
  equal: sameList,
});

/** Virtual services of the mesh gateway that concern these services, or (port 80) hosts that no service has. */
export const virtualServicesOnPort = defineQuery<
  { readonly scope: ProxyScope; readonly port: number },
  readonly BoundVirtualService[]
>({
  name: "virtualServicesOnPort",
  key: scopePortKey,
  compute: (read, argument) => {
    const hosts = new Set<string>(read.ask(servicesOnPort, argument).map((service) => service.host));
    const concerns = (pattern: string) =>
      hosts.has(pattern) ||
      (pattern.startsWith("*") && [...hosts].some((host) => hostMatches(pattern, host))) ||
      (argument.port === 80 && read.ask(serviceByHost, pattern) === undefined);
    return read
      .ask(visibility, argument.scope)
      .virtualServices.filter((bound) => bound.gateways.includes("mesh") && bound.hosts.some(concerns));
  },
  equal: sameList,
});

/** HTTP virtual services of the mesh gateway by exact host, and those with wildcards, each list oldest first. */
const httpRulesByHost = defineQuery<
  ProxyScope,
  {
    readonly exact: ReadonlyMap<string, BoundVirtualService>;
    readonly wildcards: readonly { readonly pattern: string; readonly bound: BoundVirtualService }[];
  }
>({
  name: "httpRulesByHost",
  key: scopeKey,
  compute: (read, scope) => {
    const exact = new Map<string, BoundVirtualService>();
    const wildcards: { pattern: string; bound: BoundVirtualService }[] = [];
    for (const bound of read.ask(visibility, scope).virtualServices) {
      if (!bound.gateways.includes("mesh") || (bound.spec.http ?? []).length === 0) continue;
      for (const host of bound.hosts) {
        if (host.startsWith("*")) wildcards.push({ pattern: host, bound });
        else if (!exact.has(host)) exact.set(host, bound);
      }
    }
    // Stable: of equally long patterns the oldest stays in front.
    wildcards.sort((a, b) => b.pattern.length - a.pattern.length);
    return { exact, wildcards };
  },
});

/** The virtual service whose HTTP rules govern a host: the oldest that names it, else the one with the longest wildcard. */
export const httpRuleFor = defineQuery<
  { readonly scope: ProxyScope; readonly host: string },
  BoundVirtualService | undefined
>({
  name: "httpRule",
  key: ({ scope, host }) => `${host} ${scope.id}`,
  compute: (read, { scope, host }) => {
    const { exact, wildcards } = read.ask(httpRulesByHost, scope);
    return exact.get(host) ?? wildcards.find(({ pattern }) => hostMatches(pattern, host))?.bound;
  },
});

// ---------------------------------------------------------------- gateways

/** Gateways whose selector selects the proxy, oldest first. */
export const gatewaysFor: Query<ProxyScope, readonly Gateway[]> = defineQuery<ProxyScope, readonly Gateway[]>({
  name: "gatewaysFor",
  key: scopeKey,
  compute: (read, scope) =>
    scope.kind !== "router"
      ? []
      : objectsOf<Gateway>(read, "Gateway").filter((gateway) => labelsMatch(gateway.spec.selector ?? {}, scope.labels)),
  equal: sameList,
});
