import { AUTHORITY, equalsIgnoreCase, TARGET } from "./chars.ts";
import type { Http1Head } from "./head.ts";

/**
 * Reads the request target `bytes[at..end)` into path and authority offsets (relative to `start`). False when it has a form that
 * does not fit the method, a fragment, userinfo, or a byte no target may hold.
 * @see RFC 9112 §3.2
 */
export function parseTarget(bytes: Uint8Array, start: number, at: number, end: number, head: Http1Head): boolean {
  for (let i = at; i < end; i++) if (TARGET[bytes[i] as number] === 0) return false;
  const connect = equalsExactly(bytes, start + head.methodStart, start + head.methodEnd, "CONNECT");
  if (connect) {
    head.form = "authority";
    head.authorityStart = at - start;
    head.authorityEnd = end - start;
    return validAuthority(bytes, at, end) && hasPort(bytes, at, end);
  }
  if (bytes[at] === 47) {
    setPath(bytes, start, at, end, head);
    return true;
  }
  if (end - at === 1 && bytes[at] === 42) {
    head.form = "asterisk";
    setPath(bytes, start, at, end, head);
    return equalsExactly(bytes, start + head.methodStart, start + head.methodEnd, "OPTIONS");
  }
  return parseAbsolute(bytes, start, at, end, head);
}

function parseAbsolute(bytes: Uint8Array, start: number, at: number, end: number, head: Http1Head): boolean {
  let authority: number;
  if (equalsIgnoreCase(bytes, at, Math.min(at + 7, end), "http://")) authority = at + 7;
  else if (equalsIgnoreCase(bytes, at, Math.min(at + 8, end), "https://")) {
    authority = at + 8;
    head.secureTarget = true;
  } else return false;
  let i = authority;
  while (i < end && bytes[i] !== 47 && bytes[i] !== 63) i++;
  if (i === authority || !validAuthority(bytes, authority, i)) return false;
  head.form = "absolute";
  head.authorityStart = authority - start;
  head.authorityEnd = i - start;
  setPath(bytes, start, i, end, head);
  return true;
}

function setPath(bytes: Uint8Array, start: number, at: number, end: number, head: Http1Head): void {
  head.pathStart = at - start;
  head.pathEnd = end - start;
  let query = at;
  while (query < end && bytes[query] !== 63) query++;
  head.queryStart = query - start;
}

/** `host`, `host:port`, `[v6]`, `[v6]:port`; characters are checked, names are not resolved. */
export function validAuthority(bytes: Uint8Array, start: number, end: number): boolean {
  let colons = 0;
  let at = start;
  if (bytes[at] === 91 && at < end) {
    while (at < end && bytes[at] !== 93) {
      const byte = bytes[at++] as number;
      const hex = (byte >= 48 && byte <= 58) || (byte >= 65 && byte <= 70) || (byte >= 97 && byte <= 102);
      if (!hex && byte !== 46 && byte !== 91) return false;
    }
    if (at >= end || ++at === end) return at <= end && bytes[end - 1] === 93;
    if (bytes[at] !== 58) return false;
  }
  for (; at < end; at++) {
    const byte = bytes[at] as number;
    if (AUTHORITY[byte] === 0 || byte === 91 || byte === 93) return false;
    if (byte === 58) {
      if (++colons > 1) return false;
    } else if (colons === 1 && (byte < 48 || byte > 57)) return false;
  }
  return true;
}

function hasPort(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start >= 3 && bytes[end - 1] !== 58 && bytes.subarray(start, end).lastIndexOf(58) > 0;
}

function equalsExactly(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}
