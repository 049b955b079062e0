/** Bytes that may stand in a key of a NATS bucket as they are; `.` separates tokens and `=` begins an escape, so neither does. */
const PLAIN = /^[-/\w]$/;
/** One byte as `=` and two hexadecimal digits. */
const ESCAPED = /^[0-9A-F]{2}$/;

/**
 * A key of ours as one token of NATS's alphabet (letters, digits, `-`, `_`, `/`, `=`): other bytes of its UTF-8 become `=XX`. The empty key
 * is `=`. Different keys have different tokens.
 */
export function encodeKey(key: string): string {
  if (key === "") return "=";
  let token = "";
  for (const byte of Buffer.from(key, "utf8")) {
    const character = String.fromCharCode(byte);
    token += PLAIN.test(character) ? character : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return token;
}

/** The key of a token; undefined for what {@link encodeKey} does not make. */
export function decodeKey(token: string): string | undefined {
  if (token === "=") return "";
  if (token === "") return undefined;
  const bytes: number[] = [];
  for (let at = 0; at < token.length; at++) {
    const character = token[at] ?? "";
    if (character === "=") {
      const digits = token.slice(at + 1, at + 3);
      if (!ESCAPED.test(digits)) return undefined;
      bytes.push(Number.parseInt(digits, 16));
      at += 2;
    } else if (PLAIN.test(character)) bytes.push(character.charCodeAt(0));
    else return undefined;
  }
  const key = Buffer.from(bytes).toString("utf8");
  return encodeKey(key) === token ? key : undefined;
}

/** Where the parts of a key's value lie in the bucket: `e.KEY.0`, `e.KEY.1` … */
export function partName(key: string, part: number): string {
  return `e.${encodeKey(key)}.${part}`;
}

/** The reverse of {@link partName}; undefined for other names. */
export function parsePartName(name: string): { readonly key: string; readonly part: number } | undefined {
  const [prefix, token = "", digits = "", ...rest] = name.split(".");
  if (prefix !== "e" || rest.length > 0 || !/^(0|[1-9]\d{0,5})$/.test(digits)) return undefined;
  const key = decodeKey(token);
  return key === undefined ? undefined : { key, part: Number(digits) };
}
