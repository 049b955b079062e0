import { expect, it } from "vitest";
import { formatFindings } from "./formats.ts";

it.each([
  ["", []],
  ["50%%", []],
  ["%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH):10% %PROTOCOL%", []],
  ["%START_TIME% %START_TIME(%s.%3f)%", []],
  ["%DYNAMIC_METADATA(a:b):3%", []],
  ["%UPSTREAM_PROTOCOL%", ["envoy %UPSTREAM_PROTOCOL%"]],
  ["%UPSTREAM_METADATA(a:b)%", ["envoy %UPSTREAM_METADATA(a:b)%"]],
  ["50%", ["no %"]],
  ["%protocol%", ["no %protocol%"]],
  ["%NO_SUCH% %PROTOCOL(a)% %PROTOCOL:3%", ["no %NO_SUCH%", "no %PROTOCOL(a)%", "no %PROTOCOL:3%"]],
  ["%REQ%%REQ()%", ["no %REQ%", "no %REQ()%"]],
])("%s", (format, expected) => {
  expect(formatFindings(format).map(({ known, text }) => `${known} ${text}`)).toEqual(expected);
});

it("long values are soon looked through", () => {
  expect(formatFindings("%%".repeat(500_000))).toEqual([]);
  expect(formatFindings(`${"a".repeat(1_000_000)}%`)).toHaveLength(1);
});
