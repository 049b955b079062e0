import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createHashBalancer, type HashAlgorithm, type HashedEndpoint } from "./hash-balancer.ts";

const RING: HashAlgorithm = { kind: "ringHash", minimumSize: 1024, maximumSize: 8_388_608 };
const MAGLEV: HashAlgorithm = { kind: "maglev", tableSize: 4099 };
const ALGORITHMS = [
  ["ring hash", RING],
  ["maglev", MAGLEV],
] as const;

const endpoints = (...weights: readonly number[]): readonly HashedEndpoint[] =>
  weights.map((weight, index) => ({ key: `10.0.0.${index + 1}:80`, weight }));
/** Hashes spread over all of 64 bits. */
const HASHES = Array.from({ length: 4000 }, (_, i) => (BigInt(i) * 0x9e3779b97f4a7c15n) & 0xffff_ffff_ffff_ffffn);

function shares(algorithm: HashAlgorithm, list: readonly HashedEndpoint[]): readonly number[] {
  const balancer = createHashBalancer(algorithm, list);
  const counts = list.map(() => 0);
  for (const hash of HASHES) {
    const index = balancer.pick(hash, 0);
    counts[index] = (counts[index] ?? 0) + 1 / HASHES.length;
  }
  return counts;
}

describe.each(ALGORITHMS)("%s", (_name, algorithm) => {
  it("of no endpoints picks none", () => {
    expect(createHashBalancer(algorithm, []).pick(1n, 0)).toBe(-1);
  });

  it.each([
    ["equal weights", [1, 1, 1, 1], [0.25, 0.25, 0.25, 0.25]],
    ["weights", [1, 3], [0.25, 0.75]],
    ["a weight of zero", [0, 1], [0, 1]],
    ["only zeros", [0, 0], [0.5, 0.5]],
  ])("shares by %s", (_title, weights, expected) => {
    shares(algorithm, endpoints(...weights)).forEach((share, index) => {
      expect(Math.abs(share - (expected[index] ?? 0))).toBeLessThan(0.08);
    });
  });

  it("does not depend on the order of the endpoints", () => {
    const list = endpoints(1, 1, 1, 1, 1);
    const turned = list.toReversed();
    const [a, b] = [createHashBalancer(RING, list), createHashBalancer(RING, turned)];
    for (const hash of HASHES.slice(0, 500)) {
      expect(list[a.pick(hash, 0)]?.key).toBe(turned[b.pick(hash, 0)]?.key);
    }
  });

  it("an endpoint that goes takes little along", () => {
    const before = endpoints(1, 1, 1, 1, 1);
    const after = before.slice(0, 4);
    const [a, b] = [createHashBalancer(algorithm, before), createHashBalancer(algorithm, after)];
    const moved = HASHES.filter((hash) => {
      const was = before[a.pick(hash, 0)];
      return was !== before[4] && was?.key !== after[b.pick(hash, 0)]?.key;
    });
    // A ring grows a little for the others; plain division would move four of five.
    expect(moved.length / HASHES.length).toBeLessThan(0.15);
  });

  it("retries come to other endpoints, the first choice stays", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (hash) => {
        const balancer = createHashBalancer(algorithm, endpoints(1, 1, 1));
        const first = balancer.pick(hash, 0);
        expect(balancer.pick(hash, 0)).toBe(first);
        const others = Array.from({ length: 40 }, (_, attempt) => balancer.pick(hash, attempt));
        expect(new Set(others).size).toBeGreaterThan(1);
      }),
      { numRuns: 20 },
    );
  });
});
