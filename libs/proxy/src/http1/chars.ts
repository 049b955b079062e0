/** Token characters (RFC 9110 §5.6.2) to their lower case; 0 = not a token character. */
export const TOKEN: Uint8Array = buildTokens();
/** 1 for bytes a field value may hold: VCHAR, obs-text, SP and HTAB; never CR, LF or NUL. */
export const VALUE: Uint8Array = new Uint8Array(256).fill(1).fill(0, 0, 32);
VALUE[9] = 1;
VALUE[127] = 0;
/** 1 for bytes a request target may hold: VCHAR without `#`. */
export const TARGET: Uint8Array = new Uint8Array(256).fill(1, 33, 127);
TARGET[35] = 0;
/**
 * 1 for bytes of an authority: unreserved, sub-delims, `:`, `[`, `]` and `%`; no userinfo. No comma either: it is how some merge two
 * Host fields into one, and no host name has it.
 */
export const AUTHORITY: Uint8Array = new Uint8Array(256);
for (const c of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+;=:[]%") {
  AUTHORITY[c.charCodeAt(0)] = 1;
}

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;

function buildTokens(): Uint8Array {
  const table = new Uint8Array(256);
  for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") table[c.charCodeAt(0)] = c.charCodeAt(0);
  for (let c = 65; c <= 90; c++) table[c] = c + 32;
  return table;
}

/** Whether `bytes[start..end)` equals the lower-case ASCII `text`, ignoring case. */
export function equalsIgnoreCase(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[start + i] as number;
    if ((byte >= 65 && byte <= 90 ? byte + 32 : byte) !== text.charCodeAt(i)) return false;
  }
  return true;
}
