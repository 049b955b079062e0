import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { isRouted } from "../lower/protocol.ts";
import { hasSniffedListener, sniffedRouteName } from "../lower/sniffed.ts";
import { serviceVirtualHost, sidecarRouteConfig, singleServiceRouteConfig } from "../lower/virtual-hosts.ts";
import { type EncodedResource, sameList, sameMap } from "../resource.ts";
import { type NodeScope, type ProxyScope, scopeKey } from "../scope.ts";
import {
  httpRuleFor,
  servicesOnPort,
  virtualServicesOnPort,
  visiblePorts,
  visibleService,
} from "../world/visibility.ts";
import { fallbackCluster, routeContext } from "./context.ts";
import { byName, encode, intern } from "./encode.ts";
import { gatewayResources } from "./gateways.ts";
import { decodeHost, type EncodedHost, encodeHost, routeBytes, sameHost } from "./route-bytes.ts";

interface RouteKey {
  readonly scope: ProxyScope;
  readonly name: string;
}

/** The virtual host of one service as a client of the port sees it. */
const hostOnPort = defineQuery<
  { readonly scope: ProxyScope; readonly port: number; readonly host: string },
  EncodedHost | undefined
>({
  name: "virtualHost",
  key: ({ scope, port, host }) => `${host}:${port} ${scope.id}`,
  compute: (read, { scope, port, host }) => {
    const service = read.ask(visibleService, { scope, host });
    if (service === undefined) return undefined;
    return encodeHost(
      serviceVirtualHost(service, {
        ...routeContext(read, scope),
        gateway: "mesh",
        port,
        secure: false,
        rule: read.ask(httpRuleFor, { scope, host }),
      }),
    );
  },
  equal: sameHost,
});

/** A sidecar's route configuration `9080` or `host:9080`; undefined when its listeners refer to no such one. */
const sidecarRoutes = defineQuery<RouteKey, EncodedResource | undefined>({
  name: "routeConfig",
  key: ({ scope, name }) => `${name} ${scope.id}`,
  compute: (read, { scope, name }) => {
    const colon = name.lastIndexOf(":");
    const port = Number(colon < 0 ? name : name.slice(colon + 1));
    if (!Number.isInteger(port) || port <= 0) return undefined;
    return colon < 0 ? sharedRoutes(read, scope, port) : ownRoutes(read, scope, port, name.slice(0, colon));
  },
});

function sharedRoutes(read: Read, scope: ProxyScope, port: number): EncodedResource | undefined {
  const services = read.ask(servicesOnPort, { scope, port });
  const routed = services.filter((service) => sharesRoutes([service], port, scope));
  if (routed.length === 0) return undefined;
  const hosts = routed.flatMap(({ host }) => read.ask(hostOnPort, { scope, port, host }) ?? []);
  const config = sidecarRouteConfig(String(port), {
    ...routeContext(read, scope),
    gateway: "mesh",
    port,
    secure: false,
    hosts: hosts.map(({ shell }) => shell),
    knownHosts: routed.map(({ host }) => host),
    virtualServices: port === 80 ? read.ask(virtualServicesOnPort, { scope, port }) : [],
    fallback: read.ask(fallbackCluster, scope),
  });
  return intern(read, config.name, routeBytes(config, hosts));
}

function ownRoutes(read: Read, scope: ProxyScope, port: number, host: string): EncodedResource | undefined {
  const service = read.ask(servicesOnPort, { scope, port }).find((candidate) => candidate.host === host);
  if (service === undefined || !sniffed(service, port, scope)) return undefined;
  const virtualHost = read.ask(hostOnPort, { scope, port, host });
  if (virtualHost === undefined) return undefined;
  const config = singleServiceRouteConfig(`${host}:${port}`, decodeHost(virtualHost));
  return encode(read, RouteConfiguration, config.name, config);
}

type Services = readonly Parameters<typeof hasSniffedListener>[0][];

/** Whether the port's wildcard listener routes HTTP. */
function sharesRoutes(services: Services, port: number, scope: ProxyScope): boolean {
  return services.some((service) =>
    service.ports.some((candidate) => candidate.number === port && isRouted(candidate, scope)),
  );
}

function sniffed(service: Services[number], port: number, scope: ProxyScope): boolean {
  return service.ports.some((candidate) => candidate.number === port && hasSniffedListener(service, candidate, scope));
}

/** Names of all route configurations that a sidecar's listeners may refer to. */
const sidecarRouteNames = defineQuery<ProxyScope, readonly string[]>({
  name: "routeNames",
  key: scopeKey,
  compute: (read, scope) =>
    read.ask(visiblePorts, scope).flatMap((port) => {
      const services = read.ask(servicesOnPort, { scope, port });
      return [
        ...(sharesRoutes(services, port, scope) ? [String(port)] : []),
        ...services.flatMap((service) =>
          service.ports
            .filter((candidate) => candidate.number === port && hasSniffedListener(service, candidate, scope))
            .map((candidate) => sniffedRouteName(service, candidate)),
        ),
      ];
    }),
  equal: sameList,
});

/** One route configuration of a proxy, as nothing patched it; undefined when it has none of that name. */
export function plainRoute(read: Pick<Read, "ask">, scope: NodeScope, name: string): EncodedResource | undefined {
  if (scope.workload.kind === "router") return read.ask(gatewayResources, scope).routes.get(name);
  return read.ask(sidecarRoutes, { scope: scope.client, name });
}

/** All route configurations of a sidecar. */
const sidecarRouteMap = defineQuery<ProxyScope, ReadonlyMap<string, EncodedResource>>({
  name: "sidecarRoutes",
  key: scopeKey,
  compute: (read, scope) =>
    byName(
      read.ask(sidecarRouteNames, scope).flatMap((name) => {
        const resource = read.ask(sidecarRoutes, { scope, name });
        return resource === undefined ? [] : [resource];
      }),
    ),
  equal: sameMap,
});

/** All route configurations of a proxy, as nothing patched them. */
export function plainRoutes(read: Pick<Read, "ask">, scope: NodeScope): ReadonlyMap<string, EncodedResource> {
  return scope.workload.kind === "router"
    ? read.ask(gatewayResources, scope).routes
    : read.ask(sidecarRouteMap, scope.client);
}
