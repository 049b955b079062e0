import { hashName } from "@lateen/traffic";
import { TOKEN } from "./chars.ts";

/** Headers the proxy itself reads or removes; the parser notes where they are, so that nobody searches. */
export const KNOWN_NAMES = [
  "connection",
  "content-length",
  "transfer-encoding",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "upgrade",
  "expect",
  "x-request-id",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-client-cert",
  "content-type",
  "user-agent",
  "date",
  "server",
  "x-envoy-upstream-service-time",
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-attempt-count",
  "x-envoy-internal",
  "x-envoy-original-path",
  "x-envoy-decorator-operation",
  "x-envoy-peer-metadata",
  "x-envoy-peer-metadata-id",
  "x-envoy-retry-on",
  "x-envoy-max-retries",
  "x-envoy-retry-grpc-on",
  "proxy-authorization",
  "http2-settings",
  "x-envoy-external-address",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-ip-tags",
  "x-envoy-force-trace",
  "trailer",
  "cookie",
  "grpc-timeout",
  "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names",
  "x-envoy-ratelimited",
] as const;

export type KnownName = (typeof KNOWN_NAMES)[number];

/** Position of a name in {@link KNOWN_NAMES}. */
export const K: Readonly<Record<KnownName, number>> = Object.fromEntries(
  KNOWN_NAMES.map((name, index) => [name, index]),
) as Record<KnownName, number>;

const TABLE_BITS = 12;
const TABLE_MASK = (1 << TABLE_BITS) - 1;
/** Low bits of the name hash → index + 1 in KNOWN_NAMES; 0 = not known. */
const TABLE = buildTable();
const HASHES = Int32Array.from(KNOWN_NAMES, (name) => hashName(name));

function buildTable(): Uint8Array {
  const table = new Uint8Array(1 << TABLE_BITS);
  for (const [index, name] of KNOWN_NAMES.entries()) {
    const slot = hashName(name) & TABLE_MASK;
    if (table[slot] !== 0) throw new RangeError(`known headers ${name} and ${index} share a slot; enlarge the table`);
    table[slot] = index + 1;
  }
  return table;
}

/** Index of the known header whose full hash is `hash`, or -1. The caller still verifies the bytes. */
export function knownByHash(hash: number): number {
  const index = (TABLE[hash & TABLE_MASK] as number) - 1;
  return index >= 0 && HASHES[index] === hash ? index : -1;
}

/** All names one after another, and where each begins; the last place is the end. */
const NAME_BYTES = Uint8Array.from(KNOWN_NAMES.join(""), (character) => character.charCodeAt(0));
const NAME_STARTS = Int32Array.from({ length: KNOWN_NAMES.length + 1 }, (_, index) =>
  KNOWN_NAMES.slice(0, index).reduce((sum, name) => sum + name.length, 0),
);

/** Whether `bytes[start..end)`, which are token characters, are the known header's name in any case. */
export function isKnownName(bytes: Uint8Array, start: number, end: number, known: number): boolean {
  let at = NAME_STARTS[known] as number;
  if (end - start !== (NAME_STARTS[known + 1] as number) - at) return false;
  for (let i = start; i < end; i++) if (TOKEN[bytes[i] as number] !== NAME_BYTES[at++]) return false;
  return true;
}
