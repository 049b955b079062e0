import { seededRandom } from "@lateen/kernel";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createBalancer } from "./balancer.ts";
import { healthySet } from "./health.ts";
import { splitWeights } from "./weights.ts";

const weightsOf = (...weights: readonly number[]) => weights.map((weight) => ({ weight }));
const idle = { inFlight: () => 0 };

function counts(kind: "roundRobin" | "leastRequest" | "random", weights: readonly number[], picks: number): number[] {
  const balancer = createBalancer(kind, weightsOf(...weights), { random: seededRandom(1).next, ...idle });
  const seen = weights.map(() => 0);
  for (let i = 0; i < picks; i++) {
    const picked = balancer.pick();
    seen[picked] = (seen[picked] ?? 0) + 1;
  }
  return seen;
}

describe("round robin", () => {
  it("takes turns, beginning anywhere", () => {
    expect(counts("roundRobin", [1, 1, 1], 9)).toEqual([3, 3, 3]);
    const starts = new Set(
      [0, 0.4, 0.9].map((random) =>
        createBalancer("roundRobin", weightsOf(1, 1, 1), { random: () => random, ...idle }).pick(),
      ),
    );
    expect(starts.size).toBe(3);
  });

  it("keeps to weights exactly over a round, without bursts", () => {
    expect(counts("roundRobin", [3, 1], 400)).toEqual([300, 100]);
    const balancer = createBalancer("roundRobin", weightsOf(2, 2, 2, 6), { random: () => 0, ...idle });
    const picks = Array.from({ length: 12 }, () => balancer.pick());
    expect(picks.join("")).not.toContain("333");
  });
});

describe("random", () => {
  it("keeps to weights in the long run", () => {
    const [a = 0, b = 0] = counts("random", [1, 3], 4000);
    expect(b / a).toBeGreaterThan(2.6);
    expect(b / a).toBeLessThan(3.4);
  });
});

describe("least request", () => {
  it("prefers who has less to do", () => {
    const load = [5, 0];
    const balancer = createBalancer("leastRequest", weightsOf(1, 1), {
      random: seededRandom(1).next,
      inFlight: (i) => load[i] ?? 0,
    });
    for (let i = 0; i < 20; i++) expect(balancer.pick()).toBe(1);
  });

  it("evens out load that it causes itself", () => {
    const load = new Array<number>(8).fill(0);
    const balancer = createBalancer("leastRequest", weightsOf(...load.map(() => 1)), {
      random: seededRandom(7).next,
      inFlight: (i) => load[i] ?? 0,
    });
    for (let i = 0; i < 800; i++) {
      const picked = balancer.pick();
      load[picked] = (load[picked] ?? 0) + 1;
    }
    expect(Math.max(...load) - Math.min(...load)).toBeLessThan(8);
  });
});

describe("all", () => {
  it.each(["roundRobin", "leastRequest", "random"] as const)(
    "%s picks none of none, and zero weights only alone",
    (kind) => {
      expect(createBalancer(kind, [], { random: () => 0, ...idle }).pick()).toBe(-1);
      expect(counts(kind, [0, 1, 0], 50)).toEqual([0, 50, 0]);
      expect(counts(kind, [0, 0], 40).every((count) => count > 0)).toBe(true);
      expect(counts(kind, [1], 5)).toEqual([5]);
    },
  );

  it("stay within the list, whatever chance and load say", () => {
    const kinds = fc.constantFrom("roundRobin" as const, "leastRequest" as const, "random" as const);
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(
        kinds,
        fc.array(fc.nat(5), { minLength: 1, maxLength: 6 }),
        chance,
        fc.nat(9),
        (kind, weights, random, load) => {
          const balancer = createBalancer(kind, weightsOf(...weights), { random: () => random, inFlight: () => load });
          for (let i = 0; i < 10; i++) {
            const picked = balancer.pick();
            expect(picked).toBeGreaterThanOrEqual(0);
            expect(picked).toBeLessThan(weights.length);
            if (weights.some((weight) => weight > 0)) expect(weights[picked]).toBeGreaterThan(0);
          }
        },
      ),
    );
  });
});

describe("splitWeights", () => {
  it.each([
    [[], 0, -1],
    [[5], 0.9, 0],
    [[1, 3], 0.24, 0],
    [[1, 3], 0.25, 1],
    [[1, 0, 3], 0.25, 2],
    [[0, 0], 0.6, 1],
    [[-5, 1], 0, 1],
    [[1, 1, 0], 0.9999999999999999, 1],
  ])("%j at %d gives %d", (weights, random, expected) => {
    expect(splitWeights(weights, () => random)).toBe(expected);
  });
});

describe("healthySet", () => {
  const locality = (priority: number, healthy: number, total: number, weight?: number) => ({
    priority,
    weight,
    endpoints: Array.from({ length: total }, (_, i) => ({ healthy: i < healthy, name: `${priority}.${i}` })),
  });
  const shares = (localities: Parameters<typeof healthySet>[0], panic = 50) =>
    healthySet(localities, panic).map(({ priority, share, panic, endpoints }) => [
      priority,
      Math.round(share * 100),
      endpoints.length,
      panic,
    ]);

  it.each<[string, Parameters<typeof healthySet>[0], number, (number | boolean)[][]]>([
    ["nothing", [], 50, []],
    ["all healthy", [locality(0, 3, 3)], 50, [[0, 100, 3, false]]],
    ["only the healthy ones", [locality(0, 2, 3)], 50, [[0, 100, 2, false]]],
    [
      "a priority carries 1.4 times its share",
      [locality(0, 1, 2), locality(1, 2, 2)],
      0,
      [
        [0, 70, 1, false],
        [1, 30, 2, false],
      ],
    ],
    [
      "a priority told to carry twice its share",
      [{ ...locality(0, 1, 2), overprovisioning: 2 }, locality(1, 2, 2)],
      0,
      [[0, 100, 1, false]],
    ],
    ["the next priority when the first is down", [locality(0, 0, 2), locality(1, 2, 2)], 0, [[1, 100, 2, false]]],
    ["panic", [locality(0, 1, 4)], 50, [[0, 100, 4, true]]],
    ["no panic when it is off", [locality(0, 1, 4)], 0, [[0, 100, 1, false]]],
    ["nobody healthy, panic off", [locality(0, 0, 4)], 0, []],
    ["nobody healthy, panic on", [locality(0, 0, 4)], 50, [[0, 100, 4, true]]],
    [
      "weights of localities",
      [locality(0, 2, 2, 1), locality(0, 2, 2, 3)],
      50,
      [
        [0, 25, 2, false],
        [0, 75, 2, false],
      ],
    ],
    ["a weighted locality that is down", [locality(0, 0, 2, 1), locality(0, 2, 2, 1)], 0, [[0, 100, 2, false]]],
  ])("%s", (_, localities, panic, expected) => {
    expect(shares(localities, panic)).toEqual(expected);
  });

  it("hands out the whole traffic and never an unhealthy endpoint without panic", () => {
    const arbitrary = fc
      .record({
        priority: fc.nat(2),
        total: fc.nat(4),
        weight: fc.option(fc.nat(3), { nil: undefined }),
        healthy: fc.nat(4),
      })
      .map(({ priority, total, weight, healthy }) => locality(priority, Math.min(healthy, total), total, weight));
    fc.assert(
      fc.property(fc.array(arbitrary, { maxLength: 5 }), fc.constantFrom(0, 50, 100), (localities, panicPercent) => {
        const groups = healthySet(localities, panicPercent);
        const total = groups.reduce((sum, { share }) => sum + share, 0);
        if (groups.length > 0) expect(total).toBeCloseTo(1);
        for (const { endpoints, panic } of groups) {
          expect(endpoints.length).toBeGreaterThan(0);
          if (!panic) for (const endpoint of endpoints) expect(endpoint.healthy).toBe(true);
        }
      }),
    );
  });
});
