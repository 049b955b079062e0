import { createPrivateKey, sign } from "node:crypto";
import { parse, parseAllDocuments } from "yaml";
import type { Ask } from "../harness/http.ts";
import { generator } from "./case.ts";

/** A call of a golden; see the README of the goldens. */
export interface GoldenCall {
  readonly from: string;
  readonly request: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Instead of a line of its own, on a connection of bytes. */
  readonly bytes?: string;
}

/** One request of a workload, or bytes that are none. */
export interface GoldenAsk {
  readonly from: string;
  readonly scheme: "http" | "https" | "tcp";
  /** What the client believes that it connects to. */
  readonly host: string;
  readonly port: number;
  /** Name in the handshake. */
  readonly serverName?: string;
  readonly ask: Ask;
  /** What is sent instead of a request: a line, or what the call says. */
  readonly bytes?: string;
}

/** Values that the objects of a case match on, and some that come near. */
interface Values {
  readonly paths: Set<string>;
  readonly hosts: Set<string>;
  readonly methods: Set<string>;
  readonly queries: Set<string>;
  readonly headers: Map<string, Set<string>>;
}

const PORTS = { http: 80, https: 443, tcp: 0 } as const;
const REQUEST = /^(?:([A-Za-z]+)\s+)?(https?|tcp):\/\/([^/:?#]+)(?::(\d+))?(\S*)$/;

/** Where a case without calls is asked. */
const USUAL: readonly GoldenCall[] = [
  { from: "web-v1", request: "http://reviews:9080/" },
  { from: "caller-v1", request: "http://web.default:9080/" },
  { from: "web-v1", request: "tcp://db:5432" },
  { from: "istio-ingressgateway", request: "http://web.example/" },
];

/** The calls of a case as they are written; a case without any gets the usual ones. */
export function callsOf(text: string): readonly GoldenAsk[] {
  const { calls = [] } = parse(text) as { readonly calls?: readonly GoldenCall[] };
  return (calls.length === 0 ? USUAL : calls).map(asked);
}

function asked({ from, request, headers = {}, claims, bytes }: GoldenCall): GoldenAsk {
  const [, method = "GET", scheme = "http", host = "", port, rest = ""] = REQUEST.exec(request) ?? [];
  const of = scheme as keyof typeof PORTS;
  const at = port === undefined ? PORTS[of] : Number(port);
  const token = claims === undefined ? {} : tokenHeaders(claims);
  return {
    from: from.split(".")[0] ?? from,
    scheme: of,
    host,
    port: at,
    ...(of === "https" ? { serverName: host } : {}),
    ...(of === "tcp" ? { bytes: bytes ?? "some text\n" } : {}),
    ask: {
      method: method.toUpperCase(),
      path: rest === "" ? "/" : rest.startsWith("?") ? `/${rest}` : rest,
      headers: { host: at === PORTS[of] ? host : `${host}:${at}`, ...token, ...headers },
    },
  };
}

/** The key pair of RFC 7515, appendix A.3: goldens name its public half. */
const EXAMPLE_KEY = createPrivateKey({
  format: "jwk",
  key: {
    kty: "EC",
    crv: "P-256",
    x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    d: "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
  },
});

function tokenHeaders(claims: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${base64({ alg: "ES256", kid: "a" })}.${base64(claims)}`;
  const signature = sign("sha256", Buffer.from(text), { key: EXAMPLE_KEY, dsaEncoding: "ieee-p1363" });
  const token = `Bearer ${text}.${signature.toString("base64url")}`;
  return { authorization: token, "x-token": token };
}

/**
 * The calls of a case, then requests that are drawn from them, from what the case's objects match on, and from what comes near to that.
 * @param count how many in all; the calls themselves are always among them.
 */
export function asksOf(calls: readonly GoldenAsk[], input: string, count: number): readonly GoldenAsk[] {
  const values = valuesIn(input, calls);
  const random = generator(11);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const lists = {
    paths: [...values.paths].flatMap(near),
    hosts: [...values.hosts].flatMap((host) => [host, host.toUpperCase(), `not-${host}`]),
    methods: [...values.methods],
    queries: [...values.queries],
    headers: [...values.headers].flatMap(([name, texts]) =>
      [...texts].flatMap((text) => [text, ...beside(text)].map((one) => [name, one] as const)),
    ),
  };
  const asks = [...calls];
  while (asks.length < count) {
    const from = pick(calls);
    asks.push(from.scheme === "tcp" ? from : varied(from));
  }
  return asks;

  function varied(from: GoldenAsk): GoldenAsk {
    const { host = "", ...kept } = from.ask.headers ?? {};
    const headers: Record<string, string> = random() < 0.7 ? { ...kept } : {};
    for (let more = Math.floor(random() * 3); more > 0 && lists.headers.length > 0; more--) {
      const [name, text] = pick(lists.headers);
      if (name !== "host") headers[name] = text;
    }
    let path = random() < 0.6 ? pick(lists.paths) : (from.ask.path ?? "/");
    if (lists.queries.length > 0 && random() < 0.3) path += `${path.includes("?") ? "&" : "?"}${pick(lists.queries)}`;
    const other = random() < 0.25 ? pick(lists.hosts) : undefined;
    const method = random() < 0.3 ? pick(lists.methods) : (from.ask.method ?? "GET");
    const body = method === "POST" || method === "PUT" ? { body: "some text" } : {};
    return {
      ...from,
      // What a client of HTTPS calls a host, it calls it in both places.
      ...(other !== undefined && from.serverName !== undefined ? { serverName: other.toLowerCase() } : {}),
      ask: { method, path, headers: { host: other ?? host, ...headers }, ...body },
    };
  }
}

function near(path: string): readonly string[] {
  const [bare = "/"] = path.split("?");
  const around = [`${bare}/`, `${bare}x`, `${bare}/x?y=z`, bare.toUpperCase(), `${bare}?q=1`, `/x${bare}`];
  return [
    path,
    ...around,
    ...(bare.length > 2 ? [bare.slice(0, -1), `${bare}/../x`, bare.replace("/", "//")] : []),
  ].filter((one) => !/[\s"<>]/.test(one));
}

/**
 * Values that come near to one of a header. A token whose signature is a character too long is refused by our proxy and taken by Envoy,
 * which drops bits that make no byte; ours is meant.
 */
function beside(text: string): readonly string[] {
  const signed = /^(Bearer [\w-]+\.[\w-]+\.)(.)([\w-]+)$/.exec(text);
  if (signed === null) return [`${text}x`, text.slice(0, -1)];
  const [, before = "", first, after = ""] = signed;
  return [`${before}${first === "A" ? "B" : "A"}${after}`, text.slice(0, -1)];
}

/** A text that the expression probably takes; others do no harm. */
function sample(regex: string): string {
  return regex
    .replace(/\(\?i\)|[\^$()]/g, "")
    .replace(/\[0-9\][+*]?|\\d[+*]?/g, "12")
    .replace(/\[[^\]]*\][+*]?(\{\d+\})?/g, "ab")
    .replace(/\.[+*]/g, "x")
    .replace(/\\(.)/g, "$1")
    .replace(/\|.*$/, "")
    .replace(/[?+*]/g, "");
}

function valuesIn(input: string, calls: readonly GoldenAsk[]): Values {
  const values: Values = {
    paths: new Set(["/", "/a"]),
    hosts: new Set(),
    methods: new Set(["GET", "POST", "DELETE"]),
    queries: new Set(),
    headers: new Map([["x-nothing", new Set(["1"])]]),
  };
  for (const document of parseAllDocuments(input)) collect(document.toJS({ maxAliasCount: -1 }), values);
  for (const { host, ask } of calls) {
    const [path = "/", query] = (ask.path ?? "/").split("?");
    values.paths.add(path);
    if (query) values.queries.add(query);
    values.hosts.add(ask.headers?.host ?? host);
    values.methods.add(ask.method ?? "GET");
    for (const [name, text] of Object.entries(ask.headers ?? {})) header(values, name, text);
  }
  return values;
}

function header({ headers }: Values, name: string, text: string): void {
  if (name.toLowerCase() === "host" || !/^[\w-]+$/.test(name)) return;
  headers.set(name, (headers.get(name) ?? new Set()).add(text));
}

/** What a StringMatch, a match of the Gateway API, or a text stands for. */
function textsOf(match: unknown): readonly string[] {
  if (typeof match === "string") return [match.replaceAll("*", "x")];
  if (typeof match !== "object" || match === null) return [];
  const { exact, prefix, suffix, regex, value, type } = match as Readonly<Record<string, unknown>>;
  if (typeof value === "string") return [type === "RegularExpression" ? sample(value) : value];
  return [exact, prefix, suffix, typeof regex === "string" ? sample(regex) : undefined].filter(
    (one): one is string => typeof one === "string",
  );
}

type Reader = (value: unknown, values: Values) => void;
const listed = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);
const paths: Reader = (value, values) => {
  for (const text of listed(value).flatMap(textsOf)) values.paths.add(text.startsWith("/") ? text : `/${text}`);
};
const hosts: Reader = (value, values) => {
  for (const text of listed(value).flatMap(textsOf)) {
    const name = text.split("/").at(-1) ?? text;
    // A port that is no number is refused by our proxy, meant as a hardening, and passed on by Envoy.
    if (/^[\w.-]+(:\d+)?$/.test(name)) values.hosts.add(name);
  }
};
const methods: Reader = (value, values) => {
  for (const text of listed(value).flatMap(textsOf)) {
    // What CONNECT asks for is an authority, which no path of these is.
    if (/^[A-Z]+$/.test(text) && text !== "CONNECT") values.methods.add(text);
  }
};
/** Names with what they must be, as an object or as a list of the Gateway API. */
const named = (value: unknown): readonly (readonly [string, string])[] =>
  Array.isArray(value)
    ? value.flatMap((one: { readonly name?: unknown }) =>
        typeof one?.name === "string" ? textsOf(one).map((text) => [String(one.name), text] as const) : [],
      )
    : typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([name, match]) => {
          const texts = typeof match === "object" ? textsOf(match) : [];
          return (texts.length === 0 ? ["1"] : texts).map((text) => [name, text] as const);
        })
      : [];
const headers: Reader = (value, values) => {
  for (const [name, text] of named(value)) if (name !== "request" && name !== "response") header(values, name, text);
};
const queries: Reader = (value, values) => {
  for (const [name, text] of named(value)) values.queries.add(`${name}=${encodeURIComponent(text)}`);
};
const READERS: Readonly<Record<string, Reader>> = {
  uri: paths,
  path: paths,
  paths,
  notPaths: paths,
  hosts,
  notHosts: hosts,
  hostnames: hosts,
  authority: hosts,
  sniHosts: hosts,
  method: methods,
  methods,
  notMethods: methods,
  headers,
  withoutHeaders: headers,
  queryParams: queries,
};

function collect(node: unknown, values: Values): void {
  if (Array.isArray(node)) {
    for (const one of node) collect(one, values);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    READERS[key]?.(value, values);
    collect(value, values);
  }
}
