import { hostMatches, type MeshService } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import {
  Route,
  RouteAction,
  type RouteAction_HashPolicy,
  VirtualHost,
  VirtualHost_TlsRequirementType,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import type { BoundVirtualService } from "../world/virtual-services.ts";
import { clusterHashing, httpRoutes } from "./http-routes.ts";
import { outboundCluster } from "./names.ts";
import { retryPolicy } from "./retries.ts";
import type { RouteContext } from "./route-context.ts";

const MAX_DIRECT_RESPONSE = 1_048_576;

/** Forwards everything to one cluster without a timeout: what a service without a virtual service gets. */
export function forwardAll(options: {
  readonly name: string;
  readonly cluster: string;
  readonly operation?: string;
  readonly retry?: ReturnType<typeof retryPolicy>;
  readonly hashPolicy?: readonly RouteAction_HashPolicy[];
}): Route {
  const none = durationFromMs(0);
  return Route.fromPartial({
    name: options.name,
    match: { pathSpecifier: { $case: "prefix", value: "/" } },
    action: {
      $case: "route",
      value: RouteAction.fromPartial({
        clusterSpecifier: { $case: "cluster", value: options.cluster },
        timeout: none,
        maxGrpcTimeout: none,
        hashPolicy: [...(options.hashPolicy ?? [])],
        ...(options.retry === undefined ? {} : { retryPolicy: options.retry }),
      }),
    },
    ...(options.operation === undefined ? {} : { decorator: { operation: options.operation } }),
  });
}

/** Where requests go whose host nobody knows: on to where they were headed, or a 502. */
export function catchAllHost(fallback: string | undefined, tellAttempts = true): VirtualHost {
  const name = fallback === undefined ? "block_all" : "allow_any";
  const route =
    fallback !== undefined
      ? forwardAll({ name, cluster: fallback })
      : Route.fromPartial({
          name,
          match: { pathSpecifier: { $case: "prefix", value: "/" } },
          action: { $case: "directResponse", value: { status: 502 } },
        });
  return VirtualHost.fromPartial({ name, domains: ["*"], routes: [route], includeRequestAttemptCount: tellAttempts });
}

/** Every spelling of a service's host that clients of `namespace` may use. */
export function domainsOf(service: MeshService, namespace: string): readonly string[] {
  const { host, name } = service;
  if (service.registry !== "Kubernetes") return [host, ...plainAddresses(service)];
  const local = service.namespace === namespace ? [name] : [];
  const qualified = [`${name}.${service.namespace}.svc`, `${name}.${service.namespace}`];
  const names = [host, ...local, ...qualified];
  // A pod of a headless service may be called by a name of its own.
  const wildcards = service.headless ? names.map((own) => `*.${own}`) : [];
  return [...names, ...wildcards, ...plainAddresses(service)];
}

function plainAddresses(service: MeshService): readonly string[] {
  return service.addresses.filter((address) => !address.includes("/"));
}

/** Everything the virtual host of one service depends on. */
export interface ServiceHostInput extends RouteContext {
  readonly service: (host: string) => MeshService | undefined;
  /** The virtual service that governs the host, if any. */
  readonly rule: BoundVirtualService | undefined;
}

/** The virtual host of a service, with every domain that clients may use for it. */
export function serviceVirtualHost(service: MeshService, input: ServiceHostInput): VirtualHost {
  const routes = input.rule === undefined ? [] : [...httpRoutes(input.rule, input)];
  // A virtual service none of whose rules are for this client and port does not concern it.
  if (routes.length === 0) routes.push(defaultRoute(service, input));
  return VirtualHost.fromPartial({
    name: `${service.host}:${input.port}`,
    domains: [...domainsOf(service, input.namespace)],
    routes,
    includeRequestAttemptCount: input.tellAttempts,
  });
}

/** Everything a port's route configuration depends on. */
export interface SidecarRouteInput extends RouteContext {
  /** Virtual hosts of the services that route HTTP on this port, the oldest service's first. */
  readonly hosts: readonly VirtualHost[];
  /** Hosts of all services on this port. */
  readonly knownHosts: readonly string[];
  /** Virtual services that concern the port, oldest first. */
  readonly virtualServices: readonly BoundVirtualService[];
  /** Cluster of unknown hosts; undefined: they are refused. */
  readonly fallback: string | undefined;
}

/** The outbound route configuration of a port, as sidecars use it. */
export function sidecarRouteConfig(name: string, input: SidecarRouteInput): RouteConfiguration {
  const taken = new Set<string>();
  const hosts: VirtualHost[] = [];
  const add = (host: VirtualHost) => {
    // Whoever came first keeps a domain; a table must not name one twice.
    const domains = host.domains.filter((domain) => {
      const known = taken.has(domain.toLowerCase());
      taken.add(domain.toLowerCase());
      return !known;
    });
    if (domains.length > 0) hosts.push(domains.length === host.domains.length ? host : { ...host, domains });
  };
  for (const host of input.hosts) add(host);
  if (input.port === 80) for (const host of unknownHosts(input)) add(host);
  hosts.push(catchAllHost(input.fallback, input.tellAttempts));
  return routeConfiguration(name, hosts);
}

/** A service's virtual host for every domain: for the listener of one sniffed service. */
export function singleServiceRouteConfig(name: string, host: VirtualHost): RouteConfiguration {
  return routeConfiguration(name, [{ ...host, domains: ["*"] }]);
}

function defaultRoute(service: MeshService, input: RouteContext): Route {
  const cluster = outboundCluster(service.host, input.port);
  const hashPolicy = clusterHashing(cluster, input);
  return forwardAll({
    name: "default",
    cluster,
    operation: `${service.host}:${input.port}/*`,
    retry: retryPolicy(undefined, input.retry, hashPolicy.length > 0),
    hashPolicy,
  });
}

/** Hosts of virtual services that no service has: Istio serves them on port 80. */
function unknownHosts(input: SidecarRouteInput): readonly VirtualHost[] {
  return input.virtualServices
    .filter((bound) => (bound.spec.http ?? []).length > 0 && bound.gateways.includes("mesh"))
    .flatMap((bound) => {
      const routes = [...httpRoutes(bound, input)];
      return bound.hosts
        .filter(
          (host) => !input.knownHosts.some((known) => hostMatches(host, known)) && input.service(host) === undefined,
        )
        .map((host) =>
          VirtualHost.fromPartial({
            name: `${host}:80`,
            domains: [host],
            routes,
            includeRequestAttemptCount: input.tellAttempts,
          }),
        );
    })
    .filter((host) => host.routes.length > 0);
}

/** A route configuration with Istio's settings: ports in Host headers do not matter. */
export function routeConfiguration(name: string, virtualHosts: readonly VirtualHost[]): RouteConfiguration {
  return RouteConfiguration.fromPartial({
    name,
    virtualHosts: [...virtualHosts],
    validateClusters: false,
    maxDirectResponseBodySizeBytes: MAX_DIRECT_RESPONSE,
    ignorePortInHostMatching: true,
  });
}

/** The inline route table of an inbound HTTP chain. */
export function inboundRouteConfig(name: string, port: number, cluster: string, operation: string): RouteConfiguration {
  return RouteConfiguration.fromPartial({
    name,
    virtualHosts: [
      VirtualHost.fromPartial({
        name: `inbound|http|${port}`,
        domains: ["*"],
        routes: [forwardAll({ name: "default", cluster, operation })],
      }),
    ],
    validateClusters: false,
  });
}

/** One host of a gateway's route configuration. */
export interface GatewayHost {
  /** Host as the Gateway's server and the virtual service agree on it. */
  readonly host: string;
  readonly virtualServices: readonly BoundVirtualService[];
  readonly httpsRedirect: boolean;
}

/** Route configuration of a gateway port: the virtual services of a host follow one another, the oldest first. */
export function gatewayRouteConfig(
  name: string,
  port: number,
  hosts: readonly GatewayHost[],
  {
    contextOf,
    tellAttempts,
  }: { readonly contextOf: (bound: BoundVirtualService) => RouteContext; readonly tellAttempts: boolean },
): RouteConfiguration {
  const virtualHosts = hosts.flatMap(({ host, virtualServices, httpsRedirect }) => {
    const routes = virtualServices.flatMap((bound) => [...httpRoutes(bound, contextOf(bound))]);
    if (routes.length === 0 && !httpsRedirect) return [];
    return [
      VirtualHost.fromPartial({
        name: `${host}:${port}`,
        domains: [host],
        routes: routes.length > 0 ? routes : [notFound()],
        includeRequestAttemptCount: tellAttempts,
        requireTls: httpsRedirect ? VirtualHost_TlsRequirementType.ALL : VirtualHost_TlsRequirementType.NONE,
      }),
    ];
  });
  if (virtualHosts.length > 0) return routeConfiguration(name, virtualHosts);
  return routeConfiguration(name, [
    VirtualHost.fromPartial({ name: `blackhole:${port}`, domains: ["*"], routes: [notFound()] }),
  ]);
}

function notFound(): Route {
  return Route.fromPartial({
    name: "blackhole",
    match: { pathSpecifier: { $case: "prefix", value: "/" } },
    action: { $case: "directResponse", value: { status: 404 } },
  });
}
