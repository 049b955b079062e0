import fc from "fast-check";
import { expect, it } from "vitest";
import { type Attributes, compileCel } from "./compile.ts";
import { CelProblem } from "./syntax.ts";

const attributes: Attributes<undefined> = {
  "a.b": { type: "int", read: () => 3n },
  "a.s": { type: "string", read: () => undefined },
};
const PIECES = [
  "a.b",
  "a.s",
  "1",
  "2.5",
  "'x'",
  "true",
  "(",
  ")",
  "[",
  "]",
  "+",
  "-",
  "/",
  "%",
  "==",
  "<",
  "in",
  "&&",
  "||",
  "!",
  "?",
  ":",
  ",",
  ".size()",
  "has(",
  "string(",
  "\\",
  '"',
];

it("refuses a text by name of the problem, or evaluates it without throwing", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 24 }), (pieces) => {
      try {
        compileCel(pieces.join(" "), attributes).evaluate(undefined);
      } catch (error) {
        expect(error).toBeInstanceOf(CelProblem);
      }
    }),
    { numRuns: 1000 },
  );
});

it("computes as JavaScript does, where both compute the same", () => {
  const number = fc.integer({ min: -50, max: 50 });
  fc.assert(
    fc.property(number, number, number, (a, b, c) => {
      const of = (text: string) => compileCel(text, attributes).evaluate(undefined);
      expect(of(`(${a}) + (${b}) * (${c})`)).toBe(BigInt(a + b * c));
      expect(of(`${a}.0 < ${b}.0 || ${b} == ${c}`)).toBe(a < b || b === c);
    }),
  );
});
