import type { Gateway } from "@lateen/mesh-model";
import type { RejectedView } from "./events.ts";
import { egressGateway, type GatewayFlavor, ingressGateway, selects, servedAt } from "./gateways.ts";
import type { PodView } from "./pod/types.ts";

/** What `lateen status -o json` prints. */
export interface StatusReport {
  /** Version of the supervisor. */
  readonly version: string;
  readonly ready: boolean;
  readonly revision: number;
  readonly mesh: string;
  readonly controlPlane: { readonly ready: boolean; readonly ports: Readonly<Record<string, number>> };
  readonly workloads: readonly WorkloadStatus[];
  readonly gateways: readonly GatewayStatus[];
  readonly rejected: readonly RejectedView[];
  /** What keeps the mesh from being ready, and what people should know. */
  readonly warnings: readonly string[];
}

export interface WorkloadStatus {
  readonly namespace: string;
  readonly pod: string;
  readonly workload: string;
  readonly serviceAccount: string;
  readonly ready: boolean;
  readonly address: string;
  /** By declared port: the sidecar binds `sidecar` at the pod's address, the application `private` on 127.0.0.1. */
  readonly ports: readonly { readonly container: number; readonly sidecar: number; readonly private: number }[];
  readonly synced: boolean;
  readonly phase: PodView["phase"];
  readonly reason: string;
  readonly restarts: number;
  readonly createdAt: string;
}

export interface GatewayStatus {
  readonly namespace: string;
  readonly name: string;
  /** A Gateway server's port and where it is really bound: port `listen` of address `host`. */
  readonly ports: readonly { readonly port: number; readonly listen: number; readonly host: string }[];
  readonly pod: string;
  readonly address: string;
  readonly ready: boolean;
  readonly synced: boolean;
  readonly reason: string;
}

export interface StatusInput {
  readonly version: string;
  readonly mesh: string;
  readonly revision: number;
  readonly configLoaded: boolean;
  readonly controlPlane: StatusReport["controlPlane"];
  readonly pods: readonly PodView[];
  readonly gateways: readonly Gateway[];
  /** Gateways that run for Gateway API Gateways. Default none. */
  readonly deployed?: readonly GatewayFlavor[];
  /** Ports of the ingress gateway that Gateway API objects and Ingress ask for. Default none. */
  readonly ingressPorts?: readonly number[];
  readonly ingressPort: number;
  readonly rejected: readonly RejectedView[];
  readonly warnings: readonly string[];
  /** Whether a proxy has acked the current configuration. */
  readonly synced: (pod: { readonly namespace: string; readonly name: string }) => boolean;
}

/** The report of a moment. Ready: the control plane serves, and every pod that is not on its way out is ready. */
export function statusReport(input: StatusInput): StatusReport {
  const { pods, controlPlane, configLoaded } = input;
  const lasting = pods.filter((pod) => pod.phase !== "Terminating");
  return {
    ready: controlPlane.ready && configLoaded && lasting.length > 0 && lasting.every((pod) => pod.ready),
    revision: input.revision,
    version: input.version,
    mesh: input.mesh,
    controlPlane,
    workloads: pods.filter((pod) => pod.kind !== "gateway").map((pod) => workloadStatus(pod, input)),
    gateways: pods.filter((pod) => pod.kind === "gateway").map((pod) => gatewayStatus(pod, input)),
    rejected: input.rejected,
    warnings: input.warnings,
  };
}

function workloadStatus(pod: PodView, input: StatusInput): WorkloadStatus {
  return {
    namespace: pod.namespace,
    pod: pod.name,
    workload: pod.workload,
    serviceAccount: pod.serviceAccount,
    ready: pod.ready,
    address: pod.address,
    ports: pod.ports.map(({ container, privatePort }) => ({ container, sidecar: container, private: privatePort })),
    synced: input.synced(pod),
    phase: pod.phase,
    reason: pod.reason,
    restarts: pod.restarts,
    createdAt: new Date(pod.createdAt).toISOString(),
  };
}

function gatewayStatus(pod: PodView, input: StatusInput): GatewayStatus {
  const deployed = input.deployed?.find(({ namespace, name }) => namespace === pod.namespace && name === pod.workload);
  const flavor = pod.workload === ingressGateway.name ? ingressGateway : egressGateway;
  return {
    namespace: pod.namespace,
    name: pod.workload,
    ports:
      deployed === undefined
        ? gatewayPorts(pod, flavor, input)
        : deployed.ports.map(({ port, targetPort }) => ({ port, listen: targetPort, host: pod.address })),
    pod: pod.name,
    address: pod.address,
    ready: pod.ready,
    synced: input.synced(pod),
    reason: pod.reason,
  };
}

function gatewayPorts(pod: PodView, flavor: GatewayFlavor, input: StatusInput): GatewayStatus["ports"] {
  const numbers = new Set<number>(flavor === ingressGateway ? (input.ingressPorts ?? []) : []);
  for (const gateway of input.gateways) {
    if (!selects(gateway, flavor)) continue;
    for (const server of gateway.spec.servers ?? []) numbers.add(server.port.number);
  }
  return [...numbers]
    .sort((a, b) => a - b)
    .map((port) => ({
      port,
      ...(flavor === ingressGateway
        ? { listen: servedAt(port, input.ingressPort), host: "127.0.0.1" }
        : { listen: egressAt(port), host: pod.address }),
    }));
}

function egressAt(port: number): number {
  const target = egressGateway.ports.find((candidate) => candidate.port === port)?.targetPort;
  return target ?? (port < 1024 ? port + 10_000 : port);
}
