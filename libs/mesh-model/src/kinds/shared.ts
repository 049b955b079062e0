import { s } from "../schema/index.ts";

/** istio.networking StringMatch: exactly one of the fields; an empty object means presence where Istio says so. */
export const stringMatch = s.object({ exact: s.string(), prefix: s.string(), regex: s.string() });
/** Labels that a workload must all carry. */
export const workloadSelector = s.object({ matchLabels: s.map(s.string()), labels: s.map(s.string()) });
/** A non-negative count that fits proto's int32. */
export const count = s.integer({ min: 0, max: 2_147_483_647 });
export const port = s.integer({ min: 1, max: 65535 });
export const percent = s.object({ value: s.number({ min: 0, max: 100 }) });
export const headerOperations = s.object({
  set: s.map(s.string()),
  add: s.map(s.string()),
  remove: s.array(s.string()),
});
export const headers = s.object({ request: headerOperations, response: headerOperations });
export const destination = s.object({
  host: s.required(s.string()),
  subset: s.string(),
  port: s.object({ number: port }),
});
export const labels = s.map(s.string());
/** Kubernetes LabelSelector. */
export const labelSelector = s.object({
  matchLabels: labels,
  matchExpressions: s.array(
    s.object({
      key: s.required(s.string()),
      operator: s.required(s.oneOf(["In", "NotIn", "Exists", "DoesNotExist"])),
      values: s.array(s.string()),
    }),
  ),
});
export const LATER = "this release of Lateen does not implement it yet";
