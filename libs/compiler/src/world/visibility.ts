import {
  hostMatches,
  type MeshConfig,
  type MeshService,
  needsAutoAddress,
  type Sidecar,
  shortHostToFqdn,
} from "@lateen/mesh-model";
import { defineQuery, type Query, type Read } from "../engine/query-engine.ts";
import { providerHost } from "../lower/access-log.ts";
import { outboundCluster } from "../lower/names.ts";
import { sameJson, sameList } from "../resource.ts";
import { type ProxyScope, scopeKey, scopePortKey } from "../scope.ts";
import { exportedTo } from "./export-to.ts";
import { addressedService, allServices, meshConfigOf, preferred, serviceByHost, settingsOf } from "./services.ts";
import { sidecarFor } from "./sidecars.ts";
import { allVirtualServices, type BoundVirtualService } from "./virtual-services.ts";

/** What a proxy may see. */
export interface Visibility {
  /** Oldest first. */
  readonly services: readonly MeshService[];
  readonly allowAny: boolean;
  /** Cluster of the proxy that unknown traffic goes through; undefined: where it was headed. */
  readonly egressProxy: string | undefined;
  /** Egress listeners of the Sidecar; undefined: everything on every port. */
  readonly egress: NonNullable<Sidecar["spec"]["egress"]> | undefined;
}

/** Whether a proxy may see what a namespace has, by host. */
export type Imports = (namespace: string, host: string) => boolean;

const EVERYTHING: Imports = () => true;

/** What the Sidecar that applies imports. The very same as long as that Sidecar does not change. */
export const importsOf = defineQuery<ProxyScope, Imports>({
  name: "imports",
  key: scopeKey,
  compute: (read, scope) => {
    const imports = sidecarFor(read, scope)?.spec.egress?.flatMap((egress) => egress.hosts);
    return imports === undefined ? EVERYTHING : importFilter(imports, scope.namespace);
  },
});

/** Whether a virtual service counts for a proxy: exported to its namespace, and imported by its Sidecar when one applies. */
export function sees(read: Read, scope: ProxyScope): (bound: BoundVirtualService) => boolean {
  const { defaultVirtualServiceExportTo } = meshConfigOf(read);
  const imported = read.ask(importsOf, scope);
  return (bound) =>
    exportedTo(bound.spec.exportTo, defaultVirtualServiceExportTo, bound.namespace, scope.namespace) &&
    bound.hosts.some((host) => imported(bound.namespace, host));
}

/** Virtual services that count for a proxy, oldest first. */
export const visibleVirtualServices = defineQuery<ProxyScope, readonly BoundVirtualService[]>({
  name: "visibleVirtualServices",
  key: scopeKey,
  compute: (read, scope) => read.ask(allVirtualServices, "").filter(sees(read, scope)),
  equal: sameList,
});

/** Hosts that imported virtual services send to; they change less often than those do. */
const destinationsOfRules = defineQuery<ProxyScope, readonly string[]>({
  name: "destinationsOfRules",
  key: scopeKey,
  compute: (read, scope) => [
    ...new Set(read.ask(visibleVirtualServices, scope).flatMap((bound) => bound.destinations)),
  ],
  equal: sameList,
});

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
    const imported = read.ask(importsOf, scope);
    const proxy = sidecar?.spec.outboundTrafficPolicy?.egressProxy;
    const proxyHost =
      proxy === undefined ? [] : [shortHostToFqdn(proxy.host, scope.namespace, settingsOf(read).domain)];
    const needed = new Set([
      ...proxyHost,
      // Where everything is imported, that is everything anyway.
      ...(imported === EVERYTHING ? [] : read.ask(destinationsOfRules, scope)),
      ...providerServices(config),
    ]);
    const candidates = read
      .ask(allServices, "")
      .filter(
        (service) =>
          exportedTo(service.exportTo, config.defaultServiceExportTo, service.namespace, scope.namespace) &&
          (imported(service.namespace, service.host) || needed.has(service.host)),
      );
    const services = distinctHosts(candidates, scope.namespace).map((service) =>
      scope.lateen && needsAutoAddress(service) ? read.ask(addressedService, service) : service,
    );
    const mode = sidecar?.spec.outboundTrafficPolicy?.mode ?? config.outboundTrafficPolicy.mode;
    return {
      services,
      allowAny: mode === "ALLOW_ANY",
      egressProxy:
        proxyHost[0] === undefined ? undefined : outboundCluster(proxyHost[0], proxy?.port?.number ?? 0, proxy?.subset),
      egress: sidecar?.spec.egress,
    };
  },
  equal: (a, b) =>
    a.allowAny === b.allowAny &&
    a.egressProxy === b.egressProxy &&
    sameJson(a.egress, b.egress) &&
    sameList(a.services, b.services),
});

/** One service for each host: of several, the one that clients of the namespace mean. */
function distinctHosts(services: readonly MeshService[], client: string): readonly MeshService[] {
  const byHost = Map.groupBy(services, (service) => service.host);
  if (byHost.size === services.length) return services;
  const chosen = new Set([...byHost.values()].map((group) => preferred(group, client)));
  return services.filter((service) => chosen.has(service));
}

/** Services that proxies themselves talk to, whatever their workloads may. */
function providerServices(config: MeshConfig): readonly string[] {
  const named = new Set(config.defaultProviders.accessLogging);
  return config.extensionProviders.flatMap(({ name, envoyHttpAls, extAuthz }) => {
    if (extAuthz !== undefined) return [providerHost(extAuthz.service)];
    return envoyHttpAls !== undefined && named.has(name) ? [providerHost(envoyHttpAls.service)] : [];
  });
}

/** Reads `namespace/dnsName` import lists of a Sidecar's egress. */
function importFilter(imports: readonly string[], own: string): Imports {
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

/** Whether a proxy needs to find destinations by the host of each request. */
export const usesDynamicDns = defineQuery<ProxyScope, boolean>({
  name: "usesDynamicDns",
  key: scopeKey,
  compute: (read, scope) => read.ask(visibleServices, scope).some(({ resolution }) => resolution === "dynamicDns"),
});

const visibleByHost = defineQuery<ProxyScope, ReadonlyMap<string, MeshService>>({
  name: "visibleByHost",
  key: scopeKey,
  compute: (read, scope) => new Map(read.ask(visibleServices, scope).map((service) => [service.host, service])),
});

/** The visible service of a host. Changes only when that service does. */
export const visibleService = defineQuery<
  { readonly scope: ProxyScope; readonly host: string },
  MeshService | undefined
>({
  name: "visibleService",
  key: ({ scope, host }) => `${host} ${scope.id}`,
  compute: (read, { scope, host }) => read.ask(visibleByHost, scope).get(host),
});

/** Into how many parts hosts are divided where one change must not go through all of them. */
export const BUCKETS = 64;

function bucketOf(host: string): number {
  let hash = 0;
  for (let at = 0; at < host.length; at++) hash = (hash * 31 + host.charCodeAt(at)) | 0;
  // Hosts of one mesh differ in a few characters: all of the number must count.
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return (hash ^ (hash >>> 16)) & (BUCKETS - 1);
}

const servicesByBucket = defineQuery<ProxyScope, ReadonlyMap<number, readonly MeshService[]>>({
  name: "servicesByBucket",
  key: scopeKey,
  compute: (read, scope) => Map.groupBy(read.ask(visibleServices, scope), ({ host }) => bucketOf(host)),
});

/** Visible services of one part, oldest first. */
export const servicesInBucket = defineQuery<
  { readonly scope: ProxyScope; readonly bucket: number },
  readonly MeshService[]
>({
  name: "servicesInBucket",
  key: ({ scope, bucket }) => `${bucket} ${scope.id}`,
  compute: (read, { scope, bucket }) => read.ask(servicesByBucket, scope).get(bucket) ?? [],
  equal: sameList,
});

/**
 * Which services a port's listeners are for: an egress listener of that very port decides alone, others are decided by the one
 * without port. Services that are imported because something else needs them are on every port.
 */
function portImports(read: Read, scope: ProxyScope): (port: number, service: MeshService) => boolean {
  const egress = read.ask(egressListeners, scope);
  if (egress === undefined || egress.every((listener) => listener.port === undefined)) return () => true;
  const every = importFilter(
    egress.flatMap((listener) => listener.hosts),
    scope.namespace,
  );
  const filters = new Map(
    egress.map((listener) => [listener.port?.number, importFilter(listener.hosts, scope.namespace)] as const),
  );
  return (port, { namespace, host }) => {
    const own = filters.get(port) ?? filters.get(undefined);
    if (own?.(namespace, host)) return true;
    return !every(namespace, host) && !filters.has(port);
  };
}

/** Egress listeners of the Sidecar that applies. */
export const egressListeners: Query<ProxyScope, Visibility["egress"]> = defineQuery<ProxyScope, Visibility["egress"]>({
  name: "egressListeners",
  key: scopeKey,
  compute: (read, scope) => read.ask(visibility, scope).egress,
  equal: sameJson,
});

/** Services of a scope by port number, each list oldest first. */
const servicesByPort = defineQuery<ProxyScope, ReadonlyMap<number, readonly MeshService[]>>({
  name: "servicesByPort",
  key: scopeKey,
  compute: (read, scope) => {
    const imported = portImports(read, scope);
    const byPort = new Map<number, MeshService[]>();
    for (const service of read.ask(visibleServices, scope)) {
      for (const number of new Set(service.ports.map((port) => port.number))) {
        if (!imported(number, service)) continue;
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
    return read
      .ask(visibleVirtualServices, argument.scope)
      .filter((bound) => bound.gateways.includes("mesh") && bound.hosts.some(concerning(read, argument.port, hosts)));
  },
  equal: sameList,
});

/** Whether hosts of rules are among those of services, or (port 80) hosts that no service has. */
function concerning(read: Read, port: number, hosts: ReadonlySet<string>): (pattern: string) => boolean {
  return (pattern) =>
    hosts.has(pattern) ||
    (pattern.startsWith("*") && [...hosts].some((host) => hostMatches(pattern, host))) ||
    (port === 80 && read.ask(serviceByHost, pattern) === undefined);
}

/** Virtual services of the mesh gateway that route TLS or TCP, oldest first. */
const l4Rules = defineQuery<"", readonly BoundVirtualService[]>({
  name: "l4Rules",
  compute: (read) =>
    read
      .ask(allVirtualServices, "")
      .filter(
        ({ gateways, spec }) =>
          gateways.includes("mesh") && ((spec.tls ?? []).length > 0 || (spec.tcp ?? []).length > 0),
      ),
  equal: sameList,
});

/** Those of them that concern the services of a port: HTTP rules do not concern listeners. */
export const l4RulesOnPort = defineQuery<
  { readonly scope: ProxyScope; readonly port: number },
  readonly BoundVirtualService[]
>({
  name: "l4RulesOnPort",
  key: scopePortKey,
  compute: (read, argument) => {
    const rules = read.ask(l4Rules, "");
    if (rules.length === 0) return rules;
    const hosts = new Set<string>(read.ask(servicesOnPort, argument).map((service) => service.host));
    const concerns = concerning(read, argument.port, hosts);
    const visible = sees(read, argument.scope);
    return rules.filter((bound) => visible(bound) && bound.hosts.some(concerns));
  },
  equal: sameList,
});

/** HTTP virtual services of the mesh gateway, each list oldest first. */
interface HttpRules {
  /** By exact host, in buckets, so that the change of one rule concerns few hosts. */
  readonly exact: ReadonlyMap<number, ReadonlyMap<string, readonly BoundVirtualService[]>>;
  /** The longest patterns first. */
  readonly wildcards: readonly WildcardRule[];
}

interface WildcardRule {
  readonly pattern: string;
  readonly bound: BoundVirtualService;
}

const httpRules = defineQuery<"", HttpRules>({
  name: "httpRules",
  compute: (read) => {
    const exact = new Map<number, Map<string, BoundVirtualService[]>>();
    const wildcards: WildcardRule[] = [];
    for (const bound of read.ask(allVirtualServices, "")) {
      if (!bound.gateways.includes("mesh") || (bound.spec.http ?? []).length === 0) continue;
      for (const host of bound.hosts) {
        if (host.startsWith("*")) wildcards.push({ pattern: host, bound });
        else {
          const bucket = exact.get(bucketOf(host)) ?? new Map<string, BoundVirtualService[]>();
          exact.set(bucketOf(host), bucket);
          bucket.set(host, [...(bucket.get(host) ?? []), bound]);
        }
      }
    }
    // Stable: of equally long patterns the oldest stays in front.
    wildcards.sort((a, b) => b.pattern.length - a.pattern.length);
    return { exact, wildcards };
  },
});

const NO_RULES: ReadonlyMap<string, readonly BoundVirtualService[]> = new Map();

const rulesInBucket = defineQuery<string, ReadonlyMap<string, readonly BoundVirtualService[]>>({
  name: "httpRulesInBucket",
  compute: (read, bucket) => read.ask(httpRules, "").exact.get(Number(bucket)) ?? NO_RULES,
  equal: (before, after) =>
    before.size === after.size && [...before].every(([host, rules]) => sameList(rules, after.get(host) ?? [])),
});

/** Virtual services that name a host, whoever may see them. */
const rulesOfHost = defineQuery<string, readonly BoundVirtualService[]>({
  name: "httpRulesOfHost",
  compute: (read, host) => read.ask(rulesInBucket, String(bucketOf(host))).get(host) ?? [],
  equal: sameList,
});

const wildcardRules = defineQuery<"", readonly WildcardRule[]>({
  name: "httpWildcardRules",
  compute: (read) => read.ask(httpRules, "").wildcards,
  equal: (before, after) =>
    before.length === after.length &&
    before.every((one, at) => one.pattern === after[at]?.pattern && one.bound === after[at]?.bound),
});

/** The virtual service whose HTTP rules govern a host: the oldest that names it, else the one with the longest wildcard. */
export const httpRuleFor = defineQuery<
  { readonly scope: ProxyScope; readonly host: string },
  BoundVirtualService | undefined
>({
  name: "httpRule",
  key: ({ scope, host }) => `${host} ${scope.id}`,
  compute: (read, { scope, host }) => {
    const visible = sees(read, scope);
    return (
      read.ask(rulesOfHost, host).find(visible) ??
      read.ask(wildcardRules, "").find(({ pattern, bound }) => hostMatches(pattern, host) && visible(bound))?.bound
    );
  },
});
