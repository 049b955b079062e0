import { KNOWN_METHODS } from "../http1/methods.ts";

/** What the first bytes of plaintext look like. */
export type HttpSniff = "http/1.0" | "http/1.1" | "h2c" | "incomplete" | "not-http";

/** Longest request line that is waited for. */
const MAX_REQUEST_LINE = 8 * 1024;
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LONGEST_METHOD = Math.max(...KNOWN_METHODS.map((method) => method.length));

/**
 * Tells HTTP from anything else by the request line, as Envoy's http inspector does: another method is more likely a binary protocol
 * that starts with letters. Says `not-http` as early as it is certain.
 */
export function sniffHttp(bytes: Uint8Array): HttpSniff {
  const preface = matchText(bytes, PREFACE);
  if (preface === "whole") return "h2c";
  if (preface === "prefix") return "incomplete";
  const space = indexOf(bytes, 32, LONGEST_METHOD + 1);
  if (space < 0) {
    const possible = KNOWN_METHODS.some((method) => bytes.length <= method.length && matchText(bytes, method) !== "no");
    return possible ? "incomplete" : "not-http";
  }
  const method = KNOWN_METHODS.find(
    (candidate) => candidate.length === space && matchText(bytes, candidate) === "whole",
  );
  if (method === undefined) return "not-http";
  const lineEnd = indexOf(bytes, 10, MAX_REQUEST_LINE);
  if (lineEnd < 0)
    return bytes.length >= MAX_REQUEST_LINE || hasControl(bytes, bytes.length) ? "not-http" : "incomplete";
  if (bytes[lineEnd - 1] !== 13 || hasControl(bytes, lineEnd - 1)) return "not-http";
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, lineEnd - 1).toString("latin1");
  if (line.endsWith(" HTTP/1.1")) return "http/1.1";
  return line.endsWith(" HTTP/1.0") ? "http/1.0" : "not-http";
}

/** Whether `text` is at the start (`whole`), or the bytes so far could become it (`prefix`). */
function matchText(bytes: Uint8Array, text: string): "whole" | "prefix" | "no" {
  const length = Math.min(bytes.length, text.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== text.charCodeAt(i)) return "no";
  return bytes.length >= text.length ? "whole" : "prefix";
}

function indexOf(bytes: Uint8Array, byte: number, limit: number): number {
  const end = Math.min(bytes.length, limit);
  for (let i = 0; i < end; i++) if (bytes[i] === byte) return i;
  return -1;
}

function hasControl(bytes: Uint8Array, end: number): boolean {
  for (let i = 0; i < end; i++) {
    const byte = bytes[i] as number;
    if ((byte < 32 && !(byte === 13 && i === end - 1)) || byte === 127) return true;
  }
  return false;
}
