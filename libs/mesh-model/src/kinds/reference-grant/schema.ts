import { s } from "../../schema/index.ts";

/** gateway.networking.k8s.io ReferenceGrant: who may refer to objects of its namespace. */
export const referenceGrantBody = s.object({
  spec: s.required(
    s.object({
      from: s.required(
        s.array(
          s.object({
            group: s.required(s.string()),
            kind: s.required(s.string()),
            namespace: s.required(s.string()),
          }),
        ),
      ),
      to: s.required(
        s.array(s.object({ group: s.required(s.string()), kind: s.required(s.string()), name: s.string() })),
      ),
    }),
  ),
});
