import type { Resource } from "../kinds/index.ts";
import type { Workload } from "./types.ts";

type Pod = Resource<"Pod">;

/** What the mesh reads of a pod's status. */
export interface PodStatus {
  readonly podIP: string | undefined;
  readonly ready: boolean;
  /** The pod has run to its end and will not serve again. */
  readonly finished: boolean;
}

/** Reads a pod's status, which a runtime reports and nobody validates: whatever is not as expected counts as absent. */
export function podStatusOf(pod: Pod): PodStatus {
  const status = asRecord(pod.status);
  const conditions = Array.isArray(status.conditions) ? status.conditions.map(asRecord) : [];
  const phase = status.phase;
  const finished = phase === "Succeeded" || phase === "Failed";
  const ready = conditions.some((condition) => condition.type === "Ready" && condition.status === "True");
  const podIP = status.podIP;
  return {
    podIP: typeof podIP === "string" && podIP !== "" ? podIP : undefined,
    ready: ready && !finished && pod.metadata.deletionTimestamp === undefined,
    finished,
  };
}

/** The workload a pod is one replica of; undefined while the pod has no address or once it has ended. */
export function workloadFromPod(pod: Pod): Workload | undefined {
  const status = podStatusOf(pod);
  if (status.podIP === undefined || status.finished) return undefined;
  const { hostname, subdomain } = pod.spec;
  return {
    ...(hostname && subdomain ? { named: { hostname, subdomain } } : {}),
    name: workloadNameOf(pod),
    namespace: pod.metadata.namespace,
    pod: pod.metadata.name,
    address: status.podIP,
    labels: pod.metadata.labels ?? {},
    serviceAccount: pod.spec.serviceAccountName || pod.spec.serviceAccount || "default",
    ready: status.ready,
    containerPorts: containerPortsOf(pod),
    node: pod.spec.nodeName ?? "",
  };
}

/** TCP ports of all containers, those of restartable init containers (native sidecars) included. */
export function containerPortsOf(pod: Pod): readonly { readonly name: string; readonly port: number }[] {
  const sidecars = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === "Always");
  return [...pod.spec.containers, ...sidecars]
    .flatMap((container) => container.ports ?? [])
    .filter((port) => (port.protocol ?? "TCP") === "TCP")
    .map((port) => ({ name: port.name ?? "", port: port.containerPort }));
}

/** The name of the Deployment (or other controller) behind a pod, as Istio derives it; the pod's own name without one. */
export function workloadNameOf(pod: Pod): string {
  const owners = Array.isArray(pod.metadata.ownerReferences) ? pod.metadata.ownerReferences.map(asRecord) : [];
  const owner = owners.find((candidate) => candidate.controller === true) ?? owners[0];
  const hash = pod.metadata.labels?.["pod-template-hash"];
  const ownerName = owner?.name;
  if (typeof ownerName === "string" && ownerName !== "") {
    return owner?.kind === "ReplicaSet" && hash && ownerName.endsWith(`-${hash}`)
      ? ownerName.slice(0, -hash.length - 1)
      : ownerName;
  }
  const cut = hash ? pod.metadata.name.lastIndexOf(`-${hash}-`) : -1;
  return cut > 0 ? pod.metadata.name.slice(0, cut) : pod.metadata.name;
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
