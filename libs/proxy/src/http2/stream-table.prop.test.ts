import fc from "fast-check";
import { expect, it } from "vitest";
import { StreamTable } from "./stream-table.ts";

/** Numbers that are near each other, and some far ones that share their lower bits. */
const id = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: 60 }).map((n) => n * 4096 + 1),
);
const step = fc.oneof(
  { weight: 5, arbitrary: id.map((n) => ({ kind: "add" as const, id: n })) },
  { weight: 4, arbitrary: id.map((n) => ({ kind: "delete" as const, id: n })) },
  { weight: 1, arbitrary: fc.constant({ kind: "clear" as const, id: 0 }) },
);

it("holds what a map would hold, however streams come and go", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
      const table = new StreamTable<{ readonly id: number }>();
      const wanted = new Map<number, { readonly id: number }>();
      for (const { kind, id } of steps) {
        if (kind === "clear") {
          table.clear();
          wanted.clear();
        } else if (kind === "delete") {
          table.delete(id);
          wanted.delete(id);
        } else if (!wanted.has(id)) {
          const stream = { id };
          table.add(stream);
          wanted.set(id, stream);
        }
        expect(table.size).toBe(wanted.size);
        expect(table.get(id)).toBe(wanted.get(id));
      }
      expect(table.all()).toEqual([...wanted.values()].sort((one, other) => one.id - other.id));
      for (const [id, stream] of wanted) expect(table.get(id)).toBe(stream);
    }),
  );
});

it("finds ten thousand streams, and gives their places back when the last of them is gone", () => {
  const table = new StreamTable<{ readonly id: number }>();
  const ids = Array.from({ length: 10_000 }, (_, n) => 2 * n + 1);
  for (const id of ids) table.add({ id });
  expect(ids.every((id) => table.get(id)?.id === id)).toBe(true);
  expect(table.get(20_001)).toBeUndefined();
  for (const id of ids.toReversed()) table.delete(id);
  expect([table.size, table.all()]).toEqual([0, []]);
});
