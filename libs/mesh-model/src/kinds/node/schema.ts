import { s } from "../../schema/index.ts";

/** core/v1 Node; only its labels matter, which say where it is. */
export const nodeBody = s.object({ spec: s.any(), status: s.any() });
