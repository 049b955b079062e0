import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkRegex } from "../../validation/common.ts";
import { isHeaderName } from "../../validation/headers.ts";
import { checkBackend, checkHostname } from "./check-refs.ts";
import type { httpFilter, namedMatch } from "./filters.ts";

export type HttpFilter = Infer<typeof httpFilter>;
type Modifier = NonNullable<HttpFilter["requestHeaderModifier"]>;

/** A character of a path, RFC 3986 §3.3. */
const PATH = /^[-A-Za-z0-9/._~!$&'()*+,;=:@%]$/;

/** Whether all characters are those of a path. */
export function isPath(text: string): boolean {
  return [...text].every((character) => PATH.test(character));
}

/** The field that carries a filter's settings, by type. */
const FIELD = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestMirror: "requestMirror",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
  CORS: "cors",
  ExternalAuth: "externalAuth",
  ExtensionRef: "extensionRef",
} as const satisfies Record<HttpFilter["type"], keyof HttpFilter>;

const REDIRECT_CODES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The filters of a rule: each with its own settings and no others, and each type once (mirrors excepted). */
export function checkFilters(filters: readonly HttpFilter[] | undefined, check: Check): void {
  const seen = new Set<string>();
  for (const [index, filter] of (filters ?? []).entries()) {
    const at = check.at(index);
    const wanted = FIELD[filter.type];
    if (filter[wanted] === undefined) {
      at.error(`a filter of type ${filter.type} needs ${wanted}`, { code: codes.missingField });
    }
    for (const field of Object.values(FIELD)) {
      if (field !== wanted && filter[field] !== undefined) {
        at.at(field).error(`${field} does not belong to type ${filter.type}`, { code: codes.conflict, part: "key" });
      }
    }
    if (seen.has(filter.type) && filter.type !== "RequestMirror") {
      at.error(`a rule has at most one filter of type ${filter.type}`, { code: codes.duplicate });
    }
    seen.add(filter.type);
    checkFilter(filter, at);
  }
  if (seen.has("RequestRedirect") && seen.has("URLRewrite")) {
    check.error("RequestRedirect and URLRewrite exclude each other", { code: codes.conflict });
  }
}

/** Filters of one backend: only those that change headers can be honoured there. */
export function checkBackendFilters(filters: readonly HttpFilter[] | undefined, check: Check): void {
  checkFilters(filters, check);
  for (const [index, { type }] of (filters ?? []).entries()) {
    if (type === "RequestHeaderModifier" || type === "ResponseHeaderModifier") continue;
    check.at(index).error(`a filter of type ${type} is not supported for one backend; give it to the rule`, {
      code: codes.unsupported,
    });
  }
}

function checkFilter(filter: HttpFilter, check: Check): void {
  checkModifier(filter.requestHeaderModifier, check.at("requestHeaderModifier"));
  checkModifier(filter.responseHeaderModifier, check.at("responseHeaderModifier"));
  const { requestMirror: mirror, requestRedirect: redirect, urlRewrite } = filter;
  if (mirror !== undefined) {
    const at = check.at("requestMirror");
    checkBackend(mirror.backendRef, at.at("backendRef"));
    if (mirror.percent !== undefined && mirror.fraction !== undefined) {
      at.error("percent and fraction exclude each other", { code: codes.conflict });
    }
    const { numerator = 0, denominator = 100 } = mirror.fraction ?? {};
    if (numerator > denominator) at.at("fraction").error("the numerator must not be greater than the denominator");
  }
  if (redirect !== undefined) {
    const at = check.at("requestRedirect");
    checkHostname(redirect.hostname, at.at("hostname"));
    if (redirect.scheme !== undefined && redirect.scheme !== "http" && redirect.scheme !== "https") {
      at.at("scheme").error(`scheme must be http or https, not "${redirect.scheme}"`);
    }
    if (redirect.statusCode !== undefined && !REDIRECT_CODES.has(redirect.statusCode)) {
      at.at("statusCode").error(`${redirect.statusCode} is not one of ${[...REDIRECT_CODES].join(", ")}`);
    }
    checkPathModifier(redirect.path, at.at("path"));
  }
  if (urlRewrite !== undefined) {
    checkHostname(urlRewrite.hostname, check.at("urlRewrite", "hostname"));
    checkPathModifier(urlRewrite.path, check.at("urlRewrite", "path"));
  }
  checkCors(filter.cors, check.at("cors"));
}

/** `*`, or `scheme://host[:port]`, whose host may begin with `*.`. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/(\*\.)?[^/?#*\s]+$/i;

function checkCors(cors: HttpFilter["cors"], check: Check): void {
  for (const [index, origin] of (cors?.allowOrigins ?? []).entries()) {
    if (origin !== "*" && !ORIGIN.test(origin)) {
      check.at("allowOrigins", index).error(`"${origin}" is not "*" or an origin such as https://*.example.com`);
    }
  }
  for (const field of ["allowMethods", "allowHeaders", "exposeHeaders"] as const) {
    for (const [index, name] of (cors?.[field] ?? []).entries()) {
      if (!isHeaderName(name)) check.at(field, index).error(`"${name}" is not a name`);
    }
  }
}

function checkPathModifier(path: NonNullable<HttpFilter["urlRewrite"]>["path"], check: Check): void {
  if (path === undefined) return;
  const [wanted, other] =
    path.type === "ReplaceFullPath"
      ? (["replaceFullPath", "replacePrefixMatch"] as const)
      : (["replacePrefixMatch", "replaceFullPath"] as const);
  if (path[wanted] === undefined) {
    check.error(`type ${path.type} needs ${wanted}`, { code: codes.missingField });
  }
  const value = path[wanted] ?? "";
  if (!isPath(value)) {
    check.at(wanted).error(`"${value}" has a character that a path cannot have`);
  }
  if (path[other] !== undefined) {
    check.at(other).error(`${other} does not belong to type ${path.type}`, { code: codes.conflict, part: "key" });
  }
}

function checkModifier(modifier: Modifier | undefined, check: Check): void {
  if (modifier === undefined) return;
  const seen = new Set<string>();
  const name = (text: string, at: Check) => {
    if (!isHeaderName(text)) at.error(`"${text}" is not a header name`);
    else if (text.toLowerCase() === "host")
      at.error("host cannot be changed here", { hint: "use URLRewrite.hostname" });
    if (seen.has(text.toLowerCase())) {
      at.error(`header "${text}" is in more than one place: set, add and remove exclude each other for one header`, {
        code: codes.duplicate,
      });
    }
    seen.add(text.toLowerCase());
  };
  for (const kind of ["set", "add"] as const) {
    for (const [index, header] of (modifier[kind] ?? []).entries()) {
      name(header.name, check.at(kind, index, "name"));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: -- these are what a header value must not contain
      if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(header.value)) {
        check.at(kind, index, "value").error("a header value must not contain control characters");
      }
    }
  }
  for (const [index, text] of (modifier.remove ?? []).entries()) name(text, check.at("remove", index));
}

/** Matches of headers (`header` true) or query parameters; of one name only the first counts, so a second is a mistake. */
export function checkNamedMatches(matches: Infer<typeof namedMatch> | undefined, check: Check, header: boolean): void {
  const seen = new Set<string>();
  for (const [index, match] of (matches ?? []).entries()) {
    const at = check.at(index);
    const key = header ? match.name.toLowerCase() : match.name;
    if (header ? !isHeaderName(match.name) : match.name === "") at.at("name").error(`"${match.name}" is not a name`);
    if (seen.has(key)) at.at("name").error(`"${match.name}" is matched twice`, { code: codes.duplicate });
    seen.add(key);
    if (match.type === "RegularExpression") checkRegex(match.value, at.at("value"));
    else if (match.value === "" && header) at.at("value").error("a value must not be empty");
  }
}
