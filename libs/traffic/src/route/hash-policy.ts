import { combineHash, xxHash64 } from "../hash/xxhash64.ts";
import { bytesOf, hasAt, latin1Text } from "../head/bytes.ts";
import { type HeadView, hashName } from "../head/head.ts";
import type { HashPolicySpec } from "./spec.ts";

/** What a request's hash depends on besides its head. */
export interface HashClient {
  /** IP address of the client, without a port. */
  readonly address: string;
  /** A value for a new cookie; asked only when one is made. */
  cookieValue(): string;
}

export interface RequestHash {
  /** Undefined when no policy found its value: any endpoint will do. */
  readonly hash: bigint | undefined;
  /** Value of a `set-cookie` header for the response, when a cookie was made. */
  readonly setCookie: string | undefined;
}

type Found = { readonly value: Uint8Array; readonly setCookie?: string } | undefined;
type Finder = (head: HeadView, client: HashClient) => Found;

/**
 * Compiles the hash policies of a route: values are hashed in order and combined; a terminal policy that found its value ends
 * the list.
 * @see envoy.config.route.v3.RouteAction.HashPolicy
 */
export function compileHashPolicies(
  specs: readonly HashPolicySpec[],
): (head: HeadView, client: HashClient) => RequestHash {
  const policies = specs.map((spec) => ({ find: finder(spec), terminal: spec.terminal }));
  return (head, client) => {
    let hash: bigint | undefined;
    let setCookie: string | undefined;
    for (const { find, terminal } of policies) {
      const found = find(head, client);
      if (found !== undefined) {
        hash = combineHash(hash, xxHash64(found.value));
        setCookie ??= found.setCookie;
      }
      if (terminal && hash !== undefined) break;
    }
    return { hash, setCookie };
  };
}

function finder(spec: HashPolicySpec): Finder {
  switch (spec.kind) {
    case "sourceIp":
      return (_, client) => (client.address === "" ? undefined : { value: bytesOf(client.address) });
    case "header":
      return headerFinder(spec.name);
    case "query":
      return queryFinder(bytesOf(spec.name));
    case "cookie":
      return cookieFinder(spec);
  }
}

function headerFinder(name: string): Finder {
  if (name === ":authority" || name === "host") return slice((head) => [head.authorityStart, head.authorityEnd]);
  if (name === ":path") return slice((head) => [head.pathStart, head.pathEnd]);
  if (name === ":method") return slice((head) => [head.methodStart, head.methodEnd]);
  const bytes = bytesOf(name);
  const hash = hashName(name);
  return (head) => {
    const index = head.find(bytes, hash);
    return index < 0
      ? undefined
      : { value: head.bytes.subarray(head.offsets[index * 4 + 2], head.offsets[index * 4 + 3]) };
  };
}

function slice(range: (head: HeadView) => readonly [start: number, end: number]): Finder {
  return (head) => {
    const [start, end] = range(head);
    return start === end ? undefined : { value: head.bytes.subarray(start, end) };
  };
}

function queryFinder(name: Uint8Array): Finder {
  return (head) => {
    const { bytes, pathEnd } = head;
    for (let start = head.queryStart + 1; start < pathEnd; ) {
      const ampersand = bytes.subarray(start, pathEnd).indexOf(0x26);
      const end = ampersand < 0 ? pathEnd : start + ampersand;
      const fits = end - start >= name.length && hasAt(bytes, start, name);
      const after = start + name.length;
      if (fits && after === end) return { value: bytes.subarray(end, end) };
      if (fits && bytes[after] === 0x3d) return { value: bytes.subarray(after + 1, end) };
      start = end + 1;
    }
    return undefined;
  };
}

const COOKIE = bytesOf("cookie");
const COOKIE_HASH = hashName("cookie");

function cookieFinder(spec: Extract<HashPolicySpec, { kind: "cookie" }>): Finder {
  return (head, client) => {
    const sent = cookieIn(head, spec.name);
    if (sent !== "") return { value: Buffer.from(sent, "latin1") };
    if (spec.ttlSeconds === undefined) return undefined;
    const made = client.cookieValue();
    return { value: bytesOf(made), setCookie: setCookieLine(spec, made) };
  };
}

/** Value of a cookie without its quotes; empty when the request has none of that name. */
function cookieIn(head: HeadView, name: string): string {
  for (let i = head.find(COOKIE, COOKIE_HASH); i >= 0; i = head.next(COOKIE, COOKIE_HASH, i + 1)) {
    const text = latin1Text(head.bytes, head.offsets[i * 4 + 2] ?? 0, head.offsets[i * 4 + 3] ?? 0);
    for (const pair of text.split(";")) {
      const equals = pair.indexOf("=");
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      const value = pair.slice(equals + 1).trim();
      return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
    }
  }
  return "";
}

/** A lifetime of zero makes a session cookie. @see RFC 6265 §4.1 */
function setCookieLine(spec: Extract<HashPolicySpec, { kind: "cookie" }>, value: string): string {
  const age = spec.ttlSeconds === undefined || spec.ttlSeconds === 0 ? "" : `; Max-Age=${spec.ttlSeconds}`;
  const path = spec.path === "" ? "" : `; Path=${spec.path}`;
  const attributes = spec.attributes.map((entry) =>
    entry.value === "" ? `; ${entry.name}` : `; ${entry.name}=${entry.value}`,
  );
  return `${spec.name}="${value}"${age}${path}${attributes.join("")}; HttpOnly`;
}
