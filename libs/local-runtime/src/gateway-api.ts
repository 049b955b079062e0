import type { GatewayClass, Ingress, KubernetesGateway } from "@lateen/mesh-model";
import { type GatewayFlavor, ingressGateway } from "./gateways.ts";

const CONTROLLER = "istio.io/gateway-controller";
const DEFAULT_CLASS = "istio";
/** A Service of these labels selects the gateway's pod, as in Istio. */
const NAME_LABEL = "gateway.networking.k8s.io/gateway-name";
const CLASS_LABEL = "gateway.networking.k8s.io/gateway-class-name";
const NAME_OVERRIDE = "gateway.istio.io/name-override";

/**
 * The gateways to run for Gateway API Gateways: one each, named `<gateway>-<class>`, in its namespace. Those that name a host under
 * `addresses` are served by what is there, those of other controllers by nobody here.
 */
export function deployedGateways(
  gateways: readonly KubernetesGateway[],
  classes: readonly GatewayClass[],
): readonly GatewayFlavor[] {
  return gateways
    .filter(
      ({ spec: { gatewayClassName, addresses = [], listeners = [] } }) =>
        isOurs(gatewayClassName, classes) && addresses.every(({ value }) => !value) && listeners.length > 0,
    )
    .map(flavorOf);
}

function isOurs(className: string, classes: readonly GatewayClass[]): boolean {
  const found = classes.find(({ metadata }) => metadata.name === className);
  return found === undefined ? className === DEFAULT_CLASS : found.spec.controllerName === CONTROLLER;
}

function flavorOf(gateway: KubernetesGateway): GatewayFlavor {
  const { name, namespace, annotations } = gateway.metadata;
  const { listeners = [], infrastructure, gatewayClassName } = gateway.spec;
  const deployed = annotations?.[NAME_OVERRIDE] ?? `${name}-${DEFAULT_CLASS}`;
  const byPort = new Map(listeners.map((listener) => [listener.port, listener]));
  return {
    name: deployed,
    namespace,
    serviceAccount: deployed,
    labels: { ...infrastructure?.labels, [NAME_LABEL]: name, [CLASS_LABEL]: gatewayClassName },
    ports: [...byPort.values()]
      .sort((a, b) => a.port - b.port)
      .map(({ port, protocol }) => ({
        name: `${protocol.toLowerCase()}-${port}`,
        port,
        targetPort: port < 1024 ? port + 10_000 : port,
      })),
  };
}

/** Ports that the ingress gateway serves for Gateway API Gateways that name its Service, and for Ingress. */
export function ingressPorts(gateways: readonly KubernetesGateway[], ingresses: readonly Ingress[]): readonly number[] {
  const host = `${ingressGateway.name}.${ingressGateway.namespace}`;
  const named = gateways.filter(({ spec }) =>
    (spec.addresses ?? []).some(({ value = "" }) => value === host || value.startsWith(`${host}.`)),
  );
  const ports = named.flatMap(({ spec }) => (spec.listeners ?? []).map(({ port }) => port));
  const secure = ingresses.some(({ spec }) => (spec?.tls ?? []).length > 0);
  return [...new Set([...ports, ...(ingresses.length > 0 ? [80] : []), ...(secure ? [443] : [])])];
}

/** Who owns the pods of such a gateway, among all owners of pods. */
export function gatewayOwner({ namespace, name }: GatewayFlavor): string {
  return `gateway:${namespace}:${name}`;
}
