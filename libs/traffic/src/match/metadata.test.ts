import { describe, expect, it } from "vitest";
import type { ValueMatchSpec } from "../route/spec.ts";
import { compileMetadataMatch } from "./metadata.ts";

const admin: ValueMatchSpec = { kind: "string", match: { kind: "exact", value: "admin", ignoreCase: false } };

function judge(value: ValueMatchSpec, claims: unknown, { path = ["role"], invert = false } = {}): boolean {
  return compileMetadataMatch({ filter: "jwt", path, value, invert })({ jwt: claims });
}

describe("what a filter found out", () => {
  it.each<[string, ValueMatchSpec, unknown, boolean]>([
    ["a text", admin, { role: "admin" }, true],
    ["another text", admin, { role: "user" }, false],
    ["a number for a text", admin, { role: 1 }, false],
    ["nothing", admin, {}, false],
    ["what every object has", { kind: "present", value: true }, {}, false],
    ["a list for a text", admin, { role: ["admin"] }, false],
    ["a list with it", { kind: "list", oneOf: admin }, { role: ["user", "admin"] }, true],
    ["a list without it", { kind: "list", oneOf: admin }, { role: ["user"] }, false],
    ["a text for a list", { kind: "list", oneOf: admin }, { role: "admin" }, false],
    ["either", { kind: "or", of: [admin, { kind: "list", oneOf: admin }] }, { role: ["admin"] }, true],
    ["null", { kind: "null" }, { role: null }, true],
    ["true", { kind: "bool", value: true }, { role: true }, true],
    ["a text for true", { kind: "bool", value: true }, { role: "true" }, false],
    ["presence", { kind: "present", value: true }, { role: 0 }, true],
    ["a number", { kind: "number", from: 3, to: 3 }, { role: 3 }, true],
    ["a number in a range", { kind: "number", from: 1, to: 3 }, { role: 2 }, true],
    ["the end of a range", { kind: "number", from: 1, to: 3 }, { role: 3 }, false],
  ])("%s", (_title, value, claims, expected) => {
    expect(judge(value, claims)).toBe(expected);
  });

  it("goes into objects, not into lists and not up to their prototypes", () => {
    expect(judge(admin, { realm: { role: "admin" } }, { path: ["realm", "role"] })).toBe(true);
    expect(judge(admin, { realm: ["admin"] }, { path: ["realm", "0"] })).toBe(false);
    expect(judge({ kind: "present", value: true }, { realm: {} }, { path: ["realm", "constructor"] })).toBe(false);
  });

  it("turned around, holds where there is nothing", () => {
    expect(judge(admin, {}, { invert: true })).toBe(true);
    expect(judge(admin, { role: "admin" }, { invert: true })).toBe(false);
    expect(compileMetadataMatch({ filter: "jwt", path: ["a"], value: admin, invert: true })(undefined)).toBe(true);
  });
});
