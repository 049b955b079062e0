import {
  type BackendTLSPolicy,
  type ConfigMap,
  type DestinationRule,
  defaultIngressSettings,
  type Gateway,
  type GatewayClass,
  type Ingress,
  type IngressClass,
  type KubernetesGateway,
  type Resource,
  type VirtualService,
} from "@lateen/mesh-model";
import { type ConvertedBackendTls, convertBackendTls } from "../convert/backend-tls.ts";
import { condition } from "../convert/conditions.ts";
import type { RouteFragment } from "../convert/fragments.ts";
import { type ConvertedGateway, convertGateway, parameterProblems } from "../convert/gateways.ts";
import { type ConvertedIngress, convertIngress } from "../convert/ingress.ts";
import { type ConvertedRule, mergeFragments } from "../convert/merge.ts";
import { CONTROLLER, UNMANAGED_CONTROLLER } from "../convert/names.ts";
import type { Route } from "../convert/parents.ts";
import { type ConvertedRoute, convertRoute } from "../convert/routes.ts";
import {
  backendTlsStatus,
  type ConvertedStatus,
  gatewayStatus,
  ingressStatus,
  observedAt,
  routeStatus,
} from "../convert/status.ts";
import type { ConvertWorld } from "../convert/world.ts";
import { defineQuery, type Query, type Read } from "../engine/query-engine.ts";
import { sameJson, sameList } from "../resource.ts";
import { cells } from "./mesh-snapshot.ts";
import { byAge } from "./objects.ts";
import { keysOf, listOf, meshConfigOf, serviceByHost, settingsOf } from "./services.ts";

/** Kinds of routes of the Gateway API. */
export const ROUTE_KINDS = ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"] as const;

function objectAt<R extends Resource>(read: Read, kind: R["kind"], namespace: string, name: string): R | undefined {
  return read.input(cells.object(`${kind}/${namespace}/${name}`)) as R | undefined;
}

/** Look-ups of a conversion, each recorded. */
export function convertWorld(read: Read): ConvertWorld {
  return {
    domain: settingsOf(read).domain,
    rootNamespace: meshConfigOf(read).rootNamespace,
    ingress: meshConfigOf(read).ingress ?? defaultIngressSettings,
    gatewayClass: (name) => objectAt<GatewayClass>(read, "GatewayClass", "", name),
    ingressClass: (name) => objectAt<IngressClass>(read, "IngressClass", "", name),
    gateway: (namespace, name) => objectAt<KubernetesGateway>(read, "KubernetesGateway", namespace, name),
    namespaceLabels: (namespace) => ({
      ...objectAt<Resource<"Namespace">>(read, "Namespace", "", namespace)?.metadata.labels,
      "kubernetes.io/metadata.name": namespace,
    }),
    grants: (namespace) => listOf(read, "ReferenceGrant", namespace),
    secret: (namespace, name) => objectAt<Resource<"Secret">>(read, "Secret", namespace, name),
    configMap: (namespace, name) => objectAt<ConfigMap>(read, "ConfigMap", namespace, name),
    service: (host) => read.ask(serviceByHost, host),
  };
}

/** A Gateway API Gateway converted; undefined for those of other controllers. */
export const convertedGateway = defineQuery<string, ConvertedGateway | undefined>({
  name: "convertedGateway",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as KubernetesGateway | undefined;
    return object === undefined ? undefined : convertGateway(object, convertWorld(read));
  },
  equal: sameJson,
});

/** A route of the Gateway API converted. */
export const convertedRoute = defineQuery<string, ConvertedRoute | undefined>({
  name: "convertedRoute",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as Route | undefined;
    return object === undefined ? undefined : convertRoute(object, convertWorld(read));
  },
  equal: sameJson,
});

/** An Ingress converted; undefined for those of other controllers. */
export const convertedIngress = defineQuery<string, ConvertedIngress | undefined>({
  name: "convertedIngress",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as Ingress | undefined;
    return object === undefined ? undefined : convertIngress(object, convertWorld(read));
  },
  equal: sameJson,
});

/** Gateways made of Gateway API Gateways and of Ingress, by key of what they were made of. */
export const derivedGateways: Query<"", readonly Gateway[]> = defineQuery<"", readonly Gateway[]>({
  name: "derivedGateways",
  compute: (read) => [
    ...keysOf(read, "KubernetesGateway").flatMap((key) => read.ask(convertedGateway, key)?.gateways ?? []),
    ...keysOf(read, "Ingress").flatMap((key) => read.ask(convertedIngress, key)?.gateway ?? []),
  ],
  equal: sameList,
});

/** Fragments of all routes and Ingress by group. */
const fragmentGroups = defineQuery<"", ReadonlyMap<string, readonly RouteFragment[]>>({
  name: "fragmentGroups",
  compute: (read) =>
    Map.groupBy(
      [
        ...ROUTE_KINDS.flatMap((kind) => keysOf(read, kind)).flatMap(
          (key) => read.ask(convertedRoute, key)?.fragments ?? [],
        ),
        ...keysOf(read, "Ingress").flatMap((key) => read.ask(convertedIngress, key)?.fragments ?? []),
      ],
      ({ group }) => group,
    ),
});

const fragmentsOfGroup = defineQuery<string, readonly RouteFragment[]>({
  name: "fragmentsOfGroup",
  compute: (read, group) => read.ask(fragmentGroups, "").get(group) ?? [],
  equal: sameList,
});

/** Groups of fragments: each becomes one virtual service. */
export const ruleGroups = defineQuery<"", readonly string[]>({
  name: "ruleGroups",
  compute: (read) => [...read.ask(fragmentGroups, "").keys()],
  equal: sameList,
});

/** The virtual service made of a group of fragments of routes and Ingress. */
export const derivedRule = defineQuery<string, ConvertedRule | undefined>({
  name: "derivedRule",
  compute: (read, group) => mergeFragments(read.ask(fragmentsOfGroup, group)),
  equal: sameJson,
});

/** A BackendTLSPolicy converted. */
const convertedBackendTls = defineQuery<string, ConvertedBackendTls | undefined>({
  name: "convertedBackendTls",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as BackendTLSPolicy | undefined;
    if (object === undefined) return undefined;
    const { namespace, name } = object.metadata;
    const all = byAge<BackendTLSPolicy>(listOf(read, "BackendTLSPolicy", namespace));
    const own = all.findIndex(({ metadata }) => metadata.name === name);
    return convertBackendTls(object, all.slice(0, own), convertWorld(read));
  },
  equal: sameJson,
});

/** Destination rules made of BackendTLSPolicy. */
export const derivedDestinationRules: Query<"", readonly DestinationRule[]> = defineQuery<
  "",
  readonly DestinationRule[]
>({
  name: "derivedDestinationRules",
  compute: (read) => keysOf(read, "BackendTLSPolicy").flatMap((key) => read.ask(convertedBackendTls, key)?.rules ?? []),
  equal: sameList,
});

/** Everything that was made of Gateway API objects and Ingress, as Istio's objects. */
export const convertedObjects: Query<"", readonly (Gateway | VirtualService | DestinationRule)[]> = defineQuery<
  "",
  readonly (Gateway | VirtualService | DestinationRule)[]
>({
  name: "convertedObjects",
  compute: (read) => [
    ...read.ask(derivedGateways, ""),
    ...read.ask(ruleGroups, "").flatMap((group) => read.ask(derivedRule, group)?.object ?? []),
    ...read.ask(derivedDestinationRules, ""),
  ],
});

/** Routes attached to each listener, by `namespace/gateway/listener`. */
const attachedRoutes = defineQuery<"", ReadonlyMap<string, number>>({
  name: "attachedRoutes",
  compute: (read) => {
    const counts = new Map<string, number>();
    for (const key of ROUTE_KINDS.flatMap((kind) => keysOf(read, kind))) {
      const listeners = read.ask(convertedRoute, key)?.parents.flatMap((parent) => parent.listeners) ?? [];
      for (const listener of new Set(listeners)) counts.set(listener, (counts.get(listener) ?? 0) + 1);
    }
    return counts;
  },
});

/** The status of an object by its key; undefined for kinds that get none from here, and for what is not there. */
export const convertedStatus = defineQuery<string, ConvertedStatus | undefined>({
  name: "convertedStatus",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as Resource | undefined;
    const status = object === undefined ? undefined : statusOf(read, key, object);
    return status && observedAt(status, object?.metadata.generation);
  },
  equal: sameJson,
});

function statusOf(read: Read, key: string, object: Resource): ConvertedStatus | undefined {
  switch (object.kind) {
    case "GatewayClass": {
      const { controllerName } = object.spec;
      const ours = controllerName === CONTROLLER || controllerName === UNMANAGED_CONTROLLER;
      return ours ? { conditions: [condition("Accepted", "Accepted", parameterProblems(object))] } : undefined;
    }
    case "KubernetesGateway": {
      const { namespace, name } = object.metadata;
      const prefix = `${namespace}/${name}/`;
      const attached = [...read.ask(attachedRoutes, "")]
        .filter(([listener]) => listener.startsWith(prefix))
        .map(([listener, count]) => [listener.slice(prefix.length), count] as const);
      return gatewayStatus(read.ask(convertedGateway, key), new Map(attached));
    }
    case "HTTPRoute":
    case "GRPCRoute":
    case "TLSRoute":
    case "TCPRoute": {
      const converted = read.ask(convertedRoute, key);
      return converted && routeStatus(converted);
    }
    case "Ingress": {
      const converted = read.ask(convertedIngress, key);
      return converted && ingressStatus(converted);
    }
    case "BackendTLSPolicy": {
      const converted = read.ask(convertedBackendTls, key);
      return converted && backendTlsStatus(converted);
    }
    default:
      return undefined;
  }
}
