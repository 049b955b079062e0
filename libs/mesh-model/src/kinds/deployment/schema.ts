import { objectMetaSchema } from "../../metadata.ts";
import { s } from "../../schema/index.ts";
import { podSpec } from "../pod/schema.ts";
import { labelSelector } from "../shared.ts";

/** apps/v1 Deployment. */
export const deploymentBody = s.object({
  spec: s.required(
    s.object({
      replicas: s.integer({ min: 0 }),
      selector: s.required(labelSelector),
      template: s.required(s.object({ metadata: objectMetaSchema, spec: s.required(podSpec) })),
      strategy: s.any(),
      minReadySeconds: s.integer(),
      revisionHistoryLimit: s.integer(),
      progressDeadlineSeconds: s.integer(),
      paused: s.boolean(),
    }),
  ),
  status: s.any(),
});
