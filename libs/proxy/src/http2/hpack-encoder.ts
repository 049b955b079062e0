import { hashName } from "@lateen/traffic";
import { equalsIgnoreCase, TOKEN } from "../http1/chars.ts";
import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import { STATIC_TABLE, staticByHash } from "./static-table.ts";

/**
 * Writes header blocks. Names come from the static table where it has them; values are literals that enter no table, so that an
 * encoder has no state, needs no memory of its own, and secrets stay out of tables (RFC 7541 §7.1).
 */
const NEVER_INDEXED = 16;
const STATIC_NAMES: readonly string[] = STATIC_TABLE.map((field) =>
  Buffer.from(field.line).toString("latin1", 0, field.nameEnd),
);
/** `:status` → index of the static entry. */
const STATUSES: ReadonlyMap<number, number> = new Map([
  [200, 8],
  [204, 9],
  [206, 10],
  [304, 11],
  [400, 12],
  [404, 13],
  [500, 14],
]);

/** What of a value depends on the connection: nothing, so that names and lines that come again and again are encoded once. */
export class EncodedTexts {
  readonly #names = new Map<string, Uint8Array>();
  readonly #lines = new Map<string, Uint8Array>();

  /** Writes the name of a field whose value follows. */
  name(buffer: Buffer, at: number, name: string): number {
    let bytes = this.#names.get(name);
    if (bytes === undefined) {
      const scratch = Buffer.alloc(name.length + 8);
      const end = writeName(scratch, 0, name, 0, name.length, hashName(name));
      bytes = remember(this.#names, name, scratch.subarray(0, end));
    }
    return copyOf(bytes, buffer, at);
  }

  /** Writes lines as {@link writeLines} does. */
  lines(buffer: Buffer, at: number, text: string): number {
    if (text === "") return at;
    let bytes = this.#lines.get(text);
    if (bytes === undefined) {
      const scratch = Buffer.alloc(text.length * 3 + 16);
      bytes = remember(this.#lines, text, scratch.subarray(0, writeLines(scratch, 0, text)));
    }
    return copyOf(bytes, buffer, at);
  }
}

/** Texts of this number are kept; with one more all are forgotten. */
const MOST_TEXTS = 128;

function remember(texts: Map<string, Uint8Array>, text: string, encoded: Uint8Array): Uint8Array {
  if (texts.size >= MOST_TEXTS) texts.clear();
  const bytes = Uint8Array.from(encoded);
  texts.set(text, bytes);
  return bytes;
}

function copyOf(bytes: Uint8Array, buffer: Buffer, at: number): number {
  const { length } = bytes;
  for (let i = 0; i < length; i++) buffer[at + i] = bytes[i] as number;
  return at + length;
}

/** Most bytes that additions to a head can take when they are encoded. */
export function boundOfEdits(edits: EditList | undefined): number {
  let bound = 0;
  if (edits === undefined) return bound;
  for (let i = 0; i < edits.count; i++) bound += edits.nameAt(i).length + edits.valueAt(i).length + 16;
  return bound;
}

/** Additions to a head, names in lower case. */
export function writeEdits(buffer: Buffer, at: number, edits: EditList, texts: EncodedTexts): number {
  let to = at;
  for (let i = 0; i < edits.count; i++) {
    to = texts.name(buffer, to, edits.nameAt(i));
    const value = edits.valueAt(i);
    to = writeText(buffer, to, value, 0, value.length);
  }
  return to;
}

/** Most bytes that the fields of a head can take when they are encoded, and `text`'s with them. */
export function boundOf(head: Http1Head | undefined, text: string): number {
  const own =
    head === undefined
      ? 0
      : head.length + head.count * 8 + head.pathEnd - head.pathStart + head.authorityEnd - head.authorityStart;
  return own + text.length * 3 + 128;
}

export function writeInteger(buffer: Uint8Array, at: number, flags: number, mask: number, value: number): number {
  if (value < mask) {
    buffer[at] = flags | value;
    return at + 1;
  }
  buffer[at] = flags | mask;
  let rest = value - mask;
  let to = at + 1;
  while (rest >= 128) {
    buffer[to++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  buffer[to++] = rest;
  return to;
}

/** `:status`. */
export function writeStatus(buffer: Buffer, at: number, status: number): number {
  const index = STATUSES.get(status);
  if (index !== undefined) {
    buffer[at] = 128 | index;
    return at + 1;
  }
  buffer[at] = 8;
  buffer[at + 1] = 3;
  buffer[at + 2] = 48 + Math.floor(status / 100);
  buffer[at + 3] = 48 + (Math.floor(status / 10) % 10);
  buffer[at + 4] = 48 + (status % 10);
  return at + 5;
}

/** The pseudo fields of a request. */
export function writeRequestPseudo(buffer: Buffer, at: number, head: Http1Head, secure: boolean): number {
  const { bytes, methodStart, methodEnd, pathStart, pathEnd } = head;
  let to = at;
  if (equalsExactly(bytes, methodStart, methodEnd, "GET")) buffer[to++] = 128 | 2;
  else if (equalsExactly(bytes, methodStart, methodEnd, "POST")) buffer[to++] = 128 | 3;
  else {
    buffer[to++] = 2;
    to = writeBytes(buffer, to, bytes, methodStart, methodEnd);
  }
  buffer[to++] = 128 | (secure ? 7 : 6);
  if (pathEnd - pathStart === 1 && bytes[pathStart] === 47) buffer[to++] = 128 | 4;
  else {
    buffer[to++] = 4;
    to = writeBytes(buffer, to, bytes, pathStart, pathEnd);
  }
  if (head.authorityEnd > head.authorityStart) {
    buffer[to++] = 1;
    to = writeBytes(buffer, to, bytes, head.authorityStart, head.authorityEnd);
  }
  return to;
}

/** Every header that is not dropped, `host` apart. */
export function writeHeadFields(buffer: Buffer, at: number, head: Http1Head): number {
  const { bytes, offsets, drop, nameHashes, count } = head;
  const flags = head.neverIndex ? NEVER_INDEXED : 0;
  const host = head.known[K.host] as number;
  let to = at;
  for (let i = 0; i < count; i++) {
    if (drop[i] !== 0 || i === host) continue;
    const p = i * 4;
    const nameStart = offsets[p] as number;
    const nameEnd = offsets[p + 1] as number;
    const index = staticByHash(nameHashes[i] as number);
    if (index > 0 && equalsIgnoreCase(bytes, nameStart, nameEnd, STATIC_NAMES[index - 1] as string)) {
      to = writeInteger(buffer, to, flags, 15, index);
    } else {
      buffer[to++] = flags;
      to = writeInteger(buffer, to, 0, 127, nameEnd - nameStart);
      for (let k = nameStart; k < nameEnd; k++) buffer[to++] = TOKEN[bytes[k] as number] as number;
    }
    to = writeBytes(buffer, to, bytes, offsets[p + 2] as number, offsets[p + 3] as number);
  }
  return to;
}

/** Lines of text, `name: value` with their CRLFs, names in lower case. */
export function writeLines(buffer: Buffer, at: number, text: string): number {
  let to = at;
  let start = 0;
  while (start < text.length) {
    let hash = 0x811c9dc5 | 0;
    let colon = start;
    for (; colon < text.length; colon++) {
      const code = text.charCodeAt(colon);
      if (code === 58) break;
      hash = Math.imul(hash ^ (TOKEN[code] ?? 0), 16777619);
    }
    let end = text.indexOf("\r\n", colon);
    if (end < 0) end = text.length;
    let value = colon + 1;
    while (value < end && text.charCodeAt(value) === 32) value++;
    to = writeName(buffer, to, text, start, colon, hash);
    to = writeText(buffer, to, text, value, end);
    start = end + 2;
  }
  return to;
}

function writeName(buffer: Buffer, at: number, text: string, start: number, end: number, hash: number): number {
  const index = staticByHash(hash);
  if (index > 0 && sameText(text, start, end, STATIC_NAMES[index - 1] as string)) {
    return writeInteger(buffer, at, 0, 15, index);
  }
  buffer[at] = 0;
  let to = writeInteger(buffer, at + 1, 0, 127, end - start);
  for (let i = start; i < end; i++) buffer[to++] = TOKEN[text.charCodeAt(i)] ?? 0;
  return to;
}

function sameText(text: string, start: number, end: number, name: string): boolean {
  if (end - start !== name.length) return false;
  for (let i = 0; i < name.length; i++) {
    if (TOKEN[text.charCodeAt(start + i)] !== name.charCodeAt(i)) return false;
  }
  return true;
}

function writeText(buffer: Buffer, at: number, text: string, start: number, end: number): number {
  const length = end - start;
  let to = writeInteger(buffer, at, 0, 127, length);
  for (let i = start; i < end; i++) buffer[to++] = text.charCodeAt(i);
  return to;
}

function writeBytes(buffer: Buffer, at: number, bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const to = writeInteger(buffer, at, 0, 127, length);
  if (length < 64) for (let i = 0; i < length; i++) buffer[to + i] = bytes[start + i] as number;
  else buffer.set(bytes.subarray(start, end), to);
  return to + length;
}

function equalsExactly(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}
