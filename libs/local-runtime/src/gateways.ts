import type { Gateway } from "@lateen/mesh-model";
import type { PortBinding } from "./pod/dependencies.ts";
import type { PodBlueprint } from "./pod/types.ts";

/** Namespace of the control plane and its gateways. */
export const ROOT_NAMESPACE = "istio-system";

/** A gateway that the supervisor can run. */
export interface GatewayFlavor {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: number }[];
}

/** Always running; Gateway servers on 80 and 8080 share its listener 8080. */
export const ingressGateway: GatewayFlavor = {
  name: "istio-ingressgateway",
  namespace: ROOT_NAMESPACE,
  serviceAccount: "istio-ingressgateway-service-account",
  labels: { app: "istio-ingressgateway", istio: "ingressgateway" },
  ports: [
    { name: "http2", port: 80, targetPort: 8080 },
    { name: "https", port: 443, targetPort: 8443 },
    { name: "http-alt", port: 8080, targetPort: 8080 },
  ],
};

/** Running while some Gateway selects it. */
export const egressGateway: GatewayFlavor = {
  name: "istio-egressgateway",
  namespace: ROOT_NAMESPACE,
  serviceAccount: "istio-egressgateway-service-account",
  labels: { app: "istio-egressgateway", istio: "egressgateway" },
  ports: [
    { name: "http2", port: 80, targetPort: 8080 },
    { name: "https", port: 443, targetPort: 8443 },
  ],
};

/** Whether a Gateway object's selector selects this gateway. */
export function selects(gateway: Gateway, flavor: GatewayFlavor): boolean {
  const selector = Object.entries(gateway.spec.selector ?? {});
  return selector.length > 0 && selector.every(([key, value]) => flavor.labels[key] === value);
}

/** The one pod of a gateway. */
export function gatewayBlueprint(flavor: GatewayFlavor, suffix: string): PodBlueprint {
  return {
    namespace: flavor.namespace,
    name: `${flavor.name}-${suffix}`,
    workload: flavor.name,
    serviceAccount: flavor.serviceAccount,
    labels: flavor.labels,
    annotations: {},
    spec: {
      containers: [
        {
          name: "istio-proxy",
          ports: [...new Set(flavor.ports.map((port) => port.targetPort))].map((containerPort) => ({ containerPort })),
        },
      ],
    },
    templateHash: "gateway",
    kind: "gateway",
    extraPorts: [],
  };
}

/**
 * Where the ingress gateway's listeners are bound: 8080 at the ingress port and 8443 at 10443 on the loopback addresses, so that a
 * browser finds them, and both at the pod's own address, so that the mesh does.
 */
export function ingressBindings(
  ingressPort: number,
  loopback: readonly string[],
  podAddress: string,
): readonly PortBinding[] {
  return [
    ...loopback.map((address) => ({ port: 8080, address, bindPort: ingressPort })),
    { port: 8080, address: podAddress, bindPort: 8080 },
    ...loopback.map((address) => ({ port: 8443, address, bindPort: 10_443 })),
    { port: 8443, address: podAddress, bindPort: 8443 },
  ];
}

/** Port of 127.0.0.1 on which a Gateway server's port is reached. */
export function servedAt(port: number, ingressPort: number): number {
  if (port === 80 || port === 8080) return ingressPort;
  return port < 1024 ? port + 10_000 : port === 8443 ? 10_443 : port;
}
