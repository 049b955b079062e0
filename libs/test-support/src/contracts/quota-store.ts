import type { QuotaStore } from "@lateen/ports";
import { type QuotaGrant, QuotaLedger, type QuotaRequest } from "@lateen/traffic";
import type fc from "fast-check";
import type { describe, expect, it } from "vitest";

/** Vitest as a parameter: it cannot be imported where no test runs. */
export interface TestApi {
  readonly describe: typeof describe;
  readonly it: typeof it;
  readonly expect: typeof expect;
}

/** A store of quotas, and how its time passes. */
export interface QuotaStoreUnderTest {
  /** Several ways to the same counters, such as connections. At least one. */
  readonly stores: readonly QuotaStore[];
  /** Lets time pass, or gives it the chance to. */
  pass(ms: number): Promise<void>;
}

/** Steps of a schedule: somebody asks, or time passes. */
interface Ask {
  readonly kind: "ask";
  readonly request: QuotaRequest;
  readonly via: number;
}
type Step = Ask | { readonly kind: "pass"; readonly ms: number };

/**
 * What every {@link QuotaStore} must do. Windows are short, so that stores which live in real time see many of them.
 * @param prepare called for each test; keys are not used twice, so the counters may stay.
 */
export function quotaStoreContract(
  { describe, it, expect }: TestApi,
  name: string,
  prepare: () => Promise<QuotaStoreUnderTest>,
): void {
  let keys = 0;
  const prefix = `${name} ${Math.random()} `;
  const unique = () => `${prefix}${keys++}`;

  describe(`${name}: contract of quota stores`, () => {
    it("equals the reference at the times it decides, whatever the schedule", async () => {
      const { stores, pass } = await prepare();
      const { default: check } = await import("fast-check");
      await check.assert(
        check.asyncProperty(scheduleOf(check, stores.length), async (steps) => {
          const run = unique();
          const reference = new QuotaLedger();
          for (const step of steps) {
            if (step.kind === "pass") {
              await pass(step.ms);
              continue;
            }
            const request = { ...step.request, key: `${run} ${step.request.key}` };
            const grant = await one(stores, step.via, request);
            expect(grant).toEqual(reference.allocate(request, grant.atMs));
          }
        }),
        { numRuns: 25 },
      );
    });

    it.each(["fixed", "rolling"] as const)("grants exactly the limit to many at once: %s", async (algorithm) => {
      const { stores } = await prepare();
      const request = { key: unique(), amount: 1, limit: { max: 50, windowMs: 3_600_000, algorithm } };
      const asked = Array.from({ length: 200 }, (_, i) => one(stores, i, request));
      const grants = await Promise.all(asked);
      const granted = grants.reduce((sum, grant) => sum + grant.granted, 0);
      // The hour may end meanwhile; no window has more than its limit.
      expect(mostInWindow(grants, request)).toBe(50);
      expect(granted).toBeLessThanOrEqual(100);
    });

    it.each(["fixed", "rolling"] as const)(
      "never grants more than the limit in any window, while windows pass: %s",
      async (algorithm) => {
        const { stores, pass } = await prepare();
        const request = { key: unique(), amount: 3, bestEffort: true, limit: { max: 20, windowMs: 40, algorithm } };
        const grants: QuotaGrant[] = [];
        for (let round = 0; round < 12; round++) {
          const asked = Array.from({ length: 24 }, (_, i) => one(stores, i, request));
          grants.push(...(await Promise.all(asked)));
          await pass(17);
        }
        expect(mostInWindow(grants, request)).toBeLessThanOrEqual(20);
        expect(mostInWindow(grants, request)).toBeGreaterThan(0);
      },
    );

    it("counts an id once, for all who come with it", async () => {
      const { stores } = await prepare();
      const limit = { max: 10, windowMs: 3_600_000, algorithm: "rolling" } as const;
      const dedup = { id: "a", forMs: 60_000 };
      const request = { key: unique(), amount: 4, limit, dedup };
      const grants = await Promise.all(Array.from({ length: 20 }, (_, i) => one(stores, i, request)));
      expect(grants.map(({ granted }) => granted)).toEqual(grants.map(() => 4));
      const other = await one(stores, 0, { ...request, amount: 7, dedup: { ...dedup, id: "b" } });
      expect([other.granted, other.remaining]).toEqual([0, 6]);
      // What was refused stays refused under its id.
      expect((await one(stores, 0, { ...request, amount: 1, dedup: { ...dedup, id: "b" } })).granted).toBe(0);
      expect((await one(stores, 0, { key: request.key, amount: 6, limit })).granted).toBe(6);
    });

    it("keeps keys, windows and algorithms apart, and decides several requests in their order", async () => {
      const { stores } = await prepare();
      const key = unique();
      const limit = { max: 3, windowMs: 3_600_000, algorithm: "rolling" } as const;
      const grants = await stores[0]?.allocate([
        { key, limit, amount: 2 },
        { key, limit, amount: 2 },
        { key, limit, amount: 2, bestEffort: true },
        { key: `${key} other`, limit, amount: 3 },
        { key, limit: { ...limit, windowMs: 7_200_000 }, amount: 3 },
        { key, limit: { ...limit, algorithm: "fixed" }, amount: 3 },
      ]);
      expect(grants?.map(({ granted }) => granted)).toEqual([2, 0, 1, 3, 3, 3]);
      expect(await stores[0]?.allocate([])).toEqual([]);
    });

    it("grants nothing of a limit of 0, and looking costs nothing", async () => {
      const { stores } = await prepare();
      const limit = { max: 0, windowMs: 3_600_000, algorithm: "fixed" } as const;
      expect(await one(stores, 0, { key: unique(), limit, amount: 1, bestEffort: true })).toMatchObject({
        granted: 0,
        remaining: 0,
      });
      const looked = { key: unique(), limit: { ...limit, max: 5 }, amount: 0 };
      for (let i = 0; i < 10; i++) expect((await one(stores, i, looked)).remaining).toBe(5);
    });
  });
}

async function one(stores: readonly QuotaStore[], via: number, request: QuotaRequest): Promise<QuotaGrant> {
  const [grant] = (await stores[via % stores.length]?.allocate([request])) ?? [];
  if (grant === undefined) throw new Error("a request without a grant");
  return grant;
}

/** The most that was granted in any window: the aligned ones of `fixed`, every one that ends with a grant of `rolling`. */
function mostInWindow(grants: readonly QuotaGrant[], { limit }: QuotaRequest): number {
  const { windowMs, algorithm } = limit;
  const sums = grants.map(({ atMs: end }) =>
    grants
      .filter(({ atMs }) =>
        algorithm === "fixed"
          ? Math.floor(atMs / windowMs) === Math.floor(end / windowMs)
          : atMs > end - windowMs && atMs <= end,
      )
      .reduce((sum, { granted }) => sum + granted, 0),
  );
  return Math.max(...sums);
}

function scheduleOf(check: typeof fc, stores: number): fc.Arbitrary<readonly Step[]> {
  const limit = check.record({
    max: check.nat({ max: 6 }),
    windowMs: check.constantFrom(1, 7, 20, 60, 1_000),
    algorithm: check.constantFrom("fixed" as const, "rolling" as const),
  });
  const request = check.record(
    {
      key: check.constantFrom("a", "b"),
      limit,
      amount: check.nat({ max: 4 }),
      bestEffort: check.boolean(),
      dedup: check.record({ id: check.constantFrom("x", "y"), forMs: check.constantFrom(1, 10, 50) }),
    },
    { requiredKeys: ["key", "limit", "amount"] },
  );
  const ask = check.record({ kind: check.constant("ask" as const), request, via: check.nat({ max: stores - 1 }) });
  const pass = check.record({ kind: check.constant("pass" as const), ms: check.integer({ min: 1, max: 25 }) });
  return check.array(check.oneof({ weight: 5, arbitrary: ask }, { weight: 1, arbitrary: pass }), { maxLength: 40 });
}
