import fc from "fast-check";
import { expect, it } from "vitest";
import { tokenBucket } from "./token-bucket.ts";

const spec = fc.record({
  max: fc.integer({ min: 1, max: 20 }),
  perFill: fc.integer({ min: 1, max: 20 }),
  fillMs: fc.constantFrom(50, 1_000, 60_000),
});

it("gives at most what it holds and what is filled in meanwhile, and no less by more than rounding", () => {
  fc.assert(
    fc.property(spec, fc.array(fc.nat({ max: 30_000 }), { maxLength: 80 }), ({ max, perFill, fillMs }, waits) => {
      const bucket = tokenBucket({ max, perFill, fillMs });
      const start = 1_767_225_600_000_000;
      let now = start;
      let state = 0;
      let taken = 0;
      for (const wait of waits) {
        now += wait * 1000;
        const left = bucket.left(state, now);
        expect(left).toBeLessThanOrEqual(max);
        const next = bucket.take(state, now);
        expect(next !== undefined).toBe(left > 0);
        if (next === undefined) continue;
        state = next;
        taken++;
        const filled = ((now - start) / (fillMs * 1000)) * perFill;
        // A state is rounded down to a microsecond with each token.
        expect(taken).toBeLessThanOrEqual(max + filled + 1e-3 * taken + 1e-6);
      }
    }),
    { numRuns: 200 },
  );
});

it("has another token when it says so", () => {
  fc.assert(
    fc.property(spec, (of) => {
      const bucket = tokenBucket(of);
      const now = 1_767_225_600_000_000;
      let state = 0;
      for (let i = 0; i < of.max; i++) state = bucket.take(state, now) ?? Number.NaN;
      expect(bucket.take(state, now)).toBeUndefined();
      const seconds = bucket.resetSeconds(state, now);
      expect(bucket.left(state, now + seconds * 1_000_000)).toBeGreaterThan(0);
    }),
    { numRuns: 100 },
  );
});
