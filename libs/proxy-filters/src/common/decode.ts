import {
  HeaderValueOption_HeaderAppendAction as Action,
  type HeaderValueOption,
  type RuntimeFractionalPercent,
} from "@lateen/proto/envoy/config/core/v3/base";
import type { HttpStatus } from "@lateen/proto/envoy/type/v3/http_status";
import { fractionOf, join, refuse } from "@lateen/proxy";
import type { HeaderMutation } from "./header-mutations.ts";

/** A status to answer with: error statuses only, as Envoy; others and none give `fallback`. */
export function errorStatus(status: HttpStatus | undefined, fallback: number): number {
  return status === undefined || status.code < 400 ? fallback : status.code;
}

/** The default of a runtime fraction, which this proxy cannot override; `fallback` without one. */
export function fraction(value: RuntimeFractionalPercent | undefined, fallback: number): number {
  return value === undefined ? fallback : fractionOf(value.defaultValue);
}

const ACTIONS = new Map([
  [Action.APPEND_IF_EXISTS_OR_ADD, "append"],
  [Action.ADD_IF_ABSENT, "addIfAbsent"],
  [Action.OVERWRITE_IF_EXISTS_OR_ADD, "overwrite"],
  [Action.OVERWRITE_IF_EXISTS, "overwriteIfPresent"],
] as const);

/** How the message is framed and who may read it is the proxy's word; these cannot be changed. */
const FRAMING = new Set(["connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te"]);
const PSEUDO = new Set([":path", ":authority"]);

/** @see envoy.config.core.v3.HeaderValueOption */
export function headerValueOption(option: HeaderValueOption, at: string): HeaderMutation {
  const name = headerName(option.header?.key ?? "", join(at, "header.key"));
  const { value = "", rawValue } = option.header ?? {};
  const action =
    option.append === undefined
      ? (ACTIONS.get(option.appendAction as 0) ??
        refuse(join(at, "append_action"), `${option.appendAction} is unknown`))
      : option.append
        ? "append"
        : "overwrite";
  const text = value === "" && rawValue !== undefined ? rawValue.toString("utf8") : value;
  return { kind: "put", name, value: text, action, keepEmpty: option.keepEmptyValue };
}

/** A header that filters may put or take away, in lower case. */
export function headerName(name: string, at: string): string {
  const lower = name.toLowerCase();
  if (lower === "") return refuse(at, "required");
  if (FRAMING.has(lower)) return refuse(at, `${lower} cannot be changed by this proxy`);
  if (lower.startsWith(":") && !PSEUDO.has(lower)) return refuse(at, `${lower} cannot be changed by this proxy`);
  return lower;
}
