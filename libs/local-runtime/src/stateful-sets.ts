import type { Service, StatefulSet } from "@lateen/mesh-model";
import { podOfTemplate, templateHash } from "./deployments.ts";
import type { PodBlueprint, Volume } from "./pod/types.ts";

/** What a step of a StatefulSet needs to know of one pod. */
export interface MemberPod {
  readonly name: string;
  readonly ordinal: number;
  readonly templateHash: string;
  readonly ready: boolean;
  readonly terminating: boolean;
}

/** What a StatefulSet wants. */
export interface StatefulSetGoal {
  /** Ordinals `first` to `first + replicas - 1`. */
  readonly first: number;
  readonly replicas: number;
  readonly templateHash: string;
  readonly policy: "OrderedReady" | "Parallel";
  readonly update: "RollingUpdate" | "OnDelete";
  /** Members below this ordinal keep the template they have. */
  readonly partition: number;
}

/** The next step towards a goal; asked again after every change until it is empty. */
export interface StatefulSetStep {
  readonly create: readonly number[];
  readonly remove: readonly string[];
}

/** Name of an owner of pods: `statefulset/namespace/name`. */
export function statefulSetId({ metadata }: StatefulSet): string {
  return `statefulset/${metadata.namespace}/${metadata.name}`;
}

/** What the StatefulSet asks for, with Kubernetes' defaults. */
export function statefulSetGoal({ spec }: StatefulSet): StatefulSetGoal {
  const { replicas = 1, ordinals, podManagementPolicy, updateStrategy } = spec;
  return {
    first: ordinals?.start ?? 0,
    replicas,
    templateHash: templateHash(spec.template),
    policy: podManagementPolicy ?? "OrderedReady",
    update: updateStrategy?.type ?? "RollingUpdate",
    partition: updateStrategy?.rollingUpdate?.partition ?? 0,
  };
}

/** The member of that name; undefined for one that is not of this set. */
export function ordinalOf(set: StatefulSet, pod: string): number | undefined {
  const digits = pod.slice(set.metadata.name.length + 1);
  return pod.startsWith(`${set.metadata.name}-`) && /^\d+$/.test(digits) ? Number(digits) : undefined;
}

/**
 * Decides the next step of a StatefulSet as Kubernetes does. OrderedReady: members come one by one from the lowest ordinal, each when all
 * below it are ready, and go one by one from the highest; Parallel: all at once. A changed template replaces one member at a time, from
 * the highest ordinal down to the partition, each when all others are ready. A member that goes is gone before its successor comes.
 */
export function planStatefulSet(goal: StatefulSetGoal, pods: readonly MemberPod[]): StatefulSetStep {
  const end = goal.first + goal.replicas;
  const isMember = ({ ordinal }: MemberPod) => ordinal >= goal.first && ordinal < end;
  const ordered = goal.policy === "OrderedReady";
  const create = missing(goal, pods);
  if (create.length > 0) return { create: ordered ? firstInOrder(create, pods) : create, remove: [] };
  const surplus = pods.filter((pod) => !isMember(pod)).sort((a, b) => b.ordinal - a.ordinal);
  const going = pods.some(({ terminating }) => terminating);
  if (surplus.length > 0) {
    const leaving = surplus.filter(({ terminating }) => !terminating).map(({ name }) => name);
    if (!ordered) return { create: [], remove: leaving };
    return { create: [], remove: going ? [] : leaving.slice(0, 1) };
  }
  if (goal.update === "OnDelete" || going) return { create: [], remove: [] };
  const outdated = pods
    .filter(({ ordinal, templateHash: hash }) => ordinal >= goal.partition && hash !== goal.templateHash)
    .sort((a, b) => b.ordinal - a.ordinal);
  const next = outdated[0];
  // One that is not ready and outdated may be what the new template mends.
  const othersReady = pods.every((pod) => pod.ready || outdated.includes(pod));
  return { create: [], remove: next !== undefined && othersReady ? [next.name] : [] };
}

/** Ordinals without a pod, lowest first. A pod that is going still has its name. */
function missing(goal: StatefulSetGoal, pods: readonly MemberPod[]): readonly number[] {
  const taken = new Set(pods.map(({ ordinal }) => ordinal));
  return Array.from({ length: goal.replicas }, (_, index) => goal.first + index).filter(
    (ordinal) => !taken.has(ordinal),
  );
}

function firstInOrder(ordinals: readonly number[], pods: readonly MemberPod[]): readonly number[] {
  const [first] = ordinals;
  if (first === undefined) return [];
  return pods.every((pod) => pod.ordinal > first || (pod.ready && !pod.terminating)) ? [first] : [];
}

/** A member: its name, labels, host name below the set's Service, and claims are its own. */
export function memberBlueprint(set: StatefulSet, ordinal: number, services: readonly Service[]): PodBlueprint {
  const { metadata, spec } = set;
  const name = `${metadata.name}-${ordinal}`;
  const blueprint = podOfTemplate({ metadata, template: spec.template }, name, services);
  const claims = (spec.volumeClaimTemplates ?? []).map(({ metadata: claim }): Volume => {
    return { name: claim.name, persistentVolumeClaim: { claimName: `${claim.name}-${name}` } };
  });
  const named = new Set(claims.map((claim) => claim.name));
  const others = (blueprint.spec.volumes ?? []).filter((volume) => !named.has(volume.name));
  return {
    ...blueprint,
    controller: "StatefulSet",
    labels: {
      ...blueprint.labels,
      "statefulset.kubernetes.io/pod-name": name,
      "apps.kubernetes.io/pod-index": String(ordinal),
      "controller-revision-hash": `${metadata.name}-${blueprint.templateHash}`,
    },
    spec: {
      ...blueprint.spec,
      hostname: name,
      ...(spec.serviceName ? { subdomain: spec.serviceName } : {}),
      volumes: [...others, ...claims],
    },
  };
}
