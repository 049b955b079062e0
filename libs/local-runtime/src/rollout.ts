/** What a rollout decision needs to know of one pod. */
export interface RolloutPod {
  readonly name: string;
  readonly templateHash: string;
  readonly ready: boolean;
  readonly terminating: boolean;
  readonly createdAt: number;
}

/** What a Deployment wants. */
export interface RolloutGoal {
  readonly replicas: number;
  readonly templateHash: string;
  readonly strategy: "RollingUpdate" | "Recreate";
  /** Pods above `replicas` during a rollout. */
  readonly maxSurge: number;
  /** Pods below `replicas` that may be missing during a rollout. */
  readonly maxUnavailable: number;
}

/** The next step towards a goal; asked again after every change until it is empty. */
export interface RolloutStep {
  readonly create: number;
  readonly remove: readonly string[];
}

/**
 * Decides the next step of a Deployment as Kubernetes does: new pods up to `replicas + maxSurge`, old pods go as far as
 * `replicas - maxUnavailable` ready ones remain; pods that are not ready go first. `Recreate` waits until every old pod is gone.
 */
export function planRollout(goal: RolloutGoal, pods: readonly RolloutPod[]): RolloutStep {
  const alive = pods.filter((pod) => !pod.terminating);
  const current = alive.filter((pod) => pod.templateHash === goal.templateHash);
  const old = alive.filter((pod) => pod.templateHash !== goal.templateHash);
  if (goal.strategy === "Recreate" && old.length > 0) return { create: 0, remove: old.map((pod) => pod.name) };
  if (goal.strategy === "Recreate" && pods.some((pod) => pod.templateHash !== goal.templateHash)) {
    return { create: 0, remove: [] };
  }
  const room = old.length === 0 ? goal.replicas : goal.replicas + goal.maxSurge;
  const create = Math.max(0, Math.min(goal.replicas - current.length, room - alive.length));
  const remove = current.length > goal.replicas ? leastUseful(current).slice(0, current.length - goal.replicas) : [];
  return { create, remove: [...remove.map((pod) => pod.name), ...removableOld(goal, current, old)] };
}

function removableOld(
  goal: RolloutGoal,
  current: readonly RolloutPod[],
  old: readonly RolloutPod[],
): readonly string[] {
  const ready = [...current, ...old].filter((pod) => pod.ready).length;
  let spare = ready - (goal.replicas - goal.maxUnavailable);
  const removed: string[] = [];
  for (const pod of leastUseful(old)) {
    // An old pod that serves nobody can always go.
    if (pod.ready && spare <= 0) continue;
    if (pod.ready) spare--;
    removed.push(pod.name);
  }
  return removed;
}

/** Not ready before ready, younger before older. */
function leastUseful(pods: readonly RolloutPod[]): readonly RolloutPod[] {
  return [...pods].sort((a, b) => Number(a.ready) - Number(b.ready) || b.createdAt - a.createdAt);
}

/** A strategy's number: an absolute count or a percentage of the replicas. */
export function scaledCount(value: unknown, replicas: number, rounding: "up" | "down", fallback: number): number {
  if (typeof value === "number") return value;
  if (typeof value === "string" && /^\d+%$/.test(value)) {
    const exact = (Number(value.slice(0, -1)) * replicas) / 100;
    return rounding === "up" ? Math.ceil(exact) : Math.floor(exact);
  }
  return fallback;
}
