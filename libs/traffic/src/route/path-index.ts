import { bytesOf, HASH_SEED, hasAt, hashStep, smallHash } from "../head/bytes.ts";
import type { HeadView } from "../head/head.ts";
import { compileRegex } from "../match/regex.ts";
import { asciiLower, type BytesMatch, compileStringMatch } from "../match/string.ts";
import type { RouteMatchSpec } from "./spec.ts";

type PathSpec = RouteMatchSpec["path"];

/**
 * Finds, among ordered path conditions, the first that matches and whose other conditions hold. Exact paths and prefixes are
 * found by hashing the path once, whatever their number; expressions and case-insensitive ones are tried in turn. Allocates
 * nothing; not re-entrant (`accept` must not call `first`).
 */
export interface PathIndex {
  /** Index of the first path condition that matches and that `accept` takes, or -1. */
  first(head: HeadView, accept: (index: number) => boolean): number;
}

interface Entry {
  readonly path: Uint8Array;
  readonly indices: number[];
  readonly next: Entry | undefined;
}
interface Bucket {
  readonly length: number;
  readonly entries: Map<number, Entry>;
}

const SLASH = 0x2f;
const NONE: readonly number[] = [];

export function compilePathIndex(paths: readonly PathSpec[]): PathIndex {
  const exact = new Map<number, Entry>();
  const byLength = new Map<number, Bucket>();
  const others: number[] = [];
  /** What hashing does not settle. */
  const checks: (BytesMatch | undefined)[] = paths.map((path, index) => {
    if (path.kind === "regex" || path.ignoreCase) {
      others.push(index);
      return compilePathMatch(path);
    }
    const bytes = bytesOf(path.value);
    if (path.kind === "exact") put(exact, bytes, index);
    else {
      const bucket = byLength.get(bytes.length) ?? { length: bytes.length, entries: new Map<number, Entry>() };
      byLength.set(bytes.length, bucket);
      put(bucket.entries, bytes, index);
    }
    return path.kind === "pathSeparatedPrefix" ? compilePathMatch(path) : undefined;
  });
  const buckets = [...byLength.values()].sort((a, b) => a.length - b.length);
  const lists: (readonly number[])[] = new Array(buckets.length + 2).fill(NONE);
  const cursors = new Int32Array(buckets.length + 2);
  const search = new Search(exact, buckets, others, lists);
  return {
    first(head, accept) {
      const count = search.collect(head);
      for (let i = 0; i < count; i++) cursors[i] = 0;
      for (;;) {
        const index = takeSmallest(lists, cursors, count);
        if (index < 0) return -1;
        const check = checks[index];
        if ((check === undefined || check(head.bytes, head.pathStart, head.queryStart)) && accept(index)) return index;
      }
    },
  };
}

/** One path condition on its own, over the path without query. */
export function compilePathMatch(path: PathSpec): BytesMatch {
  if (path.kind === "regex") {
    compileRegex(path.pattern);
    return compileStringMatch(path);
  }
  if (path.kind !== "pathSeparatedPrefix") return compileStringMatch({ ...path, kind: path.kind });
  const prefix = path.ignoreCase ? asciiLower(path.value) : path.value;
  const starts = compileStringMatch({ kind: "prefix", value: prefix, ignoreCase: path.ignoreCase });
  const length = bytesOf(prefix).length;
  return (bytes, start, end) =>
    starts(bytes, start, end) && (end - start === length || bytes[start + length] === SLASH);
}

class Search {
  readonly #exact: Map<number, Entry>;
  readonly #buckets: readonly Bucket[];
  readonly #others: readonly number[];
  readonly #lists: (readonly number[])[];

  constructor(
    exact: Map<number, Entry>,
    buckets: readonly Bucket[],
    others: readonly number[],
    lists: (readonly number[])[],
  ) {
    this.#exact = exact;
    this.#buckets = buckets;
    this.#others = others;
    this.#lists = lists;
  }

  /** Puts the ascending candidate lists for this path into `lists`; returns how many there are. */
  collect(head: HeadView): number {
    const { bytes, pathStart: start } = head;
    const length = head.queryStart - start;
    const lists = this.#lists;
    let count = 0;
    if (this.#others.length > 0) lists[count++] = this.#others;
    let hash = HASH_SEED;
    let at = 0;
    for (let i = 0; i < this.#buckets.length; i++) {
      const bucket = this.#buckets[i];
      if (bucket === undefined || bucket.length > length) break;
      for (; at < bucket.length; at++) hash = hashStep(hash, bytes[start + at] ?? 0);
      const found = lookUp(bucket.entries, hash, bytes, start, bucket.length);
      if (found !== undefined) lists[count++] = found.indices;
    }
    if (this.#exact.size > 0) {
      for (; at < length; at++) hash = hashStep(hash, bytes[start + at] ?? 0);
      const found = lookUp(this.#exact, hash, bytes, start, length);
      if (found !== undefined) lists[count++] = found.indices;
    }
    return count;
  }
}

function takeSmallest(lists: readonly (readonly number[])[], cursors: Int32Array, count: number): number {
  let best = -1;
  let bestList = -1;
  for (let i = 0; i < count; i++) {
    const index = lists[i]?.[cursors[i] ?? 0];
    if (index !== undefined && (best < 0 || index < best)) {
      best = index;
      bestList = i;
    }
  }
  if (bestList >= 0) cursors[bestList] = (cursors[bestList] ?? 0) + 1;
  return best;
}

function put(map: Map<number, Entry>, path: Uint8Array, index: number): void {
  let hash = HASH_SEED;
  for (const byte of path) hash = hashStep(hash, byte);
  const found = lookUp(map, hash, path, 0, path.length);
  if (found !== undefined) found.indices.push(index);
  else map.set(smallHash(hash), { path, indices: [index], next: map.get(smallHash(hash)) });
}

function lookUp(
  map: Map<number, Entry>,
  hash: number,
  bytes: Uint8Array,
  start: number,
  length: number,
): Entry | undefined {
  for (let entry = map.get(smallHash(hash)); entry !== undefined; entry = entry.next) {
    if (entry.path.length === length && hasAt(bytes, start, entry.path)) return entry;
  }
  return undefined;
}
