import { bytesOf, HASH_SEED, hasAtIgnoringCase, hashStep, lowerByte, smallHash } from "../head/bytes.ts";
import { asciiLower } from "../match/string.ts";

/** Finds the value of the most specific domain; allocates nothing. */
export interface HostIndex<T> {
  find(bytes: Uint8Array, start: number, end: number): T | undefined;
}

interface Entry<T> {
  readonly domain: Uint8Array;
  readonly value: T;
  readonly next: Entry<T> | undefined;
}
interface Bucket<T> {
  readonly length: number;
  readonly entries: Map<number, Entry<T>>;
}

/**
 * Indexes domains as Envoy prefers them: exact, longest `*suffix`, longest `prefix*`, `*`. A wildcard stands for at least one
 * character. Of equal domains the first wins. Case is ignored.
 * @see envoy.config.route.v3.VirtualHost.domains
 */
export function compileHostIndex<T>(domains: Iterable<readonly [domain: string, value: T]>): HostIndex<T> {
  const exact = new Map<number, Entry<T>>();
  const suffixes = new Map<number, Map<number, Entry<T>>>();
  const prefixes = new Map<number, Map<number, Entry<T>>>();
  let any: T | undefined;
  for (const [raw, value] of domains) {
    const domain = asciiLower(raw);
    if (domain === "*") any ??= value;
    else if (domain.startsWith("*"))
      put(bucketOf(suffixes, bytesOf(domain).length - 1), bytesOf(domain.slice(1)), value);
    else if (domain.endsWith("*"))
      put(bucketOf(prefixes, bytesOf(domain).length - 1), bytesOf(domain.slice(0, -1)), value);
    else put(exact, bytesOf(domain), value);
  }
  const longestSuffixFirst = sortByLength(suffixes);
  const longestPrefixFirst = sortByLength(prefixes);
  return {
    find(bytes, start, end) {
      const found = lookUp(exact, bytes, start, end);
      if (found !== undefined) return found;
      for (const bucket of longestSuffixFirst) {
        if (end - start <= bucket.length) continue;
        const match = lookUp(bucket.entries, bytes, end - bucket.length, end);
        if (match !== undefined) return match;
      }
      for (const bucket of longestPrefixFirst) {
        if (end - start <= bucket.length) continue;
        const match = lookUp(bucket.entries, bytes, start, start + bucket.length);
        if (match !== undefined) return match;
      }
      return any;
    },
  };
}

/** Where the host ends when `:port` is to be ignored; `[::1]:80` → after the bracket. */
export function hostEndWithoutPort(bytes: Uint8Array, start: number, end: number): number {
  let at = end - 1;
  while (at > start && isDigit(bytes[at] ?? 0)) at--;
  return at > start && bytes[at] === COLON && (at === start || !isBareIpv6(bytes, start, at)) ? at : end;
}

const COLON = 0x3a;

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

/** An unbracketed IPv6 literal has a colon before its last one; its tail is no port. */
function isBareIpv6(bytes: Uint8Array, start: number, colon: number): boolean {
  if (bytes[start] === 0x5b) return bytes[colon - 1] !== 0x5d;
  for (let i = start; i < colon; i++) if (bytes[i] === COLON) return true;
  return false;
}

function bucketOf<T>(buckets: Map<number, Map<number, Entry<T>>>, length: number): Map<number, Entry<T>> {
  const bucket = buckets.get(length) ?? new Map<number, Entry<T>>();
  buckets.set(length, bucket);
  return bucket;
}

function sortByLength<T>(buckets: Map<number, Map<number, Entry<T>>>): readonly Bucket<T>[] {
  return [...buckets].map(([length, entries]) => ({ length, entries })).sort((a, b) => b.length - a.length);
}

function put<T>(map: Map<number, Entry<T>>, domain: Uint8Array, value: T): void {
  if (lookUp(map, domain, 0, domain.length) !== undefined) return;
  const hash = hashHost(domain, 0, domain.length);
  map.set(hash, { domain, value, next: map.get(hash) });
}

function lookUp<T>(map: Map<number, Entry<T>>, bytes: Uint8Array, start: number, end: number): T | undefined {
  if (map.size === 0) return undefined;
  for (let entry = map.get(hashHost(bytes, start, end)); entry !== undefined; entry = entry.next) {
    if (entry.domain.length === end - start && hasAtIgnoringCase(bytes, start, entry.domain)) return entry.value;
  }
  return undefined;
}

function hashHost(bytes: Uint8Array, start: number, end: number): number {
  let hash = HASH_SEED;
  for (let i = start; i < end; i++) hash = hashStep(hash, lowerByte(bytes[i] ?? 0));
  return smallHash(hash);
}
