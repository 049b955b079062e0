import { expect, it } from "vitest";
import { durationFromJson, durationToJson } from "./duration-json.ts";
import { Duration } from "./gen/google/protobuf/duration.ts";

it.each([
  ["0s", 0n, 0],
  ["1.500s", 1n, 500_000_000],
  ["0.000000001s", 0n, 1],
  ["-2.25s", -2n, -250_000_000],
  ["315576000000s", 315_576_000_000n, 0],
] as const)("reads %s", (text, seconds, nanos) => {
  expect(durationFromJson(text)).toEqual({ seconds, nanos });
});

it.each([
  ["0s", 0n, 0],
  ["1.5s", 1n, 500_000_000],
  ["-0.25s", 0n, -250_000_000],
] as const)("writes %s", (text, seconds, nanos) => {
  expect(durationToJson({ seconds, nanos })).toBe(text);
});

it.each(["5", "5 s", "s", "1.s", "1e3s", 5, null, "0.0000000001s"])("refuses %j", (json) => {
  expect(() => durationFromJson(json)).toThrow(/not a duration/);
});

it("is what the generated message does", () => {
  expect(Duration.toJSON({ seconds: 3n, nanos: 0 })).toBe("3s");
  expect(Duration.fromJSON("0.25s")).toEqual({ seconds: 0n, nanos: 250_000_000 });
});
