import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeAnswer, encodeName, parseQuery } from "./message.ts";

const label = fc.stringMatching(/^[a-z0-9_-]{1,63}$/);
const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join("."));

it("reads every well-formed query back", () => {
  fc.assert(
    fc.property(name, fc.nat(65_535), fc.nat(65_535), (text, id, type) => {
      const head = Buffer.alloc(12);
      head.writeUInt16BE(id, 0);
      head.writeUInt16BE(1, 4);
      const tail = Buffer.alloc(4);
      tail.writeUInt16BE(type, 0);
      tail.writeUInt16BE(1, 2);
      const parsed = parseQuery(Buffer.concat([head, encodeName(text), tail]));
      expect(parsed).toMatchObject({ kind: "query", query: { id, name: text, type, isInternet: true } });
    }),
  );
});

it("never throws and never answers with more than the limit, whatever the bytes are", () => {
  const valid = Buffer.concat([
    Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    encodeName("reviews.default"),
    Buffer.from([0, 1, 0, 1]),
  ]);
  const mutated = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 }).map((edits) => {
    const copy = Buffer.from(valid);
    for (const [at, value] of edits) copy[at] = value;
    return copy;
  });
  const noise = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(mutated, noise), (bytes) => {
      const parsed = parseQuery(bytes);
      if (parsed.kind !== "query") return;
      const addresses = Array.from({ length: 100 }, () => new Uint8Array(4));
      const reply = encodeAnswer(parsed.query, { code: 0, addresses, ttl: 1 }, 512);
      expect(reply.length).toBeLessThanOrEqual(512);
      expect(reply.readUInt16BE(0)).toBe(bytes.readUInt16BE(0));
    }),
    { numRuns: 2000 },
  );
});
