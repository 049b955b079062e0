import { objectMetaSchema } from "../../metadata.ts";
import { s } from "../../schema/index.ts";
import { podSpec } from "../pod/schema.ts";
import { labelSelector } from "../shared.ts";

/** apps/v1 StatefulSet. */
export const statefulSetBody = s.object({
  spec: s.required(
    s.object({
      serviceName: s.string(),
      replicas: s.integer({ min: 0 }),
      selector: s.required(labelSelector),
      template: s.required(s.object({ metadata: objectMetaSchema, spec: s.required(podSpec) })),
      podManagementPolicy: s.oneOf(["OrderedReady", "Parallel"]),
      updateStrategy: s.object({
        type: s.oneOf(["RollingUpdate", "OnDelete"]),
        rollingUpdate: s.object({ partition: s.integer({ min: 0 }), maxUnavailable: s.any() }),
      }),
      ordinals: s.object({ start: s.integer({ min: 0 }) }),
      volumeClaimTemplates: s.array(
        s.object({
          apiVersion: s.string(),
          kind: s.string(),
          metadata: s.required(s.object({ name: s.required(s.string()), labels: s.any(), annotations: s.any() })),
          spec: s.any(),
          status: s.any(),
        }),
      ),
      persistentVolumeClaimRetentionPolicy: s.any(),
      minReadySeconds: s.integer(),
      revisionHistoryLimit: s.integer(),
    }),
  ),
  status: s.any(),
});
