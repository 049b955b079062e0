import type { Resource } from "../kinds/index.ts";
import { append } from "./group.ts";
import type { Report } from "./types.ts";
import type { AnalysisWorld, WorkloadGroup } from "./world.ts";

type Labels = Readonly<Record<string, string>>;

/** Selectors that select nothing, and Sidecars that select the same. */
export function analyzeSelectors(world: AnalysisWorld, report: Report): void {
  for (const policy of world.all("AuthorizationPolicy")) {
    checkSelector(policy, policy.spec?.selector?.matchLabels, ["spec", "selector", "matchLabels"], world, report);
  }
  for (const policy of world.all("PeerAuthentication")) {
    checkSelector(policy, policy.spec?.selector?.matchLabels, ["spec", "selector", "matchLabels"], world, report);
  }
  for (const telemetry of world.all("Telemetry")) {
    checkSelector(telemetry, telemetry.spec?.selector?.matchLabels, ["spec", "selector", "matchLabels"], world, report);
  }
  for (const policy of world.all("RequestAuthentication")) {
    checkSelector(policy, policy.spec?.selector?.matchLabels, ["spec", "selector", "matchLabels"], world, report);
  }
  for (const plugin of world.all("WasmPlugin")) {
    checkSelector(plugin, plugin.spec.selector?.matchLabels, ["spec", "selector", "matchLabels"], world, report);
  }
  for (const filter of world.all("EnvoyFilter")) {
    const labels = filter.spec?.workloadSelector?.labels;
    checkSelector(filter, labels, ["spec", "workloadSelector", "labels"], world, report);
  }
  for (const sidecar of world.all("Sidecar")) {
    const { workloadSelector } = sidecar.spec;
    checkSelector(sidecar, workloadSelector?.labels, ["spec", "workloadSelector", "labels"], world, report);
  }
  for (const entry of world.all("ServiceEntry")) {
    const { workloadSelector } = entry.spec;
    checkSelector(entry, workloadSelector?.labels, ["spec", "workloadSelector", "labels"], world, report);
  }
  checkSidecars(world, report);
}

/** Kinds whose selectors reach workloads of their own namespace only, also in the root namespace. */
const OWN_NAMESPACE: ReadonlySet<string> = new Set(["PeerAuthentication", "Sidecar", "ServiceEntry"]);

function checkSelector(
  object: Resource,
  labels: Labels | undefined,
  path: readonly string[],
  world: AnalysisWorld,
  report: Report,
): void {
  if (labels === undefined || Object.keys(labels).length === 0) return;
  const { namespace } = object.metadata;
  // A policy in the root namespace reaches the workloads of every namespace.
  const everywhere = namespace === world.rootNamespace && !OWN_NAMESPACE.has(object.kind);
  if (world.selected(labels, everywhere ? undefined : namespace).length > 0) return;
  const text = formatLabels(labels);
  report(object, "IST0127", path, `No matching workloads for this resource with the following labels: ${text}`);
}

/** `app=reviews,version=v1` */
export function formatLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
}

function checkSidecars(world: AnalysisWorld, report: Report): void {
  const unselective = new Map<string, Resource<"Sidecar">[]>();
  const claims = new Map<WorkloadGroup, Resource<"Sidecar">[]>();
  for (const sidecar of world.all("Sidecar")) {
    const { namespace } = sidecar.metadata;
    const labels = sidecar.spec.workloadSelector?.labels ?? {};
    if (Object.keys(labels).length === 0) append(unselective, namespace, sidecar);
    else for (const workload of world.selected(labels, namespace)) append(claims, workload, sidecar);
  }
  for (const [namespace, sidecars] of unselective) {
    if (sidecars.length < 2) continue;
    const message = `The Sidecars [${namesOf(sidecars)}] in namespace "${namespace}" have no workload selector, which can lead to undefined behavior.`;
    for (const sidecar of sidecars) report(sidecar, "IST0111", ["metadata", "name"], message, "the oldest one is used");
  }
  for (const [workload, sidecars] of claims) {
    if (sidecars.length < 2) continue;
    const message = `The Sidecars [${namesOf(sidecars)}] in namespace "${workload.namespace}" select the same workload "${workload.name}", which can lead to undefined behavior.`;
    for (const sidecar of sidecars) report(sidecar, "IST0110", ["spec", "workloadSelector"], message);
  }
}

function namesOf(objects: readonly Resource[]): string {
  return objects.map((object) => object.metadata.name).join(" ");
}
