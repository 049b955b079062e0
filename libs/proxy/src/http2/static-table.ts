import { type Field, fieldOf } from "./field.ts";

/** @see RFC 7541 appendix A */
const ENTRIES: readonly (readonly [name: string, value: string])[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];

/** Entry 1 is at index 0. */
export const STATIC_TABLE: readonly Field[] = ENTRIES.map(([name, value]) => fieldOf(name, value));

const TABLE_BITS = 11;
const TABLE_MASK = (1 << TABLE_BITS) - 1;
/** Low bits of the name hash → 1-based index of the first entry with that name; 0 = none. Pseudo fields are not in it. */
const BY_HASH = buildByHash();

function buildByHash(): Uint8Array {
  const table = new Uint8Array(1 << TABLE_BITS);
  for (const [index, field] of STATIC_TABLE.entries()) {
    if (field.line[0] === 58) continue;
    const slot = field.hash & TABLE_MASK;
    if (table[slot] !== 0) throw new RangeError(`static entries ${table[slot]} and ${index + 1} share a slot`);
    table[slot] = index + 1;
  }
  return table;
}

/** 1-based index of the static entry whose name may be the one with this hash, or 0. The caller verifies the bytes. */
export function staticByHash(hash: number): number {
  const index = BY_HASH[hash & TABLE_MASK] as number;
  return index > 0 && (STATIC_TABLE[index - 1] as Field).hash === hash ? index : 0;
}
