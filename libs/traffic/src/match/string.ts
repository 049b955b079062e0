import { bytesOf, hasAt, hasAtIgnoringCase, utf8Text } from "../head/bytes.ts";
import type { StringMatchSpec } from "../route/spec.ts";
import { compileRegex } from "./regex.ts";

/** Judges the bytes of [start, end). Allocates nothing, except that expressions make one string. */
export type BytesMatch = (bytes: Uint8Array, start: number, end: number) => boolean;
export type TextMatch = (text: string) => boolean;

/** @throws LateenError LTN5901 for an expression that RE2 does not accept. */
export function compileStringMatch(spec: StringMatchSpec): BytesMatch {
  if (spec.kind === "regex") {
    const regex = compileRegex(spec.pattern);
    return (bytes, start, end) => regex.testExact(utf8Text(bytes, start, end));
  }
  const value = bytesOf(spec.ignoreCase ? asciiLower(spec.value) : spec.value);
  const has = spec.ignoreCase ? hasAtIgnoringCase : hasAt;
  switch (spec.kind) {
    case "exact":
      return (bytes, start, end) => end - start === value.length && has(bytes, start, value);
    case "prefix":
      return (bytes, start, end) => end - start >= value.length && has(bytes, start, value);
    case "suffix":
      return (bytes, start, end) => end - start >= value.length && has(bytes, end - value.length, value);
    case "contains":
      return (bytes, start, end) => {
        for (let at = start; at + value.length <= end; at++) if (has(bytes, at, value)) return true;
        return false;
      };
  }
}

/** The same judgement over a text that exists already, such as a principal. */
export function compileTextMatch(spec: StringMatchSpec): TextMatch {
  if (spec.kind === "regex") {
    const regex = compileRegex(spec.pattern);
    return (text) => regex.testExact(text);
  }
  const value = spec.ignoreCase ? asciiLower(spec.value) : spec.value;
  const fold = spec.ignoreCase ? asciiLower : (text: string) => text;
  switch (spec.kind) {
    case "exact":
      return (text) => fold(text) === value;
    case "prefix":
      return (text) => fold(text).startsWith(value);
    case "suffix":
      return (text) => fold(text).endsWith(value);
    case "contains":
      return (text) => fold(text).includes(value);
  }
}

/** Lower-cases A–Z only. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
