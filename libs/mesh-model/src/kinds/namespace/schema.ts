import { s } from "../../schema/index.ts";

/** core/v1 Namespace. */
export const namespaceBody = s.object({ spec: s.any(), status: s.any() });
