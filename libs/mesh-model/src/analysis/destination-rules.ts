import { labelsMatch } from "../services/endpoints.ts";
import type { MeshService } from "../services/types.ts";
import type { Report } from "./types.ts";
import type { AnalysisWorld } from "./world.ts";

/** Rules for hosts that do not exist, and subsets that select nothing. */
export function analyzeDestinationRules(world: AnalysisWorld, report: Report): void {
  for (const rule of world.all("DestinationRule")) {
    const { host, subsets } = rule.spec;
    const services = world.servicesOf(host, rule.metadata.namespace);
    if (services.length === 0) {
      if (world.isBuiltInHost(host, rule.metadata.namespace)) continue;
      const message = `The host ${host} defined in the DestinationRule does not match any services in the mesh.`;
      report(rule, "IST0174", ["spec", "host"], message);
      continue;
    }
    for (const [index, subset] of (subsets ?? []).entries()) {
      const labels = subset.labels ?? {};
      if (Object.keys(labels).length === 0) continue;
      if (services.some((service) => hasWorkload(service, labels, world))) continue;
      const message = `The Subset ${subset.name} defined in the DestinationRule does not select any pods.`;
      report(rule, "IST0173", ["spec", "subsets", index, "labels"], message, `no workload of ${host} has these labels`);
    }
  }
}

type Labels = Readonly<Record<string, string>>;

/** Whether some endpoint of the service can carry the labels. What is found outside the objects (DNS, headless) may. */
function hasWorkload(service: MeshService, labels: Labels, world: AnalysisWorld): boolean {
  const inline = service.inlineEndpoints ?? [];
  if (inline.length > 0) return inline.some((endpoint) => labelsMatch(labels, endpoint.labels ?? {}));
  const { selector } = service;
  if (selector === undefined) return true;
  const both = { ...selector, ...labels };
  return labelsMatch(selector, both) && world.selected(both, service.namespace).length > 0;
}
