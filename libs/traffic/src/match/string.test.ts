import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { StringMatchSpec } from "../route/spec.ts";
import { compileStringMatch, compileTextMatch } from "./string.ts";

const judge = (spec: StringMatchSpec, text: string): boolean => {
  const bytes = Buffer.from(`<<${text}>>`);
  return compileStringMatch(spec)(bytes, 2, bytes.length - 2);
};
const of = (kind: "exact" | "prefix" | "suffix" | "contains", value: string, ignoreCase = false): StringMatchSpec => ({
  kind,
  value,
  ignoreCase,
});

describe("string match", () => {
  it.each<[StringMatchSpec, string, boolean]>([
    [of("exact", "abc"), "abc", true],
    [of("exact", "abc"), "abcd", false],
    [of("exact", "abc"), "Abc", false],
    [of("exact", "aBc", true), "AbC", true],
    [of("exact", ""), "", true],
    [of("prefix", "ab"), "abc", true],
    [of("prefix", "abc"), "ab", false],
    [of("prefix", ""), "", true],
    [of("suffix", "bc"), "abc", true],
    [of("suffix", "<bc"), "bc", false],
    [of("contains", "b"), "abc", true],
    [of("contains", ">"), "abc", false],
    [of("contains", "B", true), "abc", true],
    // Only ASCII letters fold.
    [of("exact", "É", true), "é", false],
    [of("exact", "é"), "é", true],
    // An expression must match the whole value.
    [{ kind: "regex", pattern: "a+" }, "aaa", true],
    [{ kind: "regex", pattern: "a+" }, "aaab", false],
    [{ kind: "regex", pattern: "a|ab" }, "ab", true],
    [{ kind: "regex", pattern: "(?i)ABC" }, "abc", true],
    [{ kind: "regex", pattern: "." }, "é", true],
  ])("%j on %j is %s, as bytes and as text", (spec, text, expected) => {
    expect(judge(spec, text)).toBe(expected);
    expect(compileTextMatch(spec)(text)).toBe(expected);
  });

  it.each(["(?=a)", "(a)\\1", "(", "a".repeat(9000), "((a{100}){100}){100}"])("refuses %.20s", (pattern) => {
    expect(() => compileStringMatch({ kind: "regex", pattern })).toThrow(expect.objectContaining({ code: "LTN5901" }));
  });

  it("takes no longer on input made for backtracking", () => {
    const match = compileTextMatch({ kind: "regex", pattern: "(a*)*b" });
    expect(match("a".repeat(5000))).toBe(false);
  });

  const REFERENCE = {
    exact: (text: string, value: string) => text === value,
    prefix: (text: string, value: string) => text.startsWith(value),
    suffix: (text: string, value: string) => text.endsWith(value),
    contains: (text: string, value: string) => text.includes(value),
  };
  const few = fc.string({ unit: fc.constantFrom("a", "A", "b", "/", "é"), maxLength: 6 });
  it("agrees with what JavaScript says of strings", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("exact", "prefix", "suffix", "contains"),
        few,
        few,
        fc.boolean(),
        (kind, value, text, ignoreCase) => {
          const fold = (s: string) => (ignoreCase ? s.replaceAll("A", "a") : s);
          const expected = REFERENCE[kind](fold(text), fold(value));
          expect(judge(of(kind, value, ignoreCase), text)).toBe(expected);
          expect(compileTextMatch(of(kind, value, ignoreCase))(text)).toBe(expected);
        },
      ),
    );
  });
});
