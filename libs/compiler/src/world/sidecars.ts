import type { Sidecar } from "@lateen/mesh-model";
import type { Read } from "../engine/query-engine.ts";
import { labelsMatch } from "../lower/proto.ts";
import type { ProxyScope } from "../scope.ts";
import { byAge } from "./objects.ts";
import { listOf, meshConfigOf } from "./services.ts";

/** The Sidecar that applies: one that selects the workload, else the namespace's, else the root namespace's. */
export function sidecarFor(read: Read, scope: ProxyScope): Sidecar | undefined {
  if (scope.kind !== "sidecar") return undefined;
  const own = byAge(listOf(read, "Sidecar", scope.namespace));
  const selecting = own.find((sidecar) => {
    const labels = sidecar.spec.workloadSelector?.labels;
    return labels !== undefined && labelsMatch(labels, scope.labels);
  });
  if (selecting !== undefined) return selecting;
  const plain = (sidecar: Sidecar) => sidecar.spec.workloadSelector?.labels === undefined;
  return own.find(plain) ?? byAge(listOf(read, "Sidecar", meshConfigOf(read).rootNamespace)).find(plain);
}
