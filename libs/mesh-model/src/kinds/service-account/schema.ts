import { s } from "../../schema/index.ts";

/** core/v1 ServiceAccount. */
export const serviceAccountBody = s.object({
  secrets: s.any(),
  imagePullSecrets: s.any(),
  automountServiceAccountToken: s.boolean(),
});
