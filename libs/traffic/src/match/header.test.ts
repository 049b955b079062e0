import { describe, expect, it } from "vitest";
import { headFrom } from "../head/build.ts";
import type { HeaderMatchSpec } from "../route/spec.ts";
import { compileHeaderMatch } from "./header.ts";

const head = headFrom({
  method: "POST",
  path: "/a?b=c",
  authority: "Reviews:9080",
  headers: [
    ["X-One", " one "],
    ["x-two", "a"],
    ["X-TWO", "b"],
    ["x-empty", ""],
  ],
});
const exact = (value: string) => ({ kind: "exact", value, ignoreCase: false }) as const;
const present = { kind: "present" } as const;
const spec = (
  name: string,
  match: HeaderMatchSpec["match"],
  change: Partial<HeaderMatchSpec> = {},
): HeaderMatchSpec => ({
  name,
  match,
  invert: false,
  treatMissingAsEmpty: false,
  ...change,
});
const invert = { invert: true };
const asEmpty = { treatMissingAsEmpty: true };

describe("header match", () => {
  it.each<[string, HeaderMatchSpec, boolean]>([
    ["a value without its white space", spec("x-one", exact("one")), true],
    ["another value", spec("x-one", exact("two")), false],
    ["inverted", spec("x-one", exact("two"), invert), true],
    ["several values as one", spec("x-two", exact("a,b")), true],
    ["not one of several", spec("x-two", exact("a")), false],
    ["an expression over several", spec("x-two", { kind: "regex", pattern: "a,b" }), true],
    ["presence", spec("x-empty", present), true],
    ["absence", spec("x-none", present), false],
    ["inverted presence of what is absent", spec("x-none", present, invert), true],
    ["inverted presence of what is there", spec("x-one", present, invert), false],
    // Envoy: a missing header matches no value, inverted or not.
    ["a missing header", spec("x-none", exact("")), false],
    ["a missing header, inverted", spec("x-none", exact("a"), invert), false],
    ["a missing header taken as empty", spec("x-none", exact(""), asEmpty), true],
    ["a missing header taken as empty, inverted", spec("x-none", exact("a"), { ...invert, ...asEmpty }), true],
    ["the method", spec(":method", exact("POST")), true],
    ["the path with its query", spec(":path", exact("/a?b=c")), true],
    ["the authority", spec(":authority", exact("Reviews:9080")), true],
    ["host, which is the authority", spec("host", { kind: "prefix", value: "reviews", ignoreCase: true }), true],
    ["the scheme", spec(":scheme", exact("https")), true],
  ])("judges %s", (_, header, expected) => {
    expect(compileHeaderMatch(header)(head, "https")).toBe(expected);
  });

  it("finds no authority in a head that has none", () => {
    const bare = headFrom({});
    expect(compileHeaderMatch(spec(":authority", present))(bare)).toBe(false);
    expect(compileHeaderMatch(spec(":authority", present, invert))(bare)).toBe(true);
  });
});
