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
import { sameJson, sameList, sameMap } from "../resource.ts";
import { type ProxyScope, scopeKey, scopePortKey } from "../scope.ts";
import { exportedTo } from "./export-to.ts";
import { addressedService, allServices, meshConfigOf, preferred, serviceByHost, settingsOf } from "./services.ts";
import { sidecarFor } from "./sidecars.ts";
import { allVirtualServices, type BoundVirtualService } from "./virtual-services.ts";

/** What a proxy may see. */
export interface Visibility {
  /** Oldest first. */
  readonly services: readonly MeshService[];
  readonly virtualServices: readonly BoundVirtualService[];
  readonly allowAny: boolean;
  /** Cluster of the proxy that unknown traffic goes through; undefined: where it was headed. */
  readonly egressProxy: string | undefined;
  /** Egress listeners of the Sidecar; undefined: everything on every port. */
  readonly egress: NonNullable<Sidecar["spec"]["egress"]> | undefined;
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
    const proxy = sidecar?.spec.outboundTrafficPolicy?.egressProxy;
    const proxyHost =
      proxy === undefined ? [] : [shortHostToFqdn(proxy.host, scope.namespace, settingsOf(read).domain)];
    const needed = new Set([
      ...proxyHost,
      ...virtualServices.flatMap((bound) => bound.destinations),
      ...logServices(config),
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
      virtualServices,
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
    sameList(a.services, b.services) &&
    sameList(a.virtualServices, b.virtualServices),
});

/** One service for each host: of several, the one that clients of the namespace mean. */
function distinctHosts(services: readonly MeshService[], client: string): readonly MeshService[] {
  const byHost = Map.groupBy(services, (service) => service.host);
  if (byHost.size === services.length) return services;
  const chosen = new Set([...byHost.values()].map((group) => preferred(group, client)));
  return services.filter((service) => chosen.has(service));
}

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
  return hash & (BUCKETS - 1);
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

/** Those of them that route TLS or TCP: HTTP rules do not concern listeners. */
export const l4RulesOnPort = defineQuery<
  { readonly scope: ProxyScope; readonly port: number },
  readonly BoundVirtualService[]
>({
  name: "l4RulesOnPort",
  key: scopePortKey,
  compute: (read, argument) =>
    read
      .ask(virtualServicesOnPort, argument)
      .filter(({ spec }) => (spec.tls ?? []).length > 0 || (spec.tcp ?? []).length > 0),
  equal: sameList,
});

/** HTTP virtual services of the mesh gateway, each list oldest first. */
interface HttpRules {
  /** By exact host, in buckets, so that the change of one rule concerns few hosts. */
  readonly exact: ReadonlyMap<number, ReadonlyMap<string, BoundVirtualService>>;
  readonly wildcards: readonly { readonly pattern: string; readonly bound: BoundVirtualService }[];
}

const httpRules = defineQuery<ProxyScope, HttpRules>({
  name: "httpRules",
  key: scopeKey,
  compute: (read, scope) => {
    const exact = new Map<number, Map<string, BoundVirtualService>>();
    const wildcards: { pattern: string; bound: BoundVirtualService }[] = [];
    for (const bound of read.ask(visibility, scope).virtualServices) {
      if (!bound.gateways.includes("mesh") || (bound.spec.http ?? []).length === 0) continue;
      for (const host of bound.hosts) {
        if (host.startsWith("*")) wildcards.push({ pattern: host, bound });
        else {
          const bucket = exact.get(bucketOf(host)) ?? new Map<string, BoundVirtualService>();
          exact.set(bucketOf(host), bucket);
          if (!bucket.has(host)) bucket.set(host, bound);
        }
      }
    }
    // Stable: of equally long patterns the oldest stays in front.
    wildcards.sort((a, b) => b.pattern.length - a.pattern.length);
    return { exact, wildcards };
  },
});

const NO_RULES: ReadonlyMap<string, BoundVirtualService> = new Map();

const rulesInBucket = defineQuery<
  { readonly scope: ProxyScope; readonly bucket: number },
  ReadonlyMap<string, BoundVirtualService>
>({
  name: "httpRulesInBucket",
  key: ({ scope, bucket }) => `${bucket} ${scope.id}`,
  compute: (read, { scope, bucket }) => read.ask(httpRules, scope).exact.get(bucket) ?? NO_RULES,
  equal: sameMap,
});

const wildcardRules = defineQuery<ProxyScope, HttpRules["wildcards"]>({
  name: "httpWildcardRules",
  key: scopeKey,
  compute: (read, scope) => read.ask(httpRules, scope).wildcards,
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
  compute: (read, { scope, host }) =>
    read.ask(rulesInBucket, { scope, bucket: bucketOf(host) }).get(host) ??
    read.ask(wildcardRules, scope).find(({ pattern }) => hostMatches(pattern, host))?.bound,
});
