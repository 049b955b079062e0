import { bytesOf, hasAt } from "../head/bytes.ts";
import type { HeadView } from "../head/head.ts";
import type { QueryMatchSpec } from "../route/spec.ts";
import { type BytesMatch, compileStringMatch } from "./string.ts";

const AMPERSAND = 0x26;
const EQUALS = 0x3d;

/**
 * Compiles one query condition: the first parameter of that name is judged, bytes as they were sent — Envoy does not decode
 * percent escapes when it matches routes.
 * @see envoy.config.route.v3.QueryParameterMatcher
 */
export function compileQueryMatch(spec: QueryMatchSpec): (head: HeadView) => boolean {
  const name = bytesOf(spec.name);
  const match: BytesMatch = spec.match.kind === "present" ? () => true : compileStringMatch(spec.match);
  return (head) => {
    const { bytes, pathEnd } = head;
    let start = head.queryStart + 1;
    while (start < pathEnd) {
      let end = start;
      let equals = -1;
      for (; end < pathEnd && bytes[end] !== AMPERSAND; end++) if (equals < 0 && bytes[end] === EQUALS) equals = end;
      const nameEnd = equals < 0 ? end : equals;
      if (nameEnd - start === name.length && hasAt(bytes, start, name)) {
        return match(bytes, equals < 0 ? end : equals + 1, end);
      }
      start = end + 1;
    }
    return false;
  };
}
