import { s } from "../../schema/index.ts";

/** core/v1 Secret; `data` is base64, `stringData` is plain and folded into `data` when decoded. */
export const secretBody = s.object({
  type: s.string(),
  data: s.map(s.string()),
  stringData: s.map(s.string()),
  immutable: s.boolean(),
});
