import type { CollectedBody, Exchange, FilterContext } from "@lateen/proxy";
import { compileTextMatch, utf8Text, wireText } from "@lateen/traffic";
import {
  intOf,
  messageOf,
  readMessage,
  readStruct,
  textOf,
  type WireField,
  WireWriter,
  writeStruct,
} from "../common/wire.ts";
import type { BodySettings, ExtAuthzConfig } from "./config.ts";
import type { AuthzVerdict, HeaderPair, ResponseHeader } from "./verdict.ts";

/** Tells the service whether it has all of the body. */
export const PARTIAL_BODY = "x-envoy-auth-partial-body";

/** The request's headers that the service may see, by lower-case name, repeated ones joined. */
export function visibleHeaders(config: ExtAuthzConfig): (exchange: Exchange) => Map<string, string> {
  const allowed = config.allowedHeaders?.map(compileTextMatch);
  const disallowed = config.disallowedHeaders.map(compileTextMatch);
  const visible = (name: string) =>
    (allowed === undefined || allowed.some((matches) => matches(name))) && !disallowed.some((matches) => matches(name));
  return (exchange) => {
    const { request } = exchange;
    const headers = new Map<string, string>();
    const put = (name: string, value: string) => {
      if (!visible(name)) return;
      const known = headers.get(name);
      headers.set(name, known === undefined ? value : `${known},${value}`);
    };
    put(":authority", text(exchange, request.authorityStart, request.authorityEnd));
    put(":path", text(exchange, request.pathStart, request.pathEnd));
    put(":method", text(exchange, request.methodStart, request.methodEnd));
    put(":scheme", exchange.scheme);
    for (let i = 0; i < request.count; i++) {
      // Headers that were taken away have no hash: they are not there.
      if (request.nameHashes[i] === 0) continue;
      const name = request.nameText(i);
      if (!HOP.has(name)) put(name, text(exchange, request.offsets[i * 4 + 2] ?? 0, request.offsets[i * 4 + 3] ?? 0));
    }
    for (const name of ["x-forwarded-proto", "x-request-id", "x-forwarded-for", "x-forwarded-client-cert"]) {
      const value = headers.has(name) ? undefined : exchange.requestEdits.textOf(name);
      if (value !== undefined) put(name, value);
    }
    return headers;
  };
}

function text({ request }: Exchange, start: number, end: number): string {
  return utf8Text(request.bytes, start, end).replaceAll("\uFFFD", "!");
}

/** Of the connection, not of the request. */
const HOP = new Set(["host", "connection", "keep-alive", "proxy-connection"]);

export interface CheckFacts {
  readonly headers: ReadonlyMap<string, string>;
  readonly body: CollectedBody | undefined;
  readonly bodySettings: BodySettings | undefined;
  readonly contextExtensions: Readonly<Record<string, string>>;
}

/** @see envoy.service.auth.v3.CheckRequest */
export function checkRequest(
  exchange: Exchange,
  config: ExtAuthzConfig,
  context: FilterContext,
  facts: CheckFacts,
): Buffer {
  const { info, peer } = exchange;
  const localPrincipal = info.secure ? context.self.principal : "";
  const certificate = config.includePeerCertificate ? (info.peer?.pem ?? "") : "";
  const attributes = (out: WireWriter): void => {
    out.message(1, (source) => {
      writePeer(source, peer.remoteAddress, peer.remoteAddress === info.sourceAddress ? info.sourcePort : 0);
      source.text(4, peer.principal ?? "").text(5, certificate === "" ? "" : encodeURIComponent(certificate));
    });
    out.message(2, (destination) => {
      writePeer(destination, info.destinationAddress, info.destinationPort);
      destination.text(4, localPrincipal);
    });
    out.message(4, (request) => writeRequest(request, exchange, facts));
    for (const [key, value] of Object.entries(facts.contextExtensions)) out.entry(10, key, value);
    out.message(11, (metadata) => {
      for (const name of config.metadataNamespaces) writeNamespace(metadata, name, exchange.metadata(name));
    });
    if (config.includeTlsSession && info.secure) out.message(12, (session) => session.text(1, info.serverName));
    if (config.routeMetadataNamespaces.length > 0) {
      const ofRoute = exchange.route?.route.spec.metadata ?? {};
      out.message(13, (metadata) => {
        for (const name of config.routeMetadataNamespaces) writeNamespace(metadata, name, ofRoute[name]);
      });
    }
  };
  return new WireWriter().message(1, attributes).finish();
}

function writePeer(out: WireWriter, address: string, port: number): void {
  out.message(1, (core) => core.message(1, (socket) => socket.text(2, address).int(3, port)));
}

function writeNamespace(out: WireWriter, name: string, value: Readonly<Record<string, unknown>> | undefined): void {
  if (value === undefined) return;
  out.message(1, (entry) => entry.text(1, name).message(2, (struct) => writeStruct(struct, value)));
}

function writeRequest(out: WireWriter, exchange: Exchange, { headers, body, bodySettings }: CheckFacts): void {
  const { request } = exchange;
  const seconds = Math.floor(exchange.startTimeMs / 1000);
  const nanos = Math.round((exchange.startTimeMs - seconds * 1000) * 1_000_000);
  const bytes = bodyBytes(body, bodySettings);
  out.message(1, (time) => time.int(1, seconds).int(2, nanos));
  out.message(2, (http) => {
    http.text(1, exchange.requestId).text(2, request.text(request.methodStart, request.methodEnd));
    for (const [name, value] of headers) http.entry(3, name, value);
    if (body !== undefined) http.entry(3, PARTIAL_BODY, String(isPartial(body, bodySettings)));
    http.text(4, text(exchange, request.pathStart, request.pathEnd));
    http.text(5, text(exchange, request.authorityStart, request.authorityEnd));
    http.text(6, exchange.scheme);
    http.int(9, body?.bytes.length ?? 0);
    http.text(10, exchange.protocol);
    if (bytes === undefined) return;
    if (bodySettings?.asBytes === true) http.bytes(12, bytes);
    else http.text(11, bytes.toString("utf8").replaceAll("\uFFFD", "!"));
  });
}

/** As much of the body as the service may see. */
export function bodyBytes(body: CollectedBody | undefined, settings: BodySettings | undefined): Buffer | undefined {
  return settings === undefined ? body?.bytes : body?.bytes.subarray(0, settings.maxBytes);
}

export function isPartial({ bytes, complete }: CollectedBody, settings: BodySettings | undefined): boolean {
  return !complete || (settings !== undefined && bytes.length > settings.maxBytes);
}

/** @see envoy.service.auth.v3.CheckResponse */
export function readCheckResponse(bytes: Buffer): AuthzVerdict {
  try {
    const response = readMessage(bytes);
    const metadata = messageOf(response, 4);
    const dynamic = metadata === undefined ? undefined : readStruct(metadata);
    return intOf(messageOf(response, 1) ?? [], 1) === 0
      ? okVerdict(messageOf(response, 3) ?? [], dynamic)
      : deniedVerdict(messageOf(response, 2) ?? [], dynamic);
  } catch {
    return { kind: "error", timeout: false, detail: "malformed answer" };
  }
}

function okVerdict(ok: readonly WireField[], dynamic: Readonly<Record<string, unknown>> | undefined): AuthzVerdict {
  const options = all(ok, 2).map(headerOption);
  const old = messageOf(ok, 3);
  return {
    kind: "ok",
    set: options.filter(({ append }) => append !== true).map(pair),
    append: options.filter(({ append }) => append === true).map(pair),
    add: [],
    remove: all(ok, 5).map((field) => field.bytes.toString("utf8").toLowerCase()),
    response: all(ok, 6).map(headerOption).map(responseHeader),
    querySet: all(ok, 7).map((field) => {
      const parts = readMessage(field.bytes);
      return [textOf(parts, 1), textOf(parts, 2)] as const;
    }),
    queryRemove: all(ok, 8).map((field) => field.bytes.toString("utf8")),
    metadata: dynamic ?? (old === undefined ? undefined : readStruct(old)),
  };
}

function deniedVerdict(
  denied: readonly WireField[],
  metadata: Readonly<Record<string, unknown>> | undefined,
): AuthzVerdict {
  const options = all(denied, 2).map(headerOption);
  const status = intOf(messageOf(denied, 1) ?? [], 1);
  return {
    kind: "denied",
    status: status >= 200 && status < 600 ? status : 403,
    body: textOf(denied, 3),
    set: options.filter(({ append }) => append !== true).map(pair),
    append: options.filter(({ append }) => append === true).map(pair),
    metadata,
  };
}

function all(fields: readonly WireField[], number: number): readonly WireField[] {
  return fields.filter((field) => field.number === number);
}

interface HeaderOption {
  readonly name: string;
  readonly value: string;
  /** The deprecated wrapper; undefined: not given. */
  readonly append: boolean | undefined;
  readonly action: number;
}

/** @see envoy.config.core.v3.HeaderValueOption */
function headerOption(field: WireField): HeaderOption {
  const option = readMessage(field.bytes);
  const header = messageOf(option, 1) ?? [];
  const append = messageOf(option, 2);
  const raw = header.findLast(({ number }) => number === 3)?.bytes.toString("latin1") ?? "";
  const value = textOf(header, 2);
  return {
    name: textOf(header, 1).toLowerCase(),
    value: value === "" ? raw : wireText(value),
    append: append === undefined ? undefined : intOf(append, 1) !== 0,
    action: intOf(option, 3),
  };
}

function pair({ name, value }: HeaderOption): HeaderPair {
  return [name, value];
}

const ACTIONS = ["append", "addIfAbsent", "overwrite", "overwriteIfPresent"] as const;

function responseHeader({ name, value, append, action }: HeaderOption): ResponseHeader {
  if (append !== undefined) return { name, value, action: append ? "append" : "overwrite" };
  return { name, value, action: ACTIONS[action] ?? "append" };
}
