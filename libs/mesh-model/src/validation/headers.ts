import type { headerOperations, headers } from "../kinds/shared.ts";
import type { Infer } from "../schema/index.ts";
import type { Check } from "./check.ts";

/** RFC 9110 §5.6.2 token. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What a percent sign may begin: `%%`, or `%OPERATOR(arguments):length%`. */
const OPERATOR = /%%|%[A-Z][A-Z0-9_]{0,63}(?:\([^)]{0,1024}\))?(?::\d{1,9})?%/y;

export function isHeaderName(name: string): boolean {
  return TOKEN.test(name);
}

/** `headers` of a route or destination. */
export function checkHeaders(value: Infer<typeof headers> | undefined, check: Check): void {
  checkOperations(value?.request, check.at("request"), true);
  checkOperations(value?.response, check.at("response"), false);
}

function checkOperations(operations: Infer<typeof headerOperations> | undefined, check: Check, request: boolean): void {
  for (const kind of ["set", "add"] as const) {
    for (const [name, value] of Object.entries(operations?.[kind] ?? {})) {
      const at = check.at(kind, name);
      const rewritesHost = request && kind === "set" && name.toLowerCase() === ":authority";
      if (!rewritesHost && !isHeaderName(name)) at.error(`"${name}" is not a header name`, { part: "key" });
      if (name.toLowerCase() === "host" && !(request && kind === "set")) {
        at.error(request ? "host can be set, not added" : "responses have no host", { part: "key" });
      }
      checkValue(value, at);
    }
  }
  for (const [index, name] of (operations?.remove ?? []).entries()) {
    const at = check.at("remove", index);
    if (!isHeaderName(name)) at.error(`"${name}" is not a header name`);
    else if (name.toLowerCase() === "host") at.error("host cannot be removed");
  }
}

function checkValue(value: string, check: Check): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: -- these are what a header value must not contain
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value))
    check.error("a header value must not contain control characters");
  else if (!isFormat(value)) {
    check.error(`"${value}" is not a valid header value: "%" begins an operator such as %REQ(name)%`, {
      hint: `write "%%" for a percent sign`,
    });
  }
}

/** Looks at the percent signs only: a pattern over the whole of a long value would end the engine's stack. */
function isFormat(value: string): boolean {
  for (let at = value.indexOf("%"); at >= 0; at = value.indexOf("%", OPERATOR.lastIndex)) {
    OPERATOR.lastIndex = at;
    if (!OPERATOR.test(value)) return false;
  }
  return true;
}
