import fc from "fast-check";
import { expect, it } from "vitest";
import { defineQuery, QueryEngine } from "./query-engine.ts";

const CELLS = ["a", "b", "c", "d"];

/** Queries of three levels whose reads depend on what they read, with equalities that cut off. */
const value = defineQuery<string, number>({ name: "value", compute: (read, cell) => Number(read.input(cell) ?? 0) });
const small = defineQuery<string, number>({
  name: "small",
  compute: (read, cell) => Math.min(read.ask(value, cell), 2),
});
const chosen = defineQuery<string, number>({
  name: "chosen",
  compute: (read, cell) => read.ask(value, CELLS[read.ask(small, cell) % CELLS.length] ?? cell),
});
const list = defineQuery<string, readonly number[]>({
  name: "list",
  compute: (read) => CELLS.map((cell) => read.ask(chosen, cell) + read.ask(small, cell)),
  equal: (before, after) => before.join() === after.join(),
});
const QUERIES = [value, small, chosen, list] as const;

it("answers as if everything had been computed from scratch", () => {
  const change = fc.record({ cell: fc.constantFrom(...CELLS), value: fc.nat(5) });
  const question = fc.record({ query: fc.nat(QUERIES.length - 1), cell: fc.constantFrom(...CELLS) });
  fc.assert(
    fc.property(fc.array(fc.oneof(change, question), { maxLength: 40 }), (steps) => {
      const engine = new QueryEngine();
      const cells = new Map<string, number>();
      for (const step of steps) {
        if ("value" in step) {
          cells.set(step.cell, step.value);
          engine.set([[step.cell, step.value]]);
          continue;
        }
        const query = QUERIES[step.query] ?? value;
        const fresh = new QueryEngine();
        fresh.set(cells);
        expect(engine.ask<string, unknown>(query as never, step.cell)).toEqual(
          fresh.ask<string, unknown>(query as never, step.cell),
        );
        if (step.cell === "d") engine.forget(engine.revision);
      }
    }),
    { numRuns: 200 },
  );
});
