import { hashName } from "@lateen/traffic";
import { KNOWN_NAMES, knownByHash } from "./known-headers.ts";

/** A header name that was looked at once, so that looking it up in a head costs little. */
export interface HeaderName {
  /** Lower case. */
  readonly name: string;
  readonly hash: number;
  /** Position in KNOWN_NAMES, or -1. */
  readonly known: number;
  /** It is one of `:method`, `:path`, `:authority` (which is also `host`), `:scheme`. */
  readonly pseudo: "method" | "path" | "authority" | "scheme" | undefined;
}

const PSEUDO: Readonly<Record<string, HeaderName["pseudo"]>> = {
  ":method": "method",
  ":path": "path",
  ":authority": "authority",
  host: "authority",
  ":scheme": "scheme",
};

/** @param name in any case. */
export function headerName(name: string): HeaderName {
  const lower = name.toLowerCase();
  const hash = hashName(lower);
  const known = knownByHash(hash);
  // The constant's own text: what is compared with it then is the same object, as a rule.
  const own = KNOWN_NAMES[known];
  const isKnown = own === lower;
  return { name: isKnown ? own : lower, hash, known: isKnown ? known : -1, pseudo: PSEUDO[lower] };
}
