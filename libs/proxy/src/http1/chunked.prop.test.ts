import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChunkedDecoder } from "./chunked.ts";

/** Feeds `text` in pieces of the given sizes; answers the body, or undefined when it is broken. */
function decode(
  text: string,
  sizes: readonly number[],
): { body: string; used: number; decoder: ChunkedDecoder } | undefined {
  const decoder = new ChunkedDecoder();
  decoder.reset();
  const bytes = Buffer.from(text, "latin1");
  let body = "";
  let at = 0;
  let turn = 0;
  while (at < bytes.length && !decoder.done) {
    const end = Math.min(bytes.length, at + (sizes[turn++ % sizes.length] ?? 1));
    const after = decoder.decode(bytes, at, end, {
      onBodySpan: (span, from, to) => {
        body += span.toString("latin1", from, to);
      },
    });
    if (after < 0) return undefined;
    at = after;
  }
  return { body, used: at, decoder };
}

const chunk = fc.string({ unit: fc.constantFrom(..."ab\r\n0;"), minLength: 1, maxLength: 40 });
const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
const coded = fc
  .record({
    chunks: fc.array(chunk, { maxLength: 8 }),
    capitals: fc.boolean(),
    zeros: fc.nat({ max: 3 }),
    extension: fc.constantFrom("", ";a", ';a="b"'),
    trailers: fc.constantFrom("", "x-sum: 1\r\n", "a: b\r\nc: d\r\n"),
  })
  .map(({ chunks, capitals, zeros, extension, trailers }) => {
    const size = (text: string): string => {
      const hex = text.length.toString(16);
      return "0".repeat(zeros) + (capitals ? hex.toUpperCase() : hex);
    };
    const text = chunks.map((part) => `${size(part)}${extension}\r\n${part}\r\n`).join("");
    return { body: chunks.join(""), trailers, text: `${text}0${extension}\r\n${trailers}\r\n` };
  });

describe("ChunkedDecoder", () => {
  it("gives the body back however it was cut, on the wire and in reads", () => {
    fc.assert(
      fc.property(coded, sizes, fc.string({ maxLength: 10 }), ({ body, trailers, text }, cuts, behind) => {
        const decoded = decode(text + behind, cuts);
        expect(decoded?.body).toBe(body);
        expect(decoded?.decoder.done).toBe(true);
        expect(decoded?.used).toBe(text.length);
        expect(decoded?.decoder.trailers).toBe(trailers);
      }),
    );
  });

  it("is never done before the end", () => {
    fc.assert(
      fc.property(coded, fc.nat(), sizes, ({ text }, cut, cuts) => {
        expect(decode(text.slice(0, cut % text.length), cuts)?.decoder.done).toBe(false);
      }),
    );
  });

  it("judges the same bytes alike however they are cut", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(..."0123af;= \r\n\0:xX"), maxLength: 40 }),
        sizes,
        sizes,
        (text, one, two) => {
          const first = decode(text, one);
          const second = decode(text, two);
          expect(first?.body).toBe(second?.body);
          expect(first?.decoder.done).toBe(second?.decoder.done);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
