import { deflateSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Deframer } from "./deframer.ts";

function frame(body: Buffer, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

describe("Deframer", () => {
  it("finds the messages, however their bytes arrive", () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (messages, cuts) => {
        const bytes = Buffer.concat(messages.map((body) => frame(Buffer.from(body))));
        const deframer = new Deframer(1000, "identity");
        const got: Buffer[] = [];
        for (let at = 0, step = 0; at < bytes.length; step++) {
          const size = cuts[step % cuts.length] ?? 1;
          got.push(...deframer.push(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(got.map((body) => body.toString("hex"))).toEqual(
          messages.map((body) => Buffer.from(body).toString("hex")),
        );
        expect(deframer.rest).toBe(0);
      }),
    );
  });

  it.each([
    ["gzip", gzipSync],
    ["deflate", deflateSync],
  ])("expands %s within the bound", (encoding, compress) => {
    const push = (bytes: Buffer) => [...new Deframer(1000, encoding).push(frame(compress(bytes), 1))];
    expect(push(Buffer.from("hello"))[0]?.toString()).toBe("hello");
    expect(() => push(Buffer.alloc(100_000))).toThrow(/larger than 1000/);
  });

  it.each([
    ["longer than the bound, from its head alone", () => frame(Buffer.alloc(2000)).subarray(0, 5), /larger than 1000/],
    ["compressed in an unknown way", () => frame(Buffer.from("x"), 1), /not supported/],
  ])("refuses a message that is %s", (_title, bytes, message) => {
    expect(() => [...new Deframer(1000, "identity").push(bytes())]).toThrow(message);
  });
});
