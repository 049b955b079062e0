import { hashName, MAX_HEADERS } from "@lateen/traffic";
import { AUTHORITY, TARGET, TOKEN } from "../http1/chars.ts";
import { FORBIDDEN_TRAILERS, MAX_TRAILER_BYTES } from "../http1/chunked.ts";
import { type Http1Head, MAX_HEAD_BYTES } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import { validAuthority } from "../http1/request-target.ts";
import { AUTHORITY_FIELD, type Field, MALFORMED, METHOD, PATH, REGULAR, SCHEME, STATUS } from "./field.ts";
import type { FieldSink } from "./hpack-decoder.ts";

/** What became of a block: a message, one that breaks RFC 9113 §8, or one beyond our limits. */
export type Verdict = "ok" | "malformed" | "tooLarge";

const CRLF = new Uint8Array([13, 10]);
const HOST = Buffer.from("host: ", "latin1");
const COOKIE = Buffer.from("cookie: ", "latin1");
const CRUMB = Buffer.from("; ", "latin1");
const HOST_HASH = hashName("host");
const COOKIE_HASH = hashName("cookie");

/**
 * Makes a message of the fields of one block. Heads come out as HTTP/1 would have them, `host` in the place of `:authority`, so that
 * everything behind reads one kind of head. Fields beyond the limits are counted and not kept: what is held is bounded whatever the
 * compression promises.
 */
export class MessageBuilder implements FieldSink {
  #head: Http1Head | undefined = undefined;
  #kind: "request" | "response" | "trailers" = "request";
  #verdict: Verdict = "ok";
  #bytes = 0;
  #pseudo = 0;
  #regular = false;
  #authorityStart = 0;
  #authorityEnd = 0;
  #methodIsConnect = false;
  #cookies: number[] | undefined = undefined;
  #trailers = "";
  /** Why the message is refused, for RESPONSE_CODE_DETAILS. */
  detail = "";

  startHead(head: Http1Head, kind: "request" | "response"): void {
    this.#start(kind);
    this.#head = head;
    head.startFields();
    head.major = 2;
  }

  startTrailers(): void {
    this.#start("trailers");
    this.#head = undefined;
    this.#trailers = "";
  }

  #start(kind: "request" | "response" | "trailers"): void {
    this.#kind = kind;
    this.#verdict = "ok";
    this.#bytes = 0;
    this.#pseudo = 0;
    this.#regular = false;
    this.#authorityStart = 0;
    this.#authorityEnd = 0;
    this.#cookies = undefined;
    this.detail = "";
  }

  /** Trailer lines with their CRLFs. */
  get trailers(): string {
    return this.#trailers;
  }

  field(field: Field): void {
    if (this.#verdict !== "ok") return;
    this.#bytes += field.size;
    if (field.kind === MALFORMED) this.#refuse("http2.invalid.header.field");
    else if (this.#kind === "trailers") this.#trailer(field);
    else if (this.#bytes > MAX_HEAD_BYTES) this.#tooLarge("http2.headers_too_large");
    else if (field.kind === REGULAR) this.#addRegular(field);
    else this.#addPseudo(field);
  }

  #refuse(detail: string): void {
    this.#verdict = "malformed";
    this.detail = detail;
  }

  #tooLarge(detail: string): void {
    this.#verdict = "tooLarge";
    this.detail = detail;
  }

  #trailer(field: Field): void {
    if (field.kind !== REGULAR) {
      this.#refuse("http2.violation.of.messaging.rule");
      return;
    }
    if (this.#bytes > MAX_TRAILER_BYTES) {
      this.#tooLarge("http2.headers_too_large");
      return;
    }
    const text = Buffer.from(field.line.buffer, field.line.byteOffset, field.end + 2).toString("latin1");
    if (!FORBIDDEN_TRAILERS.test(text.slice(0, field.nameEnd))) this.#trailers += text;
  }

  #addPseudo(field: Field): void {
    const head = this.#head as Http1Head;
    const bit = 1 << field.kind;
    if (this.#regular || (this.#pseudo & bit) !== 0 || (field.kind === STATUS) !== (this.#kind === "response")) {
      this.#refuse("http2.violation.of.messaging.rule");
      return;
    }
    this.#pseudo |= bit;
    const { line, valueStart, end } = field;
    switch (field.kind) {
      case METHOD:
        if (!allOf(TOKEN, line, valueStart, end)) {
          this.#refuse("http2.invalid.method");
          return;
        }
        head.methodStart = head.putBytes(line, valueStart, end);
        head.methodEnd = head.methodStart + end - valueStart;
        this.#methodIsConnect = head.methodIs("CONNECT");
        return;
      case SCHEME:
        this.#scheme(head, line, valueStart, end);
        return;
      case AUTHORITY_FIELD:
        this.#authorityStart = head.putBytes(line, valueStart, end);
        this.#authorityEnd = this.#authorityStart + end - valueStart;
        return;
      case PATH:
        if (!allOf(TARGET, line, valueStart, end)) {
          this.#refuse("http2.invalid.path");
          return;
        }
        head.pathStart = head.putBytes(line, valueStart, end);
        head.pathEnd = head.pathStart + end - valueStart;
        return;
      case STATUS:
        this.#status(head, line, valueStart, end);
        return;
    }
  }

  #scheme(head: Http1Head, line: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const http = line[start] === 104 && line[start + 1] === 116 && line[start + 2] === 116 && line[start + 3] === 112;
    if (!http || length > 5 || (length === 5 && line[start + 4] !== 115)) this.#refuse("http2.invalid.scheme");
    head.secureTarget = length === 5;
  }

  #status(head: Http1Head, line: Uint8Array, start: number, end: number): void {
    const digits = end - start === 3;
    let status = 0;
    for (let i = start; i < end; i++) {
      const digit = (line[i] as number) - 48;
      status = digit < 0 || digit > 9 ? -1000 : status * 10 + digit;
    }
    // 101 has no meaning in HTTP/2 (RFC 9113 §8.6).
    if (!digits || status < 100 || status === 101) this.#refuse("http2.invalid.status");
    head.status = status;
  }

  #addRegular(field: Field): void {
    const head = this.#head as Http1Head;
    if (!this.#regular) {
      this.#regular = true;
      if (this.#kind === "request") this.#placeAuthority(head);
    }
    if (field.never) head.neverIndex = true;
    if (field.known === K.cookie) {
      this.#crumb(head, field);
      return;
    }
    if (field.known === K.host && this.#kind === "request") {
      this.#host(head, field);
      return;
    }
    if (head.count >= MAX_HEADERS) {
      this.#tooLarge("http2.too_many_headers");
      return;
    }
    const index = head.addLine(field.line, field.nameEnd, field.end, field.hash);
    if (field.known >= 0) this.#note(head, field, index);
  }

  #note(head: Http1Head, field: Field, index: number): void {
    const { known } = field;
    const repeated = (head.known[known] as number) >= 0;
    if (!repeated) head.known[known] = index;
    if (known === K["content-length"]) this.#contentLength(head, field, repeated);
    else if (known === K.te) {
      // HTTP/1 has it per connection; an HTTP/2 writer says it anew.
      head.drop[index] = 1;
      head.teTrailers = true;
    } else if (known === K["http2-settings"]) head.drop[index] = 1;
  }

  #contentLength(head: Http1Head, { line, valueStart, end }: Field, repeated: boolean): void {
    let value = 0;
    if (repeated || end === valueStart || end - valueStart > 15) {
      this.#refuse("http2.content_length_invalid");
      return;
    }
    for (let i = valueStart; i < end; i++) {
      const digit = (line[i] as number) - 48;
      if (digit < 0 || digit > 9) {
        this.#refuse("http2.content_length_invalid");
        return;
      }
      value = value * 10 + digit;
    }
    head.contentLength = value;
  }

  /** `host` may stand in for `:authority`, or repeat it; it may not differ (RFC 9113 §8.3.1). */
  #host(head: Http1Head, { line, valueStart, end }: Field): void {
    if ((head.known[K.host] as number) < 0) {
      this.#authorityStart = head.putBytes(line, valueStart, end);
      this.#authorityEnd = this.#authorityStart + end - valueStart;
      this.#placeAuthority(head);
      return;
    }
    const length = end - valueStart;
    let same = length === head.authorityEnd - head.authorityStart;
    for (let i = 0; same && i < length; i++) {
      same = lower(line[valueStart + i] as number) === lower(head.bytes[head.authorityStart + i] as number);
    }
    if (!same) this.#refuse("http2.invalid.authority");
  }

  /** The authority becomes a Host line: the form in which rules, filters and HTTP/1 writers look for it. */
  #placeAuthority(head: Http1Head): void {
    const length = this.#authorityEnd - this.#authorityStart;
    if (length === 0) return;
    if (!validAuthority(head.bytes, this.#authorityStart, this.#authorityEnd)) {
      this.#refuse("http2.invalid.authority");
      return;
    }
    const start = head.putBytes(HOST, 0, HOST.length);
    const value = head.putBytes(head.bytes, this.#authorityStart, this.#authorityEnd);
    head.putBytes(CRLF, 0, 2);
    this.#place(head, start, start + 4, value, value + length, HOST_HASH);
    head.known[K.host] = head.count - 1;
    head.authorityStart = value;
    head.authorityEnd = value + length;
  }

  #place(head: Http1Head, name: number, nameEnd: number, value: number, end: number, hash: number): void {
    const p = head.count * 4;
    head.offsets[p] = name;
    head.offsets[p + 1] = nameEnd;
    head.offsets[p + 2] = value;
    head.offsets[p + 3] = end;
    head.nameHashes[head.count] = hash;
    head.drop[head.count] = 0;
    head.count++;
  }

  /** Crumbs of a cookie wait behind the head's bytes until all are known (RFC 9113 §8.2.3). */
  #crumb(head: Http1Head, { line, end }: Field): void {
    if (this.#cookies === undefined) {
      if (head.count >= MAX_HEADERS) {
        this.#tooLarge("http2.too_many_headers");
        return;
      }
      const index = head.addLine(line, 6, end, COOKIE_HASH);
      this.#cookies = [head.offsets[index * 4 + 2] as number, head.offsets[index * 4 + 3] as number, index];
      return;
    }
    // The bytes stand between lines now, where a copy of lines would take them along: they are one line of their own, dropped.
    if (head.count >= MAX_HEADERS) {
      this.#tooLarge("http2.too_many_headers");
      return;
    }
    const index = head.addLine(line, 6, end, 0);
    head.drop[index] = 1;
    this.#cookies.push(head.offsets[index * 4 + 2] as number, head.offsets[index * 4 + 3] as number, index);
  }

  #joinCookies(head: Http1Head): void {
    const spans = this.#cookies;
    if (spans === undefined || spans.length <= 3) return;
    if (head.count >= MAX_HEADERS) {
      this.#tooLarge("http2.too_many_headers");
      return;
    }
    const first = spans[2] as number;
    head.drop[first] = 1;
    head.nameHashes[first] = 0;
    const name = head.putBytes(COOKIE, 0, COOKIE.length);
    const value = name + COOKIE.length;
    let end = value;
    for (let i = 0; i < spans.length; i += 3) {
      if (i > 0) head.putBytes(CRUMB, 0, 2);
      const start = spans[i] as number;
      end = head.putBytes(head.bytes, start, spans[i + 1] as number) + (spans[i + 1] as number) - start;
    }
    head.putBytes(CRLF, 0, 2);
    this.#place(head, name, name + 6, value, end, COOKIE_HASH);
  }

  /** The block is complete. `endStream`: nothing follows the head. */
  finish(endStream: boolean): Verdict {
    const head = this.#head;
    if (head === undefined || this.#verdict !== "ok") return this.#verdict;
    if (this.#kind === "request") {
      if (!this.#regular) this.#placeAuthority(head);
      this.#checkRequest(head);
    } else if ((this.#pseudo & (1 << STATUS)) === 0) this.#refuse("http2.violation.of.messaging.rule");
    this.#joinCookies(head);
    head.finishFields();
    head.chunked = !endStream && head.contentLength < 0;
    return this.#verdict;
  }

  #checkRequest(head: Http1Head): void {
    if (this.#methodIsConnect) {
      head.form = "authority";
      const wrong = (1 << SCHEME) | (1 << PATH);
      if ((this.#pseudo & wrong) !== 0 || head.authorityEnd === head.authorityStart) {
        this.#refuse("http2.violation.of.messaging.rule");
      }
      return;
    }
    const needed = (1 << METHOD) | (1 << SCHEME) | (1 << PATH);
    if ((this.#pseudo & needed) !== needed) {
      this.#refuse("http2.violation.of.messaging.rule");
      return;
    }
    const { bytes, pathStart, pathEnd } = head;
    head.queryStart = pathEnd;
    for (let i = pathStart; i < pathEnd; i++) {
      if (bytes[i] !== 63) continue;
      head.queryStart = i;
      break;
    }
    if (bytes[pathStart] === 47 && pathEnd > pathStart) return;
    if (pathEnd - pathStart === 1 && bytes[pathStart] === 42 && head.methodIs("OPTIONS")) head.form = "asterisk";
    else this.#refuse("http2.invalid.path");
  }
}

function allOf(table: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (table[bytes[i] as number] === 0) return false;
  return end > start;
}

function lower(byte: number): number {
  return AUTHORITY[byte] === 1 && byte >= 65 && byte <= 90 ? byte + 32 : byte;
}
