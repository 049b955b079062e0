import type { Report } from "./types.ts";
import type { AnalysisWorld } from "./world.ts";

/** Namespaces that policies speak of and that nothing is in. */
export function analyzeAuthorization(world: AnalysisWorld, report: Report): void {
  for (const policy of world.all("AuthorizationPolicy")) {
    for (const [index, rule] of (policy.spec?.rules ?? []).entries()) {
      for (const [number, from] of (rule.from ?? []).entries()) {
        for (const [position, namespace] of (from.source?.namespaces ?? []).entries()) {
          if (namespace.includes("*") || world.namespaces.has(namespace)) continue;
          const path = ["spec", "rules", index, "from", number, "source", "namespaces", position];
          report(policy, "IST0101", path, `Referenced namespace not found: "${namespace}"`);
        }
      }
    }
  }
}
