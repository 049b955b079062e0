import {
  type GRPCRoute,
  type HTTPRoute,
  hostMatches,
  hostsIntersect,
  type KubernetesGateway,
  kubernetesHost,
  labelSelectorMatches,
  type MeshService,
  type TCPRoute,
  type TLSRoute,
} from "@lateen/mesh-model";
import { isOurs } from "./gateways.ts";
import { allowedKinds, type Listener } from "./listeners.ts";
import { GATEWAY_GROUP } from "./names.ts";
import type { ConvertWorld } from "./world.ts";

export type Route = HTTPRoute | GRPCRoute | TLSRoute | TCPRoute;
export type ParentRef = NonNullable<Route["spec"]["parentRefs"]>[number];

/** A listener that a route is attached to, with the hosts they agree on. */
export interface Attachment {
  readonly gateway: KubernetesGateway;
  readonly listener: Listener;
  readonly hosts: readonly string[];
}

/** What became of one parent of a route. */
export type Attached =
  | { readonly outcome: "gateway"; readonly attachments: readonly Attachment[] }
  | { readonly outcome: "mesh"; readonly service: MeshService; readonly port: number | undefined }
  | { readonly outcome: "refused"; readonly reason: string; readonly message: string }
  /** The parent belongs to another controller. */
  | { readonly outcome: "foreign" };

/** Attaches a route to one of its parents. */
export function attach(route: Route, ref: ParentRef, world: ConvertWorld): Attached {
  const { group = GATEWAY_GROUP, kind = "Gateway" } = ref;
  if (group === GATEWAY_GROUP && kind === "Gateway") return attachToGateway(route, ref, world);
  if (group === "" && kind === "Service") return attachToService(route, ref, world);
  return { outcome: "foreign" };
}

function attachToService(route: Route, ref: ParentRef, world: ConvertWorld): Attached {
  const namespace = ref.namespace ?? route.metadata.namespace;
  const service = world.service(kubernetesHost(ref.name, namespace, world.domain));
  if (service === undefined) return noParent(`Service ${namespace}/${ref.name} does not exist`);
  if (ref.port !== undefined && !service.ports.some(({ number }) => number === ref.port)) {
    return noParent(`Service ${namespace}/${ref.name} has no port ${ref.port}`);
  }
  return { outcome: "mesh", service, port: ref.port };
}

function attachToGateway(route: Route, ref: ParentRef, world: ConvertWorld): Attached {
  const namespace = ref.namespace ?? route.metadata.namespace;
  const gateway = world.gateway(namespace, ref.name);
  if (gateway === undefined) return noParent(`Gateway ${namespace}/${ref.name} does not exist`);
  if (!isOurs(gateway, world)) return { outcome: "foreign" };
  const listeners = (gateway.spec.listeners ?? []).filter(
    ({ name, port }) =>
      (ref.sectionName === undefined || ref.sectionName === name) && (ref.port === undefined || ref.port === port),
  );
  if (listeners.length === 0) {
    return noParent(
      `Gateway ${namespace}/${ref.name} has no listener ${ref.sectionName ?? `on port ${ref.port ?? "any"}`}`,
    );
  }
  const open = listeners.filter((listener) => admits(listener, gateway, route, world));
  if (open.length === 0) {
    const message = `${route.kind}s of namespace ${route.metadata.namespace} are not allowed`;
    return { outcome: "refused", reason: "NotAllowedByListeners", message };
  }
  const attachments = open.flatMap((listener) => {
    const hosts = commonHosts(hostnamesOf(route), listener, gateway);
    return hosts === undefined ? [] : [{ gateway, listener, hosts }];
  });
  if (attachments.length > 0) return { outcome: "gateway", attachments };
  const message = `no listener has a hostname in common with ${hostnamesOf(route).join(", ")}`;
  return { outcome: "refused", reason: "NoMatchingListenerHostname", message };
}

function noParent(message: string): Attached {
  return { outcome: "refused", reason: "NoMatchingParent", message };
}

/** Whether a listener lets routes of this kind and namespace attach. */
function admits(listener: Listener, gateway: KubernetesGateway, route: Route, world: ConvertWorld): boolean {
  if (!allowedKinds(listener).kinds.includes(route.kind)) return false;
  const { from = "Same", selector } = listener.allowedRoutes?.namespaces ?? {};
  switch (from) {
    case "All":
      return true;
    case "Same":
      return route.metadata.namespace === gateway.metadata.namespace;
    case "Selector":
      return selector !== undefined && labelSelectorMatches(selector, world.namespaceLabels(route.metadata.namespace));
    case "None":
      return false;
  }
}

function hostnamesOf(route: Route): readonly string[] {
  return route.kind === "TCPRoute" ? [] : (route.spec.hostnames ?? []);
}

/**
 * The hosts a route and a listener agree on, undefined for none: of two that intersect the narrower. A host that a sibling listener
 * of the port names more closely is that listener's.
 */
function commonHosts(
  hostnames: readonly string[],
  listener: Listener,
  gateway: KubernetesGateway,
): readonly string[] | undefined {
  const own = listener.hostname || "*";
  const wanted = hostnames.length === 0 ? [own] : hostnames.map((host) => host.toLowerCase());
  const common = wanted
    .filter((host) => hostsIntersect(host, own))
    .map((host) => (hostMatches(own, host) ? host : own));
  if (common.length === 0) return undefined;
  const siblings = (gateway.spec.listeners ?? []).filter(
    (other) => other !== listener && other.port === listener.port && other.hostname && hostMatches(own, other.hostname),
  );
  const closer = (host: string) =>
    siblings.some(({ hostname = "" }) => hostname !== own && hostMatches(hostname, host));
  return [...new Set(common)].filter((host) => !closer(host));
}
