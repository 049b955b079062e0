import fc from "fast-check";
import { expect, it } from "vitest";
import { parseExposition } from "./exposition.ts";
import type { Sample } from "./telemetry.ts";

const quoted = (text: string) => text.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
const print = ({ name, labels, value }: Sample) => {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${quoted(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value === Infinity ? "+Inf" : value}`;
};

it("reads what is printed, whatever the label values", () => {
  const name = fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,20}$/);
  const label = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,10}$/).filter((text) => text !== "__proto__");
  const text = fc.string().filter((value) => !value.includes("\r"));
  const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(Infinity), fc.nat());
  const sample = fc.record({ name, labels: fc.dictionary(label, text, { noNullPrototype: true, maxKeys: 4 }), value });
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 5 }), (samples) => {
      const read = parseExposition(`${samples.map(print).join("\n")}\n`);
      expect(read.map((found) => ({ ...found, value: found.value + 0 }))).toEqual(
        samples.map((given) => ({ ...given, value: given.value + 0 })),
      );
    }),
    { numRuns: 200 },
  );
});

it("never throws, and gives numbers only", () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom("a", 'a{b="', "{", "a{} ", "# "), (text, start) => {
      for (const { value } of parseExposition(start + text)) expect(typeof value).toBe("number");
    }),
    { numRuns: 300 },
  );
});
