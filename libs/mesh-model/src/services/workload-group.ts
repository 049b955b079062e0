import type { Resource } from "../kinds/index.ts";

/** A workload that registers itself as one of a group. */
export interface RegisteringWorkload {
  readonly address: string;
  /** Empty: the mesh has one network. */
  readonly network: string;
  readonly locality: string;
  /** Labels it brings beside those of the group. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Annotation with the `namespace/name` of the group that an entry was made from. */
export const AUTO_REGISTRATION_GROUP = "istio.io/autoRegistrationGroup";
/** Annotation `true` of entries that are endpoints only while their workload reports that it is healthy. */
export const HEALTH_CHECKS_ENABLED = "proxy.istio.io/health-checks-enabled";
/** The condition in `status.conditions` that says so. */
export const HEALTHY_CONDITION = "Healthy";

/** Whether an entry may get traffic: always, unless it is asked how it is; then once it has said that it is well. */
export function isHealthyEntry(entry: Pick<Resource<"WorkloadEntry">, "metadata" | "status">): boolean {
  if (entry.metadata.annotations?.[HEALTH_CHECKS_ENABLED] !== "true") return true;
  const status = entry.status as { readonly conditions?: unknown } | null | undefined;
  const conditions: readonly unknown[] = Array.isArray(status?.conditions) ? status.conditions : [];
  return conditions.some((one) => {
    const { type, status: state } = (one ?? {}) as { readonly type?: unknown; readonly status?: unknown };
    return type === HEALTHY_CONDITION && state === "True";
  });
}

/**
 * The WorkloadEntry of a workload that registers itself, named `<group>-<ip>-<network>` as Istio names it. What the workload says
 * of itself wins over the group's template.
 */
export function workloadEntryOf(
  group: Resource<"WorkloadGroup">,
  workload: RegisteringWorkload,
): Resource<"WorkloadEntry"> {
  const { metadata, spec } = group;
  const { template } = spec;
  const { address, network, locality } = workload;
  const suffix = [address.replaceAll(":", "-"), network].filter((part) => part !== "").join("-");
  const labels = { ...spec.metadata?.labels, ...template.labels, ...workload.labels };
  return {
    apiVersion: group.apiVersion,
    kind: "WorkloadEntry",
    metadata: {
      name: `${metadata.name}-${suffix}`,
      namespace: metadata.namespace,
      labels,
      annotations: {
        ...spec.metadata?.annotations,
        [AUTO_REGISTRATION_GROUP]: `${metadata.namespace}/${metadata.name}`,
        ...(spec.probe === undefined ? {} : { [HEALTH_CHECKS_ENABLED]: "true" }),
      },
    },
    spec: {
      ...template,
      address,
      labels,
      ...(network === "" ? {} : { network }),
      ...(locality === "" ? {} : { locality }),
    },
  };
}
