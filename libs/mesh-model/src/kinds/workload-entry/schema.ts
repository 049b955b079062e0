import { s } from "../../schema/index.ts";
import { count, labels, port } from "../shared.ts";

const workloadEntryFields = {
  address: s.string(),
  ports: s.map(port),
  labels,
  network: s.string(),
  locality: s.string(),
  weight: count,
  serviceAccount: s.string(),
};
/** The spec of a WorkloadEntry, also an inline endpoint of a ServiceEntry. */
export const workloadEntrySpec = s.object(workloadEntryFields);
/** networking.istio.io WorkloadEntry. */
export const workloadEntryBody = s.object({
  spec: s.required(workloadEntrySpec),
  /** Holds condition `Healthy` of entries whose workloads are asked how they are. */
  status: s.any(),
});
