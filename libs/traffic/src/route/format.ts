/** A piece of a format string with `%…%` command operators. */
export type FormatPart =
  | { readonly kind: "text"; readonly text: string }
  | {
      readonly kind: "operator";
      /** `REQ`, `DOWNSTREAM_REMOTE_ADDRESS`, … */
      readonly name: string;
      /** Text between the parentheses, `:METHOD?X` in `%REQ(:METHOD?X)%`; empty without any. */
      readonly argument: string;
      /** `%REQ(X):10%` keeps ten characters. */
      readonly maxLength: number | undefined;
    };
export type FormatOperator = Extract<FormatPart, { kind: "operator" }>;

const OPERATOR = /%(?:%|([A-Z_0-9]+)(?:\(([^)]*)\))?(?::(\d+))?%)/g;

/**
 * Splits a format string of headers and access logs. `%%` is a percent sign; a `%` that starts no operator stays as it is.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators
 */
export function parseFormat(format: string): readonly FormatPart[] {
  const parts: FormatPart[] = [];
  let text = "";
  let at = 0;
  for (const match of format.matchAll(OPERATOR)) {
    text += format.slice(at, match.index);
    at = match.index + match[0].length;
    const [whole, name, argument, maxLength] = match;
    if (name === undefined) {
      text += whole === "%%" ? "%" : whole;
      continue;
    }
    if (text !== "") parts.push({ kind: "text", text });
    text = "";
    parts.push({
      kind: "operator",
      name,
      argument: argument ?? "",
      maxLength: maxLength === undefined ? undefined : Number(maxLength),
    });
  }
  text += format.slice(at);
  if (text !== "") parts.push({ kind: "text", text });
  return parts;
}
