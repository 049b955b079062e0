import { s } from "../../schema/index.ts";

/** core/v1 ConfigMap. The one named `istio` in the root namespace holds the mesh configuration under key `mesh`. */
export const configMapBody = s.object({
  data: s.map(s.string()),
  binaryData: s.map(s.string()),
  immutable: s.boolean(),
});
