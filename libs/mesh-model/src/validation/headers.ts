import type { headerOperations, headers } from "../kinds/shared.ts";
import type { Infer } from "../schema/index.ts";
import type { Check } from "./check.ts";
import { formatFindings } from "./formats.ts";

/** RFC 9110 §5.6.2 token. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

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

/** What becomes part of a header: a location, a path, an authority (RFC 9110 §5.5). */
export function checkHeaderText(value: string | undefined, check: Check): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: -- these are what a header value must not contain
  if (value !== undefined && /[\u0000-\u0008\u000a-\u001f\u007f]/.test(value))
    check.error("a header value must not contain control characters");
}

function checkValue(value: string, check: Check): void {
  checkHeaderText(value, check);
  for (const { text, known } of formatFindings(value)) {
    if (known === "envoy") check.warn(`only Envoy knows ${text}: Lateen's proxies leave it out`);
    else {
      check.error(`"${value}" is not a valid header value: "${text}" is no operator such as %REQ(name)%`, {
        hint: `write "%%" for a percent sign`,
      });
    }
  }
}
