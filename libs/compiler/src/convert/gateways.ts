import { type Gateway, type GatewayClass, type KubernetesGateway, shortHostToFqdn } from "@lateen/mesh-model";
import { type Condition, condition, type Problem } from "./conditions.ts";
import { type CheckedListener, checkListeners } from "./listeners.ts";
import {
  annotations,
  CONTROLLER,
  DEFAULT_CLASS,
  GATEWAY_GROUP,
  listenerGateway,
  UNMANAGED_CONTROLLER,
} from "./names.ts";
import type { ConvertWorld } from "./world.ts";

/** A Gateway API Gateway as Istio's: one Gateway for each listener that can be served. */
export interface ConvertedGateway {
  readonly gateways: readonly Gateway[];
  readonly conditions: readonly Condition[];
  readonly addresses: readonly { readonly type: string; readonly value: string }[];
  readonly listeners: readonly {
    readonly name: string;
    readonly supportedKinds: readonly { readonly group: string; readonly kind: string }[];
    readonly conditions: readonly Condition[];
  }[];
}

/** Whether the Gateway's class is this mesh's. */
export function isOurs(gateway: KubernetesGateway, world: ConvertWorld): boolean {
  const name = gateway.spec.gatewayClassName;
  const controller = world.gatewayClass(name)?.spec.controllerName ?? (name === DEFAULT_CLASS ? CONTROLLER : "");
  return controller === CONTROLLER || controller === UNMANAGED_CONTROLLER;
}

/** Hosts of the services whose proxies serve the Gateway: those of `addresses`, else the one that is deployed for it. */
export function servingHosts(gateway: KubernetesGateway, domain: string): readonly string[] {
  const { name, namespace } = gateway.metadata;
  const named = (gateway.spec.addresses ?? []).flatMap(({ type, value }) =>
    type === "Hostname" && value ? [shortHostToFqdn(value, namespace, domain)] : [],
  );
  if (named.length > 0) return named;
  const deployed = gateway.metadata.annotations?.["gateway.istio.io/name-override"] ?? `${name}-istio`;
  return [shortHostToFqdn(deployed, namespace, domain)];
}

/** Converts a Gateway of this mesh's class; undefined for those of others, which wait for their own controller. */
export function convertGateway(gateway: KubernetesGateway, world: ConvertWorld): ConvertedGateway | undefined {
  if (!isOurs(gateway, world)) return undefined;
  const hosts = servingHosts(gateway, world.domain);
  const refused = [...classProblems(gateway, world), ...addressProblems(gateway)];
  const listeners = checkListeners(gateway, world);
  const usable = refused.length > 0 ? [] : listeners.filter(({ problems }) => problems.length === 0);
  const unserved = refused.length > 0 ? refused : serviceProblems(hosts, usable, world);
  const invalid = listeners.filter(({ problems }) => problems.length > 0).map(({ listener }) => listener.name);
  return {
    gateways: usable.map((checked) => istioGateway(gateway, checked, hosts)),
    conditions: [
      refused.length === 0 && invalid.length > 0
        ? { type: "Accepted", status: "True", reason: "ListenersNotValid", message: `not valid: ${invalid.join(", ")}` }
        : condition("Accepted", "Accepted", refused),
      condition("Programmed", "Programmed", [
        ...unserved,
        ...(listeners.length > 0 && usable.length === 0 && refused.length === 0
          ? [{ reason: "Invalid", message: "no listener is valid" }]
          : []),
      ]),
    ],
    addresses: unserved.length > 0 ? [] : hosts.map((value) => ({ type: "Hostname", value })),
    listeners: listeners.map((checked) => ({
      name: checked.listener.name,
      supportedKinds: checked.kinds.map((kind) => ({ group: GATEWAY_GROUP, kind })),
      conditions: listenerConditions(checked, refused),
    })),
  };
}

/** Parameters of a class are not read, so what they would say must not be taken for granted. */
export function classProblems({ spec }: KubernetesGateway, world: ConvertWorld): readonly Problem[] {
  return parameterProblems(world.gatewayClass(spec.gatewayClassName));
}

/** What keeps a GatewayClass of this mesh from being accepted. */
export function parameterProblems(gatewayClass: GatewayClass | undefined): readonly Problem[] {
  if (gatewayClass?.spec.parametersRef === undefined) return [];
  const { name } = gatewayClass.metadata;
  return [{ reason: "InvalidParameters", message: `parametersRef of GatewayClass ${name} is not supported` }];
}

/** The address of a Gateway is that of its service; it cannot be chosen. */
function addressProblems(gateway: KubernetesGateway): readonly Problem[] {
  const chosen = (gateway.spec.addresses ?? []).filter(({ type = "IPAddress", value }) => type !== "Hostname" && value);
  return chosen.length === 0
    ? []
    : [{ reason: "UnsupportedAddress", message: "addresses of type IPAddress cannot be chosen; use a Hostname" }];
}

function serviceProblems(
  hosts: readonly string[],
  listeners: readonly CheckedListener[],
  world: ConvertWorld,
): readonly Problem[] {
  return hosts.flatMap((host) => {
    const service = world.service(host);
    if (service === undefined) return [{ reason: "AddressNotAssigned", message: `service ${host} does not exist` }];
    const missing = new Set(
      listeners
        .map(({ listener }) => listener.port)
        .filter((port) => !service.ports.some(({ number }) => number === port)),
    );
    return [...missing].map((port) => ({
      reason: "AddressNotUsable",
      message: `service ${host} has no port ${port}`,
    }));
  });
}

function listenerConditions(checked: CheckedListener, refused: readonly Problem[]): readonly Condition[] {
  const of = (...reasons: readonly string[]) => checked.problems.filter(({ reason }) => reasons.includes(reason));
  const conflicts = of("ProtocolConflict", "HostnameConflict");
  const [conflict] = conflicts;
  return [
    condition("Accepted", "Accepted", [...of("UnsupportedProtocol", "PortUnavailable"), ...conflicts]),
    conflict === undefined
      ? { type: "Conflicted", status: "False", reason: "NoConflicts", message: "" }
      : { type: "Conflicted", status: "True", reason: conflict.reason, message: conflict.message },
    condition("ResolvedRefs", "ResolvedRefs", [
      ...of("InvalidCertificateRef", "RefNotPermitted"),
      ...checked.kindProblems,
    ]),
    condition("Programmed", "Programmed", [
      ...[...refused, ...checked.problems].map(({ message }) => ({ reason: "Invalid", message })),
    ]),
  ];
}

function istioGateway(gateway: KubernetesGateway, checked: CheckedListener, hosts: readonly string[]): Gateway {
  const { listener, tls } = checked;
  const { name, namespace, creationTimestamp } = gateway.metadata;
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: {
      name: listenerGateway(name, listener.name),
      namespace,
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      annotations: {
        [annotations.service]: hosts.join(","),
        [annotations.parents]: `Gateway/${name}/${listener.name}.${namespace}`,
      },
    },
    spec: {
      servers: [
        {
          port: { number: listener.port, protocol: listener.protocol, name: "default" },
          hosts: [`*/${listener.hostname || "*"}`],
          ...(tls === undefined ? {} : { tls }),
        },
      ],
    },
  };
}
