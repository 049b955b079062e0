import type { Exchange } from "@lateen/proxy";
import { type HeadView, hashName } from "@lateen/traffic";
import type { JwtProviderSpec } from "./config.ts";

/** A token that a request carries, and how to take it out. */
export interface Found {
  readonly text: string;
  /** Header to drop when the token is not for the application. */
  readonly header?: string;
  /** Query parameter likewise. */
  readonly param?: string;
}

/** Finds all tokens that are where a provider looks for them: headers, then parameters, then cookies. */
export type Finder = (exchange: Exchange) => readonly Found[];

const BEARER = { name: "authorization", prefix: "Bearer " };

export function tokenFinder({ fromHeaders, fromParams, fromCookies }: JwtProviderSpec): Finder {
  const own = fromHeaders.length + fromParams.length + fromCookies.length > 0;
  const headers = (own ? fromHeaders : [BEARER]).map(({ name, prefix }) => ({ ...headerName(name), prefix }));
  const params = own ? fromParams : ["access_token"];
  const cookie = headerName("cookie");
  return ({ request }) => {
    const found: Found[] = [];
    for (const { name, bytes, hash, prefix } of headers) {
      const value = joined(request, bytes, hash);
      const at = value === undefined ? -1 : value.indexOf(prefix);
      if (value === undefined || at < 0) continue;
      found.push({ text: value.slice(at + prefix.length).trim(), header: name });
    }
    if (params.length > 0 && request.queryStart < request.pathEnd) {
      const query = new URLSearchParams(request.text(request.queryStart + 1, request.pathEnd));
      for (const param of params) for (const text of query.getAll(param).slice(0, 1)) found.push({ text, param });
    }
    if (fromCookies.length > 0) found.push(...cookies(joined(request, cookie.bytes, cookie.hash, "; "), fromCookies));
    return found;
  };
}

function headerName(name: string) {
  return { name, bytes: new TextEncoder().encode(name), hash: hashName(name) };
}

function joined(head: HeadView, name: Uint8Array, hash: number, separator = ","): string | undefined {
  let at = head.find(name, hash);
  if (at < 0) return undefined;
  let text = head.valueText(at);
  for (at = head.next(name, hash, at + 1); at >= 0; at = head.next(name, hash, at + 1)) {
    text += separator + head.valueText(at);
  }
  return text;
}

function cookies(header: string | undefined, names: readonly string[]): readonly Found[] {
  const values = new Map<string, string>();
  for (const pair of (header ?? "").split(";")) {
    const equals = pair.indexOf("=");
    const name = pair.slice(0, equals).trim();
    if (equals > 0 && !values.has(name))
      values.set(
        name,
        pair
          .slice(equals + 1)
          .trim()
          .replace(/^"(.*)"$/, "$1"),
      );
  }
  return names.flatMap((name) => {
    const text = values.get(name);
    return text === undefined ? [] : [{ text }];
  });
}

/** The path without a query parameter; the others stay as they were sent. */
export function withoutParam(path: string, param: string): string {
  const question = path.indexOf("?");
  if (question < 0) return path;
  const kept = path
    .slice(question + 1)
    .split("&")
    .filter((part) => !new URLSearchParams(part).has(param));
  return kept.length === 0 ? path.slice(0, question) : `${path.slice(0, question)}?${kept.join("&")}`;
}
