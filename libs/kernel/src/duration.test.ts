import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration } from "./duration.ts";

describe("parseDuration", () => {
  it.each([
    ["0", 0],
    ["0s", 0],
    ["7s", 7000],
    ["0.5s", 500],
    [".5s", 500],
    ["1.5s", 1500],
    ["250ms", 250],
    ["1h5m", 3_900_000],
    ["1h30m5.5s", 5_405_500],
    ["100us", 0.1],
    ["100µs", 0.1],
    ["5ns", 0.000005],
    ["-1s", -1000],
    ["+1s", 1000],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration(text)).toEqual({ ok: true, value: ms });
  });

  it.each(["", "5", "s", "1x", "1 s", "1s ", " 1s", "1.s", "1s2", "--1s", "1e3s", "NaN", "1,5s", "١s", "-"])(
    "%j is none",
    (text) => {
      expect(parseDuration(text).ok).toBe(false);
    },
  );

  it("reads what formatDuration writes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e12 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toEqual({ ok: true, value: ms });
      }),
    );
  });

  it("never throws", () => {
    fc.assert(fc.property(fc.string(), (text) => typeof parseDuration(text).ok === "boolean"));
  });
});

it.each([
  [0, "0s"],
  [1, "0.001s"],
  [1500, "1.5s"],
  [0.0001, "0.0000001s"],
  [3_600_000, "3600s"],
  [999.9999999, "1s"],
  [32_840_732_444, "32840732.444s"],
  [-1500, "-1.5s"],
])("formatDuration(%d) is %s", (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
