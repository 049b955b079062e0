import { hashName } from "@lateen/traffic";
import { equalsIgnoreCase, TOKEN, VALUE } from "../http1/chars.ts";
import { K, KNOWN_NAMES, knownByHash } from "../http1/known-headers.ts";

/** What a field is to a message. `MALFORMED` fields make the whole message malformed (RFC 9113 §8.2). */
export const REGULAR = 0;
export const METHOD = 1;
export const SCHEME = 2;
export const AUTHORITY_FIELD = 3;
export const PATH = 4;
export const STATUS = 5;
export const MALFORMED = 6;
export type FieldKind = 0 | 1 | 2 | 3 | 4 | 5 | 6;

const PSEUDO: ReadonlyMap<string, FieldKind> = new Map([
  [":method", METHOD],
  [":scheme", SCHEME],
  [":authority", AUTHORITY_FIELD],
  [":path", PATH],
  [":status", STATUS],
]);

/** Fields that only make sense on one HTTP/1 connection (RFC 9113 §8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<number> = new Set([
  K.connection,
  K["keep-alive"],
  K["proxy-connection"],
  K["transfer-encoding"],
  K.upgrade,
]);

/**
 * A decoded field as the line HTTP/1 would have for it, `name: value CR LF`, with everything that can be said of it once: entries of
 * the dynamic table are judged when they enter it and never again.
 */
export class Field {
  line: Uint8Array;
  nameEnd = 0;
  /** End of the value; the CRLF follows. */
  end = 0;
  hash = 0;
  known = -1;
  kind: FieldKind = REGULAR;
  /** The sender wants it in no table (RFC 7541 §7.1.3). */
  never = false;

  constructor(line: Uint8Array) {
    this.line = line;
  }

  /** Size as HPACK counts it. */
  get size(): number {
    return this.end - 2 + 32;
  }

  get valueStart(): number {
    return this.nameEnd + 2;
  }

  /**
   * Completes a line whose name ends at `nameEnd` and whose value, from `nameEnd + 2` on, ends at `end`.
   * @param named a field whose name it took
   */
  finish(nameEnd: number, end: number, named?: Field): void {
    const { line } = this;
    this.nameEnd = nameEnd;
    this.end = end;
    line[nameEnd] = 58;
    line[nameEnd + 1] = 32;
    line[end] = 13;
    line[end + 1] = 10;
    this.kind = named === undefined ? this.#judge() : this.#judgeValue(named);
  }

  /** The name is another field's, which was judged: its value remains. */
  #judgeValue(named: Field): FieldKind {
    const { line, nameEnd, end } = this;
    this.hash = named.hash;
    this.known = named.known;
    // A malformed field may be so by its value or its name.
    if (named.kind === MALFORMED || named.known === K.te) return this.#judge();
    return soundValue(line, nameEnd + 2, end) ? named.kind : MALFORMED;
  }

  /** Becomes a copy of another field, in memory of its own where that has room; answers false where it has not. */
  copyFrom(other: Field): boolean {
    const { line } = this;
    const length = other.end + 2;
    if (line.length < length) return false;
    for (let i = 0; i < length; i++) line[i] = other.line[i] as number;
    this.nameEnd = other.nameEnd;
    this.end = other.end;
    this.hash = other.hash;
    this.known = other.known;
    this.kind = other.kind;
    return true;
  }

  #judge(): FieldKind {
    const { line, nameEnd, end } = this;
    this.known = -1;
    if (nameEnd === 0) return MALFORMED;
    if (!soundValue(line, nameEnd + 2, end)) return MALFORMED;
    if (line[0] === 58) {
      this.hash = 0;
      return PSEUDO.get(latin1(line, 0, nameEnd)) ?? MALFORMED;
    }
    let hash = 0x811c9dc5 | 0;
    for (let i = 0; i < nameEnd; i++) {
      const byte = line[i] as number;
      // Lower case only (RFC 9113 §8.2.1).
      if (TOKEN[byte] !== byte || byte === 0) return MALFORMED;
      hash = Math.imul(hash ^ byte, 16777619);
    }
    this.hash = hash;
    const known = knownByHash(hash);
    if (known < 0 || !equalsIgnoreCase(line, 0, nameEnd, KNOWN_NAMES[known] as string)) return REGULAR;
    this.known = known;
    if (CONNECTION_FIELDS.has(known)) return MALFORMED;
    if (known === K.te && latin1(line, nameEnd + 2, end).toLowerCase() !== "trailers") return MALFORMED;
    return REGULAR;
  }
}

/** No control characters, no white space at either end (RFC 9113 §8.2.1). */
function soundValue(line: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  const first = line[start];
  const last = line[end - 1];
  if (first === 32 || first === 9 || last === 32 || last === 9) return false;
  for (let i = start; i < end; i++) if (VALUE[line[i] as number] === 0) return false;
  return true;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
}

/** A field from text, as the static table has them. */
export function fieldOf(name: string, value: string): Field {
  const field = new Field(new Uint8Array(name.length + value.length + 4));
  for (let i = 0; i < name.length; i++) field.line[i] = name.charCodeAt(i);
  for (let i = 0; i < value.length; i++) field.line[name.length + 2 + i] = value.charCodeAt(i);
  field.finish(name.length, name.length + 2 + value.length);
  if (field.kind === REGULAR) field.hash = hashName(name);
  return field;
}
