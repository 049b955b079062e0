import { latin1Text } from "./bytes.ts";

/**
 * A view of a message head: offsets over bytes, no strings, no object per header. The HTTP codecs fill it in place and reuse it;
 * offline callers build one with `headFrom` (head/build.ts). Header names compare case-insensitively; values are bytes.
 */
export class HeadView {
  /** The bytes all offsets point into. */
  bytes: Uint8Array = EMPTY;
  methodStart = 0;
  methodEnd = 0;
  /** Path with query; never a fragment. For absolute-form requests the path inside the URI. */
  pathStart = 0;
  pathEnd = 0;
  /** Offset of `?`, or pathEnd when there is no query. */
  queryStart = 0;
  /** The effective authority: absolute-form's, else Host. Equal offsets when there is none. */
  authorityStart = 0;
  authorityEnd = 0;
  /** Response status; 0 on requests. */
  status = 0;
  /** Number of headers. */
  count = 0;
  /** Four offsets a header: name start, name end, value start, value end (no surrounding white space). */
  readonly offsets = new Int32Array(MAX_HEADERS * 4);
  /** FNV-1a hash of each lower-cased name, for fast look-up. */
  readonly nameHashes = new Int32Array(MAX_HEADERS);

  /** Index of the first header with this name (lower case), or -1. `hash` = `hashName(name)`, computed once by the caller. */
  find(name: Uint8Array, hash: number): number {
    return this.next(name, hash, 0);
  }

  /** The next header with this name at or after `from`, or -1: every value is judged, not only the first. */
  next(name: Uint8Array, hash: number, from: number): number {
    for (let i = from; i < this.count; i++) if (this.nameHashes[i] === hash && this.#nameIs(i, name)) return i;
    return -1;
  }

  /** Value of header `index` as latin1 text. Makes a string: cold code only. */
  valueText(index: number): string {
    return this.text(this.offsets[index * 4 + 2] ?? 0, this.offsets[index * 4 + 3] ?? 0);
  }

  /** Lower-cased name of header `index`. */
  nameText(index: number): string {
    return this.text(this.offsets[index * 4] ?? 0, this.offsets[index * 4 + 1] ?? 0).toLowerCase();
  }

  text(start: number, end: number): string {
    return latin1Text(this.bytes, start, end);
  }

  #nameIs(index: number, name: Uint8Array): boolean {
    const start = this.offsets[index * 4] ?? 0;
    const length = (this.offsets[index * 4 + 1] ?? 0) - start;
    if (length !== name.length) return false;
    for (let i = 0; i < length; i++) if (lower(this.bytes[start + i] ?? 0) !== name[i]) return false;
    return true;
  }
}

/** Most headers a head may have; one more is refused with 431 (Envoy's default). */
export const MAX_HEADERS = 100;
const EMPTY = new Uint8Array(0);

function lower(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

/** FNV-1a over the lower-cased bytes; what {@link HeadView.nameHashes} holds. */
export function hashName(name: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ lower(name.charCodeAt(i)), 16777619);
  return hash;
}
