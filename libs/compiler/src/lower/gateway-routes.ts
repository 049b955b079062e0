import { type Gateway, hostMatches, hostsIntersect } from "@lateen/mesh-model";
import type { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import type { BoundVirtualService } from "../world/virtual-services.ts";
import { type GatewayContext, type GatewayServer, type PlacedServer, serverClass } from "./gateway-server.ts";
import { type GatewayHost, gatewayRouteConfig } from "./virtual-hosts.ts";

/** `namespace/name`, as virtual services name gateways. */
export function nameOf(gateway: Gateway): string {
  return `${gateway.metadata.namespace}/${gateway.metadata.name}`;
}

/** Hosts of a server without their namespace part, lower case, each once. */
export function serverHosts(server: GatewayServer): readonly string[] {
  return [...new Set(server.hosts.map((host) => host.slice(host.indexOf("/") + 1).toLowerCase()))];
}

/** Whether a server takes virtual services of this namespace for this host: `ns/host`, `./host`, `*` + `/host`. */
export function admits(placed: PlacedServer, bound: BoundVirtualService, host: string): boolean {
  return placed.server.hosts.some((entry) => {
    const slash = entry.indexOf("/");
    const namespace = slash < 0 ? "*" : entry.slice(0, slash);
    const wanted = namespace === "." ? placed.gateway.metadata.namespace : namespace;
    return (wanted === "*" || wanted === bound.namespace) && hostsIntersect(entry.slice(slash + 1), host);
  });
}

/** The narrower of two intersecting hosts. */
function narrower(a: string, b: string): string {
  return hostMatches(a, b) ? b : a;
}

/** Virtual services that name the server's gateway, oldest first. */
export function boundTo(placed: PlacedServer, context: GatewayContext): readonly BoundVirtualService[] {
  return context.virtualServices.filter((bound) => bound.gateways.includes(nameOf(placed.gateway)));
}

/** The route configuration of servers that share one. */
export function routesFor(
  name: string,
  port: number,
  servers: readonly PlacedServer[],
  context: GatewayContext,
): RouteConfiguration {
  const hosts = new Map<string, { virtualServices: BoundVirtualService[]; httpsRedirect: boolean }>();
  const via = new Map<BoundVirtualService, PlacedServer>();
  for (const placed of servers) {
    const redirect = placed.server.tls?.httpsRedirect === true;
    for (const bound of boundTo(placed, context)) {
      if ((bound.spec.http ?? []).length === 0) continue;
      for (const host of bound.hosts) {
        for (const wanted of serverHosts(placed.server)) {
          if (!admits(placed, bound, host) || !hostsIntersect(wanted, host)) continue;
          const key = narrower(wanted, host.toLowerCase());
          const entry = hosts.get(key) ?? { virtualServices: [], httpsRedirect: false };
          hosts.set(key, entry);
          entry.httpsRedirect ||= redirect;
          if (!entry.virtualServices.includes(bound)) entry.virtualServices.push(bound);
          if (!via.has(bound)) via.set(bound, placed);
        }
      }
    }
    if (redirect) {
      for (const host of serverHosts(placed.server)) {
        if (!hosts.has(host)) hosts.set(host, { virtualServices: [], httpsRedirect: true });
      }
    }
  }
  const list: GatewayHost[] = [...hosts].map(([host, entry]) => ({ host, ...entry }));
  const contextOf = (bound: BoundVirtualService) => {
    const placed = via.get(bound) ?? servers[0];
    return {
      ...context.route,
      gateway: placed === undefined ? "" : nameOf(placed.gateway),
      port: placed?.server.port.number ?? port,
      secure: placed !== undefined && serverClass(placed.server) === "https",
    };
  };
  return gatewayRouteConfig(name, port, list, { contextOf, tellAttempts: context.route.tellAttempts });
}
