import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { headFrom } from "../head/build.ts";
import type { QueryMatchSpec } from "../route/spec.ts";
import { compileQueryMatch } from "./query.ts";

const judge = (query: QueryMatchSpec, path: string) => compileQueryMatch(query)(headFrom({ path }));
const exact = (name: string, value: string): QueryMatchSpec => ({
  name,
  match: { kind: "exact", value, ignoreCase: false },
});
const present = (name: string): QueryMatchSpec => ({ name, match: { kind: "present" } });

describe("query match", () => {
  it.each<[QueryMatchSpec, string, boolean]>([
    [exact("a", "1"), "/?a=1", true],
    [exact("a", "1"), "/?b=2&a=1", true],
    [exact("a", "1"), "/?ba=1", false],
    [exact("a", "1"), "/?A=1", false],
    [exact("a", "1"), "/a=1", false],
    [exact("a", "1"), "/", false],
    // The first of several decides.
    [exact("a", "2"), "/?a=1&a=2", false],
    [exact("a", "1=2"), "/?a=1=2", true],
    [exact("a", ""), "/?a", true],
    [exact("a", ""), "/?a=", true],
    [present("a"), "/?x&a", true],
    [present("a"), "/?x=a", false],
    [present("a"), "/?&&a", true],
    // Percent escapes are not decoded, as in Envoy.
    [exact("a", "b c"), "/?a=b%20c", false],
    [exact("a", "b%20c"), "/?a=b%20c", true],
    [{ name: "a", match: { kind: "regex", pattern: "\\d+" } }, "/?a=123", true],
    [{ name: "a", match: { kind: "regex", pattern: "\\d+" } }, "/?a=123x", false],
  ])("%j on %s is %s", (query, path, expected) => {
    expect(judge(query, path)).toBe(expected);
  });

  const word = fc.string({ unit: fc.constantFrom("a", "b", "="), maxLength: 3 });
  it("agrees with splitting at & and the first =", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 4 }), fc.constantFrom("a", "b", "ab"), word, (parts, name, value) => {
        const first = parts.map((part) => part.split(/=(.*)/s)).find(([key]) => key === name);
        const found = first === undefined ? undefined : (first[1] ?? "");
        expect(judge(exact(name, value), `/?${parts.join("&")}`)).toBe(found === value);
      }),
    );
  });
});
