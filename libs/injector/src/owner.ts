import { type JsonObject, objectsOf, textOf, textsOf } from "./json.ts";

/** The controller that a pod belongs to, as far as it can be told from the pod or from its document. */
export interface PodOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
}

/** CronJobs name their Jobs after the minute (older ones: the second) they start. */
const CRON_JOB = /^(.+)-\d{8,10}$/;

/**
 * The workload of a pod: the Deployment behind a ReplicaSet, the CronJob behind a Job, the controller itself otherwise; a pod without one is
 * its own.
 */
export function ownerOf(metadata: JsonObject, namespace: string): PodOwner {
  const owners = objectsOf(metadata.ownerReferences);
  const owner = owners.find((each) => each.controller === true) ?? (owners.length === 1 ? owners[0] : undefined);
  const name = textOf(owner?.name);
  if (owner === undefined || name === undefined) {
    const own = textOf(metadata.name) ?? (textOf(metadata.generateName) ?? "").replace(/-$/, "");
    return { apiVersion: "v1", kind: "Pod", name: own, namespace };
  }
  const { apiVersion, kind } = { apiVersion: textOf(owner.apiVersion) ?? "v1", kind: textOf(owner.kind) ?? "Pod" };
  const hash = textsOf(metadata.labels)["pod-template-hash"];
  if (kind === "ReplicaSet" && hash !== undefined && name.endsWith(`-${hash}`)) {
    return { apiVersion, kind: "Deployment", name: name.slice(0, -hash.length - 1), namespace };
  }
  const cron = kind === "Job" ? CRON_JOB.exec(name)?.[1] : undefined;
  if (cron !== undefined) return { apiVersion, kind: "CronJob", name: cron, namespace };
  return { apiVersion, kind, name, namespace };
}

/** `kubernetes://apis/apps/v1/namespaces/shop/deployments/web`, as ISTIO_META_OWNER says it. */
export function ownerUrl({ apiVersion, kind, name, namespace }: PodOwner): string {
  return `kubernetes://apis/${apiVersion}/namespaces/${namespace}/${kind.toLowerCase()}s/${name}`;
}
