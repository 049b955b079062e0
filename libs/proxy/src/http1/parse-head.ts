import { MAX_HEADERS } from "@lateen/traffic";
import { COLON, CR, equalsIgnoreCase, HTAB, LF, SP, TOKEN, VALUE } from "./chars.ts";
import { type Http1Head, MAX_HEAD_BYTES } from "./head.ts";
import { isKnownName, K, knownByHash } from "./known-headers.ts";
import { parseTarget, validAuthority } from "./request-target.ts";

/** Outcomes of the parsers that are not an offset. */
export const INCOMPLETE = 0;
/** 400 with `head.error`. */
export const MALFORMED = -1;
/** 431. */
export const TOO_LARGE = -2;
/** A version we do not speak. */
export const BAD_VERSION = -3;

/**
 * Parses a request head that starts at `bytes[start]`. Answers the offset after the final empty line, or one of the outcomes
 * above. One pass, no strings. Everything ambiguous is refused, never repaired.
 * @see RFC 9112 §2–§6
 */
export function parseRequestHead(bytes: Uint8Array, start: number, end: number, head: Http1Head): number {
  head.reset();
  let at = start;
  // An empty line before the request line is tolerated once (RFC 9112 §2.2).
  if (at + 1 < end && bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  const limit = Math.min(end, start + MAX_HEAD_BYTES);
  const line = parseRequestLine(bytes, start, at, limit, head);
  if (line <= 0) return outcome(line, end, limit);
  const after = parseFields(bytes, start, line, limit, head);
  if (after <= 0) return outcome(after, end, limit);
  head.length = after - start;
  const refused = checkRequest(bytes, start, head);
  return refused === undefined ? after : refuse(head, refused);
}

/** Parses a response head in the same way. */
export function parseResponseHead(bytes: Uint8Array, start: number, end: number, head: Http1Head): number {
  head.reset();
  const limit = Math.min(end, start + MAX_HEAD_BYTES);
  const line = parseStatusLine(bytes, start, limit, head);
  if (line <= 0) return outcome(line, end, limit);
  const after = parseFields(bytes, start, line, limit, head);
  if (after <= 0) return outcome(after, end, limit);
  head.length = after - start;
  const refused = checkFraming(head);
  return refused === undefined ? after : refuse(head, refused);
}

function outcome(result: number, end: number, limit: number): number {
  return result === INCOMPLETE && limit < end ? TOO_LARGE : result;
}

function refuse(head: Http1Head, why: string): number {
  head.error = why;
  return MALFORMED;
}

function parseRequestLine(b: Uint8Array, start: number, from: number, end: number, head: Http1Head): number {
  let i = from;
  while (i < end && TOKEN[b[i] as number] !== 0) i++;
  if (i >= end) return INCOMPLETE;
  if (b[i] !== SP || i === from)
    return i === from && b[i] === CR && i + 1 >= end ? INCOMPLETE : refuse(head, "http1.invalid_method");
  head.methodStart = from - start;
  head.methodEnd = i - start;
  const target = ++i;
  while (i < end && (b[i] as number) > SP && b[i] !== 127) i++;
  if (i >= end) return INCOMPLETE;
  if (b[i] !== SP || i === target) return refuse(head, "http1.invalid_url");
  const targetEnd = i++;
  const version = parseVersion(b, i, end, head);
  if (version <= 0) return version;
  i = version;
  if (i + 1 >= end) return i < end && b[i] !== CR ? refuse(head, "http1.codec_error") : INCOMPLETE;
  if (b[i] !== CR || b[i + 1] !== LF) return refuse(head, "http1.codec_error");
  if (!parseTarget(b, start, target, targetEnd, head)) return refuse(head, "http1.invalid_url");
  return i + 2;
}

/** `HTTP/1.x`; answers the offset behind it. */
function parseVersion(b: Uint8Array, at: number, end: number, head: Http1Head): number {
  const text = "HTTP/";
  for (let k = 0; k < text.length; k++) {
    if (at + k >= end) return INCOMPLETE;
    if (b[at + k] !== text.charCodeAt(k)) return refuse(head, "http1.invalid_version");
  }
  if (at + 8 > end) return INCOMPLETE;
  const major = b[at + 5] as number;
  const minor = b[at + 7] as number;
  if (b[at + 6] !== 46 || major < 48 || major > 57 || minor < 48 || minor > 57) {
    return refuse(head, "http1.invalid_version");
  }
  if (major !== 49 || minor > 49) {
    head.error = "http1.invalid_version";
    return BAD_VERSION;
  }
  head.minor = minor - 48;
  return at + 8;
}

function parseStatusLine(b: Uint8Array, start: number, end: number, head: Http1Head): number {
  const version = parseVersion(b, start, end, head);
  if (version <= 0) return version;
  let i = version;
  if (i + 4 > end) return INCOMPLETE;
  if (b[i] !== SP) return refuse(head, "http1.codec_error");
  const hundreds = (b[i + 1] as number) - 48;
  const tens = (b[i + 2] as number) - 48;
  const ones = (b[i + 3] as number) - 48;
  if (hundreds < 1 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) {
    return refuse(head, "http1.invalid_status");
  }
  head.status = hundreds * 100 + tens * 10 + ones;
  i += 4;
  if (i >= end) return INCOMPLETE;
  if (b[i] !== SP && b[i] !== CR) return refuse(head, "http1.codec_error");
  while (i < end && VALUE[b[i] as number] !== 0) i++;
  if (i >= end) return INCOMPLETE;
  if (b[i] !== CR) return refuse(head, "http1.codec_error");
  if (i + 1 >= end) return INCOMPLETE;
  return b[i + 1] === LF ? i + 2 : refuse(head, "http1.codec_error");
}

function parseFields(b: Uint8Array, start: number, from: number, end: number, head: Http1Head): number {
  const offsets = head.offsets;
  let i = from;
  let count = 0;
  for (;;) {
    if (i >= end) return INCOMPLETE;
    if (b[i] === CR) {
      if (i + 1 >= end) return INCOMPLETE;
      if (b[i + 1] !== LF) return refuse(head, "http1.codec_error");
      head.count = count;
      return finishFields(b, start, head) ? i + 2 : MALFORMED;
    }
    const nameStart = i;
    let hash = 0x811c9dc5 | 0;
    let lower = 0;
    for (; i < end; i++) {
      lower = TOKEN[b[i] as number] as number;
      if (lower === 0) break;
      hash = Math.imul(hash ^ lower, 16777619);
    }
    if (i >= end) return INCOMPLETE;
    // Nothing may stand between name and colon, and no line may start with white space (obs-fold).
    if (b[i] !== COLON || i === nameStart) return refuse(head, "http1.invalid_characters");
    const nameEnd = i++;
    while (i < end && (b[i] === SP || b[i] === HTAB)) i++;
    const valueStart = i;
    while (i < end && VALUE[b[i] as number] !== 0) i++;
    if (i >= end) return INCOMPLETE;
    if (b[i] !== CR) return refuse(head, "http1.invalid_characters");
    if (i + 1 >= end) return INCOMPLETE;
    if (b[i + 1] !== LF) return refuse(head, "http1.invalid_characters");
    if (count >= MAX_HEADERS) {
      head.error = "http1.too_many_headers";
      return TOO_LARGE;
    }
    let valueEnd = i;
    while (valueEnd > valueStart && (b[valueEnd - 1] === SP || b[valueEnd - 1] === HTAB)) valueEnd--;
    const p = count * 4;
    offsets[p] = nameStart - start;
    offsets[p + 1] = nameEnd - start;
    offsets[p + 2] = valueStart - start;
    offsets[p + 3] = valueEnd - start;
    head.nameHashes[count] = hash;
    head.drop[count] = 0;
    const known = knownByHash(hash);
    if (known >= 0 && isKnownName(b, nameStart, nameEnd, known)) {
      if (!noteKnown(b, known, count, valueStart, valueEnd, head)) return MALFORMED;
    }
    count++;
    i += 2;
  }
}

/** Reads what matters for framing and routing as the header goes by; false when the message must be refused. */
function noteKnown(
  b: Uint8Array,
  known: number,
  index: number,
  valueStart: number,
  valueEnd: number,
  head: Http1Head,
): boolean {
  const repeated = (head.known[known] as number) >= 0;
  if (!repeated) head.known[known] = index;
  switch (known) {
    case K["content-length"]:
      return noteContentLength(b, valueStart, valueEnd, repeated, head);
    case K["transfer-encoding"]:
      head.drop[index] = 1;
      if (repeated || !equalsIgnoreCase(b, valueStart, valueEnd, "chunked")) {
        head.error = "http1.invalid_transfer_encoding";
        return false;
      }
      head.chunked = true;
      return true;
    case K.host:
      if (repeated) head.error = "http1.duplicate_host";
      return !repeated;
    case K.connection:
    case K["keep-alive"]:
    case K["proxy-connection"]:
    case K.upgrade:
    case K["http2-settings"]:
      head.drop[index] = 1;
      return true;
    case K.te:
      // Of what a hop may take only trailers concern the next one.
      head.drop[index] = 1;
      if (equalsIgnoreCase(b, valueStart, valueEnd, "trailers")) head.teTrailers = true;
      return true;
    default:
      return true;
  }
}

/** Digits only, once, at most 15 of them (exact in a double). */
function noteContentLength(b: Uint8Array, start: number, end: number, repeated: boolean, head: Http1Head): boolean {
  head.error = "http1.content_length_invalid";
  if (repeated || end === start || end - start > 15) return false;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = (b[i] as number) - 48;
    if (digit < 0 || digit > 9) return false;
    value = value * 10 + digit;
  }
  head.error = "";
  head.contentLength = value;
  return true;
}

/** Connection tokens, once all headers are known. */
function finishFields(b: Uint8Array, start: number, head: Http1Head): boolean {
  let keepAlive = false;
  let i = head.known[K.connection] as number;
  for (; i >= 0 && i < head.count; i++) {
    if (head.nameHashes[i] !== head.nameHashes[head.known[K.connection] as number]) continue;
    let at = start + (head.offsets[i * 4 + 2] as number);
    const end = start + (head.offsets[i * 4 + 3] as number);
    while (at < end) {
      while (at < end && (b[at] === SP || b[at] === HTAB || b[at] === 44)) at++;
      const tokenStart = at;
      while (at < end && b[at] !== 44) at++;
      let tokenEnd = at;
      while (tokenEnd > tokenStart && (b[tokenEnd - 1] === SP || b[tokenEnd - 1] === HTAB)) tokenEnd--;
      if (tokenEnd === tokenStart) continue;
      if (equalsIgnoreCase(b, tokenStart, tokenEnd, "close")) head.close = true;
      else if (equalsIgnoreCase(b, tokenStart, tokenEnd, "keep-alive")) keepAlive = true;
      else if (equalsIgnoreCase(b, tokenStart, tokenEnd, "upgrade")) head.connectionUpgrade = true;
      else dropNominated(b, start, tokenStart, tokenEnd, head);
    }
  }
  if (head.minor === 0 && !keepAlive) head.close = true;
  return true;
}

/** Headers that `Connection` may not take away from us or from the next hop. */
const PROTECTED =
  /^(host|content-.*|authorization|cookie|set-cookie|x-forwarded-.*|x-request-id|x-envoy-.*|te|transfer-encoding)$/;

/** Drops the headers that `Connection` names (RFC 9110 §7.6.1), except those that carry identity, routing or framing. */
function dropNominated(b: Uint8Array, start: number, tokenStart: number, tokenEnd: number, head: Http1Head): void {
  const name = Buffer.from(b.buffer, b.byteOffset + tokenStart, tokenEnd - tokenStart)
    .toString("latin1")
    .toLowerCase();
  if (PROTECTED.test(name)) return;
  for (let i = 0; i < head.count; i++) {
    const p = i * 4;
    if (equalsIgnoreCase(b, start + (head.offsets[p] as number), start + (head.offsets[p + 1] as number), name)) {
      head.drop[i] = 1;
    }
  }
}

function checkFraming(head: Http1Head): string | undefined {
  if (head.chunked && head.contentLength >= 0) return "http1.content_length_and_chunked_not_allowed";
  if (head.chunked && head.minor === 0) return "http1.transfer_encoding_not_allowed";
  return undefined;
}

function checkRequest(b: Uint8Array, start: number, head: Http1Head): string | undefined {
  const framing = checkFraming(head);
  if (framing !== undefined) return framing;
  if (head.isConnect && (head.chunked || head.contentLength > 0)) return "http1.connect_with_body";
  const host = head.known[K.host] as number;
  if (host < 0) return head.minor === 1 ? "missing_host_header" : undefined;
  const hostStart = head.offsets[host * 4 + 2] as number;
  const hostEnd = head.offsets[host * 4 + 3] as number;
  if (!validAuthority(b, start + hostStart, start + hostEnd)) return "http.invalid_authority";
  // The authority of an absolute target wins over Host, always (RFC 9112 §3.2.2).
  if (head.form === "origin" || head.form === "asterisk") {
    if (hostEnd === hostStart) return "missing_host_header";
    head.authorityStart = hostStart;
    head.authorityEnd = hostEnd;
  }
  return undefined;
}
