import { describe, expect, it } from "vitest";
import { parseExposition } from "./exposition.ts";

describe("parseExposition", () => {
  const cases: readonly [string, string, unknown][] = [
    ["a plain sample", "up 1", [{ name: "up", labels: {}, value: 1 }]],
    ["labels", 'a{b="c",d="e"} 2.5', [{ name: "a", labels: { b: "c", d: "e" }, value: 2.5 }]],
    ["a trailing comma", 'a{b="c",} 1', [{ name: "a", labels: { b: "c" }, value: 1 }]],
    ["no labels in braces", "a{} 1", [{ name: "a", labels: {}, value: 1 }]],
    ["escapes", 'a{b="x\\"y\\\\z\\nw}"} 1', [{ name: "a", labels: { b: 'x"y\\z\nw}' }, value: 1 }]],
    ["a timestamp", "a 1 1700000000000", [{ name: "a", labels: {}, value: 1 }]],
    ["infinity", 'a_bucket{le="+Inf"} +Inf', [{ name: "a_bucket", labels: { le: "+Inf" }, value: Infinity }]],
    ["comments and blanks", "# HELP a b\n# TYPE a counter\n\na 1\n", [{ name: "a", labels: {}, value: 1 }]],
    [
      "a broken line between good ones",
      'a 1\nb{c="d 2\n{} 3\nd x\ne 4',
      [
        { name: "a", labels: {}, value: 1 },
        { name: "e", labels: {}, value: 4 },
      ],
    ],
    [
      "carriage returns",
      "a 1\r\nb 2\r\n",
      [
        { name: "a", labels: {}, value: 1 },
        { name: "b", labels: {}, value: 2 },
      ],
    ],
  ];
  it.each(cases)("reads %s", (_, text, samples) => {
    expect(parseExposition(text)).toEqual(samples);
  });

  it("keeps a label that is called __proto__ as data", () => {
    const [sample] = parseExposition('a{__proto__="x"} 1');
    expect(Object.entries(sample!.labels)).toEqual([["__proto__", "x"]]);
  });
});
