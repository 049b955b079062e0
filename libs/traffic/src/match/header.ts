import { bytesOf } from "../head/bytes.ts";
import { type HeadView, hashName } from "../head/head.ts";
import type { HeaderMatchSpec } from "../route/spec.ts";
import { type BytesMatch, compileStringMatch } from "./string.ts";

export type Scheme = "http" | "https";
export type HeaderMatch = (head: HeadView, scheme?: Scheme) => boolean;

const NOTHING = new Uint8Array(0);
const SCHEMES: Readonly<Record<Scheme, Uint8Array>> = { http: bytesOf("http"), https: bytesOf("https") };
const present: BytesMatch = () => true;

/**
 * Compiles one header condition as Envoy evaluates it: several values of a name are judged as one, joined with `,`; a missing
 * header never matches (inverted or not) unless it is treated as empty; inverted presence matches absence.
 * @see envoy.config.route.v3.HeaderMatcher
 */
export function compileHeaderMatch(spec: HeaderMatchSpec): HeaderMatch {
  const match = spec.match.kind === "present" ? present : compileStringMatch(spec.match);
  const { invert } = spec;
  const whenMissing = spec.treatMissingAsEmpty
    ? match(NOTHING, 0, 0) !== invert
    : spec.match.kind === "present"
      ? invert
      : false;
  switch (spec.name) {
    case ":method":
      return (head) => match(head.bytes, head.methodStart, head.methodEnd) !== invert;
    case ":path":
      return (head) => match(head.bytes, head.pathStart, head.pathEnd) !== invert;
    case ":authority":
    case "host":
      return (head) =>
        head.authorityEnd === head.authorityStart
          ? whenMissing
          : match(head.bytes, head.authorityStart, head.authorityEnd) !== invert;
    case ":scheme":
      return (_, scheme = "http") => match(SCHEMES[scheme], 0, scheme.length) !== invert;
    default:
      return namedHeader(spec.name, match, invert, whenMissing);
  }
}

function namedHeader(name: string, match: BytesMatch, invert: boolean, whenMissing: boolean): HeaderMatch {
  const bytes = bytesOf(name.toLowerCase());
  const hash = hashName(name);
  return (head) => {
    const index = head.find(bytes, hash);
    if (index < 0) return whenMissing;
    const again = head.next(bytes, hash, index + 1);
    if (again >= 0) return joined(head, bytes, hash, match) !== invert;
    return match(head.bytes, head.offsets[index * 4 + 2] ?? 0, head.offsets[index * 4 + 3] ?? 0) !== invert;
  };
}

/** The rare case of a repeated header: judged on a joined copy. */
function joined(head: HeadView, name: Uint8Array, hash: number, match: BytesMatch): boolean {
  const parts: Uint8Array[] = [];
  for (let i = head.find(name, hash); i >= 0; i = head.next(name, hash, i + 1)) {
    if (parts.length > 0) parts.push(COMMA);
    parts.push(head.bytes.subarray(head.offsets[i * 4 + 2], head.offsets[i * 4 + 3]));
  }
  const whole = Buffer.concat(parts);
  return match(whole, 0, whole.length);
}

const COMMA = bytesOf(",");
