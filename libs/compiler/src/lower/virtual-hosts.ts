import { hostMatches, type MeshService } from "@lateen/mesh-model";
import { durationFromMs } from "@lateen/proto";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import {
  Route,
  RouteAction,
  VirtualHost,
  VirtualHost_TlsRequirementType,
} from "@lateen/proto/envoy/config/route/v3/route_components";
import type { BoundVirtualService } from "../world/rules.ts";
import { httpRoutes, type RouteContext, retryPolicy } from "./http-routes.ts";
import { outboundCluster, PASSTHROUGH_CLUSTER } from "./names.ts";
import { isRouted } from "./protocol.ts";

const MAX_DIRECT_RESPONSE = 1_048_576;

/** Forwards everything to one cluster without a timeout: what a service without a virtual service gets. */
export function forwardAll(options: {
  readonly name: string;
  readonly cluster: string;
  readonly operation?: string;
  readonly retry?: ReturnType<typeof retryPolicy>;
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
        maxStreamDuration: { grpcTimeoutHeaderMax: none },
        ...(options.retry === undefined ? {} : { retryPolicy: options.retry }),
      }),
    },
    ...(options.operation === undefined ? {} : { decorator: { operation: options.operation } }),
  });
}

/** Where requests go whose host nobody knows: on to where they were headed, or a 502. */
export function catchAllHost(allowAny: boolean): VirtualHost {
  const name = allowAny ? "allow_any" : "block_all";
  const route = allowAny
    ? forwardAll({ name, cluster: PASSTHROUGH_CLUSTER })
    : Route.fromPartial({
        name,
        match: { pathSpecifier: { $case: "prefix", value: "/" } },
        action: { $case: "directResponse", value: { status: 502 } },
      });
  return VirtualHost.fromPartial({ name, domains: ["*"], routes: [route], includeRequestAttemptCount: true });
}

/** Every spelling of a service's host that clients of `namespace` may use. */
export function domainsOf(service: MeshService, namespace: string): readonly string[] {
  const { host, name } = service;
  if (service.registry !== "Kubernetes") return [host, ...plainAddresses(service)];
  const local = service.namespace === namespace ? [name] : [];
  const qualified = [`${name}.${service.namespace}.svc`, `${name}.${service.namespace}`];
  const wildcards = service.headless ? [`*.${host}`] : [];
  return [host, ...local, ...qualified, ...wildcards, ...plainAddresses(service)];
}

function plainAddresses(service: MeshService): readonly string[] {
  return service.addresses.filter((address) => !address.includes("/"));
}

export interface SidecarRouteInput extends RouteContext {
  /** The services on this port, oldest first. */
  readonly services: readonly MeshService[];
  /** Virtual services that concern them, oldest first. */
  readonly virtualServices: readonly BoundVirtualService[];
  readonly allowAny: boolean;
  readonly client: { readonly http2: boolean };
}

/** The outbound route configuration of a port, as sidecars use it. */
export function sidecarRouteConfig(name: string, input: SidecarRouteInput): RouteConfiguration {
  const taken = new Set<string>();
  const hosts: VirtualHost[] = [];
  const add = (host: VirtualHost) => {
    // Whoever came first keeps a domain; a table must not name one twice.
    host.domains = host.domains.filter((domain) => !taken.has(domain.toLowerCase()));
    for (const domain of host.domains) taken.add(domain.toLowerCase());
    if (host.domains.length > 0) hosts.push(host);
  };
  const services = input.services.filter((service) =>
    service.ports.some((port) => port.number === input.port && isRouted(port, input.client)),
  );
  for (const service of services) {
    const bound = virtualServiceFor(service.host, input.virtualServices, input);
    add(serviceHost(service, bound, input));
  }
  if (input.port === 80) for (const host of unknownHosts(input, services)) add(host);
  hosts.push(catchAllHost(input.allowAny));
  return routeConfiguration(name, hosts);
}

/** A service's virtual hosts and nothing else: for the listener of one sniffed service. */
export function singleServiceRouteConfig(
  name: string,
  service: MeshService,
  input: SidecarRouteInput,
): RouteConfiguration {
  const bound = virtualServiceFor(service.host, input.virtualServices, input);
  return routeConfiguration(name, [{ ...serviceHost(service, bound, input), domains: ["*"] }]);
}

/** The oldest virtual service for a host that has HTTP rules; exact hosts before wildcards. */
function virtualServiceFor(
  host: string,
  candidates: readonly BoundVirtualService[],
  context: RouteContext,
): BoundVirtualService | undefined {
  const usable = candidates.filter(
    (bound) => (bound.spec.http ?? []).length > 0 && bound.gateways.includes(context.gateway),
  );
  const exact = usable.find((bound) => bound.hosts.includes(host));
  if (exact !== undefined) return exact;
  let best: { readonly bound: BoundVirtualService; readonly length: number } | undefined;
  for (const bound of usable) {
    for (const pattern of bound.hosts) {
      if (pattern.startsWith("*") && hostMatches(pattern, host) && pattern.length > (best?.length ?? 0)) {
        best = { bound, length: pattern.length };
      }
    }
  }
  return best?.bound;
}

function serviceHost(
  service: MeshService,
  bound: BoundVirtualService | undefined,
  input: SidecarRouteInput,
): VirtualHost {
  const name = `${service.host}:${input.port}`;
  const routes = bound === undefined ? [] : [...httpRoutes(bound, input)];
  // A virtual service none of whose rules are for this client and port does not concern it.
  if (routes.length === 0) routes.push(defaultRoute(service, input));
  return VirtualHost.fromPartial({
    name,
    domains: [...domainsOf(service, input.namespace)],
    routes,
    includeRequestAttemptCount: true,
  });
}

function defaultRoute(service: MeshService, input: SidecarRouteInput): Route {
  return forwardAll({
    name: "default",
    cluster: outboundCluster(service.host, input.port),
    operation: `${service.host}:${input.port}/*`,
    retry: retryPolicy(undefined, input.retry),
  });
}

/** Hosts of virtual services that no service has: Istio serves them on port 80. */
function unknownHosts(input: SidecarRouteInput, known: readonly MeshService[]): readonly VirtualHost[] {
  return input.virtualServices
    .filter((bound) => (bound.spec.http ?? []).length > 0 && bound.gateways.includes("mesh"))
    .flatMap((bound) => {
      const routes = [...httpRoutes(bound, input)];
      return bound.hosts
        .filter(
          (host) => !known.some((service) => hostMatches(host, service.host)) && input.service(host) === undefined,
        )
        .map((host) =>
          VirtualHost.fromPartial({
            name: `${host}:80`,
            domains: [host],
            routes,
            includeRequestAttemptCount: true,
          }),
        );
    })
    .filter((host) => host.routes.length > 0);
}

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
  contextOf: (bound: BoundVirtualService) => RouteContext,
): RouteConfiguration {
  const virtualHosts = hosts.flatMap(({ host, virtualServices, httpsRedirect }) => {
    const routes = virtualServices.flatMap((bound) => [...httpRoutes(bound, contextOf(bound))]);
    if (routes.length === 0 && !httpsRedirect) return [];
    return [
      VirtualHost.fromPartial({
        name: `${host}:${port}`,
        domains: [host],
        routes: routes.length > 0 ? routes : [notFound()],
        includeRequestAttemptCount: true,
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
