import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  type HeaderValueOption,
} from "@lateen/proto/envoy/config/core/v3/base";
import { type HeaderEditSpec, type HeaderValueSpec, NO_HEADER_EDITS } from "@lateen/traffic";
import { refuse } from "./fields.ts";

/** Which edits a route, host or cluster asks for; names are lower-cased. @see envoy.config.core.v3.HeaderValueOption */
export function headerEdits(add: readonly HeaderValueOption[], removed: readonly string[], at: string): HeaderEditSpec {
  if (add.length === 0 && removed.length === 0) return NO_HEADER_EDITS;
  const set: HeaderValueSpec[] = [];
  const append: HeaderValueSpec[] = [];
  for (const [index, option] of add.entries()) {
    const header = option.header;
    if (header === undefined || header.key === "") {
      refuse(`${at}_to_add[${index}]`, "header.key is required");
      continue;
    }
    const value = header.value === "" ? header.rawValue.toString("latin1") : header.value;
    const edit: HeaderValueSpec = { name: header.key.toLowerCase(), value };
    (replaces(option, `${at}_to_add[${index}]`) ? set : append).push(edit);
  }
  return { set, append, remove: removed.map((name) => name.toLowerCase()) };
}

function replaces(option: HeaderValueOption, at: string): boolean {
  // The deprecated wrapper wins where it is given, as in Envoy.
  if (option.append !== undefined) return !option.append;
  switch (option.appendAction) {
    case AppendAction.APPEND_IF_EXISTS_OR_ADD:
      return false;
    case AppendAction.OVERWRITE_IF_EXISTS_OR_ADD:
      return true;
    default:
      return refuse(at, `append_action ${option.appendAction} is not supported by this proxy`);
  }
}
