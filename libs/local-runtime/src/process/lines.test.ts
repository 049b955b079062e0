import fc from "fast-check";
import { expect, it } from "vitest";
import { LineSplitter } from "./lines.ts";

function split(parts: readonly string[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const part of parts) splitter.push(part);
  splitter.end();
  return lines;
}

it("cuts at line ends, drops carriage returns, keeps a last line without end", () => {
  expect(split(["one\r\ntw", "o\n\nthree"])).toEqual(["one", "two", "", "three"]);
});

it("cuts a line that is too long into several", () => {
  expect(split(["x".repeat(150_000)]).map((line) => line.length)).toEqual([65_536, 65_536, 18_928]);
});

it("gives the same lines however the text is cut", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: fc.constantFrom("a", "\n", "b") })), (parts) => {
      expect(split(parts)).toEqual(split([parts.join("")]));
    }),
  );
});
