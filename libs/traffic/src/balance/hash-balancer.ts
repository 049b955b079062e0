import { xxHash64 } from "../hash/xxhash64.ts";
import { bytesOf } from "../head/bytes.ts";

/** An endpoint on a ring: `key` is its address and port as text, so that every proxy puts it at the same place. */
export interface HashedEndpoint {
  readonly key: string;
  readonly weight: number;
}

export type HashAlgorithm =
  /** Sizes in ring entries. */
  | { readonly kind: "ringHash"; readonly minimumSize: number; readonly maximumSize: number }
  /** A prime. */
  | { readonly kind: "maglev"; readonly tableSize: number };

/** Chooses endpoints by the hash of a request: equal hashes go to equal endpoints while the endpoints stay. */
export interface HashBalancer {
  /**
   * Index of the endpoint; -1 when there is none.
   * @param attempt 0 for the first choice; a higher one goes on from there, for retries.
   */
  pick(hash: bigint, attempt: number): number;
}

/** Makes a new balancer for a fixed list of endpoints; weights count relative to each other. */
export function createHashBalancer(algorithm: HashAlgorithm, endpoints: readonly HashedEndpoint[]): HashBalancer {
  const usable = endpoints.map((endpoint) => Math.max(0, endpoint.weight));
  const total = usable.reduce((sum, weight) => sum + weight, 0);
  if (endpoints.length === 0) return { pick: () => -1 };
  const shares = usable.map((weight) => (total === 0 ? 1 / endpoints.length : weight / total));
  return algorithm.kind === "maglev" ? maglev(algorithm, endpoints, shares) : ring(algorithm, endpoints, shares);
}

/** Ketama as Envoy has it: `<key>_<n>` for as many n as the weight asks for. */
function ring(
  { minimumSize, maximumSize }: Extract<HashAlgorithm, { kind: "ringHash" }>,
  endpoints: readonly HashedEndpoint[],
  shares: readonly number[],
): HashBalancer {
  const least = Math.min(...shares.filter((share) => share > 0));
  const scale = Math.min(Math.ceil(least * minimumSize) / least, maximumSize);
  const entries: { readonly hash: bigint; readonly index: number }[] = [];
  let target = 0;
  endpoints.forEach(({ key }, index) => {
    target += scale * (shares[index] ?? 0);
    // A tolerance for sums of shares that fall short of a whole number by rounding.
    for (let n = 0; entries.length < target - 1e-9; n++) {
      entries.push({ hash: xxHash64(bytesOf(`${key}_${n}`)), index });
    }
  });
  entries.sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : a.index - b.index));
  const hashes = BigUint64Array.from(entries, (entry) => entry.hash);
  return {
    pick: (hash, attempt) => entries[(firstAtLeast(hashes, hash) + attempt) % entries.length]?.index ?? -1,
  };
}

/** Index of the first entry not below `hash`; past the end, so that it wraps, when there is none. */
function firstAtLeast(hashes: BigUint64Array, hash: bigint): number {
  let [low, high] = [0, hashes.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hashes[middle] ?? 0n) < hash) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @see https://research.google/pubs/maglev-a-fast-and-reliable-software-network-load-balancer/ §3.4 */
function maglev(
  { tableSize }: Extract<HashAlgorithm, { kind: "maglev" }>,
  endpoints: readonly HashedEndpoint[],
  shares: readonly number[],
): HashBalancer {
  const size = BigInt(tableSize);
  const most = Math.max(...shares);
  const entries = endpoints
    .map(({ key }, index) => ({
      index,
      next: Number(xxHash64(bytesOf(key)) % size),
      skip: Number((xxHash64(bytesOf(key), 1n) % (size - 1n)) + 1n),
      share: shares[index] ?? 0,
      target: 0,
    }))
    .filter((entry) => entry.share > 0);
  const table = new Int32Array(tableSize).fill(-1);
  let filled = 0;
  for (let turn = 1; filled < tableSize; turn++) {
    for (const entry of entries) {
      if (filled === tableSize) break;
      // Lighter endpoints sit out the turns that their weight does not pay for.
      if (turn * entry.share < entry.target) continue;
      entry.target += most;
      while (table[entry.next] !== -1) entry.next = (entry.next + entry.skip) % tableSize;
      table[entry.next] = entry.index;
      entry.next = (entry.next + entry.skip) % tableSize;
      filled++;
    }
  }
  return {
    pick(hash, attempt) {
      // As Envoy: a retry looks elsewhere by another hash.
      const moved = attempt === 0 ? hash : hash ^ (0xffff_ffff_ffff_ffffn - BigInt(attempt) + 1n);
      return table[Number(moved % size)] ?? -1;
    },
  };
}
