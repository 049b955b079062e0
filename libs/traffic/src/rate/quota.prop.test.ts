import fc from "fast-check";
import { expect, it } from "vitest";
import { type QuotaGrant, QuotaLedger, type QuotaRequest } from "./quota.ts";

const START = 1_767_225_600_000;
const request = fc.record({
  key: fc.constantFrom("a", "b"),
  amount: fc.nat({ max: 5 }),
  bestEffort: fc.boolean(),
  limit: fc.record({
    max: fc.nat({ max: 8 }),
    windowMs: fc.constantFrom(1, 9, 60, 1_000, 3_600_000),
    algorithm: fc.constantFrom("fixed" as const, "rolling" as const),
  }),
});
const schedule = fc.array(fc.record({ request, afterMs: fc.nat({ max: 700 }) }), { maxLength: 60 });

interface Done {
  readonly request: QuotaRequest;
  readonly grant: QuotaGrant;
}
const together = (one: QuotaRequest, other: QuotaRequest) =>
  one.key === other.key && one.limit.windowMs === other.limit.windowMs && one.limit.algorithm === other.limit.algorithm;
/** What of the past is in a span of time, by a list of everything that happened: nothing like the arithmetic that is tested. */
const hadSince = (past: readonly Done[], asked: QuotaRequest, fromMs: number) =>
  past
    .filter(({ request: earlier, grant }) => together(earlier, asked) && grant.atMs >= fromMs)
    .reduce((sum, { grant }) => sum + grant.granted, 0);

it("grants what a list of the past says is left", () => {
  fc.assert(
    fc.property(schedule, (steps) => {
      const ledger = new QuotaLedger();
      const past: Done[] = [];
      let now = START;
      for (const { request: asked, afterMs } of steps) {
        now += afterMs;
        const { windowMs, max, algorithm } = asked.limit;
        const grant = ledger.allocate(asked, now);
        const windowFrom = algorithm === "fixed" ? now - (now % windowMs) : now - windowMs + 1;
        const had = hadSince(past, asked, windowFrom);
        // Never more than the limit, in any window.
        if (grant.granted > 0) expect(had + grant.granted).toBeLessThanOrEqual(max);
        // And no less than is surely free: a rolling window may still count what is up to a 60th older.
        const margin = algorithm === "fixed" ? 0 : Math.ceil(windowMs / 60);
        const surelyFree = Math.max(0, max - hadSince(past, asked, windowFrom - margin));
        if (asked.amount <= surelyFree) expect(grant.granted).toBe(asked.amount);
        else if (asked.bestEffort) expect(grant.granted).toBeGreaterThanOrEqual(surelyFree);
        else expect([0, asked.amount]).toContain(grant.granted);
        expect(grant.validMs).toBeGreaterThan(0);
        expect(grant.validMs).toBeLessThanOrEqual(windowMs + margin);
        past.push({ request: asked, grant });
      }
    }),
    { numRuns: 200 },
  );
});

it("frees something exactly when it says so", () => {
  fc.assert(
    fc.property(request, fc.nat({ max: 3_600_000 }), (asked, offset) => {
      fc.pre(asked.limit.max > 0);
      const ledger = new QuotaLedger();
      const now = START + offset;
      const all = { ...asked, amount: asked.limit.max };
      const { validMs, granted } = ledger.allocate(all, now);
      expect(granted).toBe(asked.limit.max);
      expect(ledger.allocate({ ...asked, amount: 1 }, now + validMs - 1).granted).toBe(0);
      expect(ledger.allocate({ ...asked, amount: 1 }, now + validMs).granted).toBe(1);
    }),
    { numRuns: 200 },
  );
});

it("gives the same whether or not what has no effect was forgotten", () => {
  fc.assert(
    fc.property(schedule, (steps) => {
      const [kept, tidied] = [new QuotaLedger(), new QuotaLedger()];
      let now = START;
      for (const { request: asked, afterMs } of steps) {
        now += afterMs;
        tidied.expire(now);
        expect(tidied.allocate(asked, now)).toEqual(kept.allocate(asked, now));
      }
    }),
    { numRuns: 100 },
  );
});
