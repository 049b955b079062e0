import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeRecord, HEADER_BYTES, scanJournal } from "./record.ts";

const journalOf = (...payloads: readonly string[]) =>
  Buffer.concat(payloads.map((payload, i) => encodeRecord(i + 1, Buffer.from(payload))));
const textsOf = (journal: Buffer) => scanJournal(journal).payloads.map(String);

describe("journal", () => {
  it("reads what was written", () => {
    expect(textsOf(journalOf("a", "", "ccc"))).toEqual(["a", "", "ccc"]);
    expect(scanJournal(Buffer.alloc(0)).end).toEqual({ kind: "clean" });
  });

  it("cut at any byte, gives exactly the records before the cut", () => {
    const payloads = ["first", "", "third record", "x"];
    const journal = journalOf(...payloads);
    for (let length = 0; length <= journal.length; length++) {
      const { payloads: read, validBytes, end } = scanJournal(journal.subarray(0, length));
      let whole = 0;
      let bytes = 0;
      while (whole < payloads.length && bytes + HEADER_BYTES + (payloads[whole]?.length ?? 0) <= length) {
        bytes += HEADER_BYTES + (payloads[whole++]?.length ?? 0);
      }
      expect(read.map(String)).toEqual(payloads.slice(0, whole));
      expect(validBytes).toBe(bytes);
      expect(end).toEqual(bytes === length ? { kind: "clean" } : { kind: "torn", droppedBytes: length - bytes });
    }
  });

  it("with any one bit flipped, never gives anything but a prefix, and tells damage from a torn end", () => {
    const payloads = ["first", "second", "third"];
    const journal = journalOf(...payloads);
    const lastStart = journal.length - HEADER_BYTES - "third".length;
    for (let bit = 0; bit < journal.length * 8; bit++) {
      const flipped = Buffer.from(journal);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const { payloads: read, end } = scanJournal(flipped);
      expect(payloads.slice(0, read.length)).toEqual(read.map(String));
      expect(read.length).toBeLessThan(3);
      expect(end.kind).toBe(bit >> 3 >= lastStart ? "torn" : "damaged");
    }
  });

  it("is damaged when a record in the middle is missing", () => {
    const [a, , c] = ["a", "b", "c"].map((text, i) => encodeRecord(i + 1, Buffer.from(text)));
    expect(scanJournal(Buffer.concat([a as Buffer, c as Buffer])).end).toMatchObject({ kind: "damaged" });
  });

  it("takes no record of an older life for a new one", () => {
    // What a longer journal left behind the end of a shorter one.
    const leftover = encodeRecord(1, Buffer.from("old"));
    expect(textsOf(Buffer.concat([journalOf("a", "b"), leftover]))).toEqual(["a", "b"]);
  });

  it("survives any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
        expect(scanJournal(Buffer.from(noise)).payloads).toEqual([]);
        expect(textsOf(Buffer.concat([journalOf("a"), noise]))).toEqual(["a"]);
      }),
    );
  });
});
