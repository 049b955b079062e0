import type { Infer } from "./schema/index.ts";
import { s } from "./schema/index.ts";

/** Kubernetes ObjectMeta, as far as people write it. Server-managed fields are accepted and kept. */
export const objectMetaSchema = s.object({
  name: s.string(),
  generateName: s.string(),
  namespace: s.string(),
  labels: s.map(s.string()),
  annotations: s.map(s.string()),
  creationTimestamp: s.string(),
  deletionTimestamp: s.string(),
  deletionGracePeriodSeconds: s.integer(),
  resourceVersion: s.string(),
  uid: s.string(),
  generation: s.integer(),
  finalizers: s.array(s.string()),
  ownerReferences: s.any(),
  managedFields: s.any(),
  selfLink: s.string(),
});

/** Metadata of a decoded object: the name is always there, the namespace for namespaced kinds (default `default`). */
export interface ObjectMeta extends Infer<typeof objectMetaSchema> {
  readonly name: string;
  readonly namespace: string;
}
