import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Http1Head } from "../http1/head.ts";
import { FrameReader, type Payload } from "./frame-reader.ts";
import { HpackDecoder, SCRATCH_BYTES } from "./hpack-decoder.ts";
import { boundOf, writeHeadFields, writeLines, writeRequestPseudo } from "./hpack-encoder.ts";
import { MessageBuilder } from "./message-builder.ts";

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/).filter((text) => !FORBIDDEN.has(text));
const value = fc.stringMatching(/^([!-~]([ -~]{0,200}[!-~])?)?$/);
const FORBIDDEN = new Set(["connection", "te", "upgrade", "host", "cookie", "content-length", "keep-alive"]);

function linesOf(head: Http1Head): string[] {
  const lines: string[] = [];
  for (let i = 0; i < head.count; i++) {
    if (head.drop[i] === 0) lines.push(`${head.nameText(i)}: ${head.valueText(i)}`);
  }
  return lines;
}

function decodeRequest(block: Buffer): { readonly head: Http1Head; readonly verdict: string } {
  const head = new Http1Head();
  const builder = new MessageBuilder();
  builder.startHead(head, "request");
  const ok = new HpackDecoder(Buffer.alloc(SCRATCH_BYTES)).decode(block, 0, block.length, builder);
  return { head, verdict: ok ? builder.finish(true) : "broken" };
}

describe("heads", () => {
  it("come out as they went in", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, value), { maxLength: 30 }),
        fc.stringMatching(/^\/[a-z0-9/?=&.-]{0,60}$/),
        (fields, path) => {
          const text = `${fields.map(([n, v]) => `${n}: ${v}\r\n`).join("")}`;
          const first = Buffer.alloc(200_000);
          const pseudo = Buffer.concat([
            Buffer.from([0x82, 0x86, 0x04, path.length]),
            Buffer.from(path),
            Buffer.from([0x01, 4]),
            Buffer.from("shop"),
          ]);
          pseudo.copy(first);
          const block = first.subarray(0, writeLines(first, pseudo.length, text));
          const once = decodeRequest(block);
          expect(once.verdict).toBe("ok");
          const bound = boundOf(once.head, "");
          const again = Buffer.alloc(bound);
          const end = writeHeadFields(again, writeRequestPseudo(again, 0, once.head, false), once.head);
          expect(end).toBeLessThanOrEqual(bound);
          const twice = decodeRequest(again.subarray(0, end));
          expect(linesOf(twice.head)).toEqual(["host: shop", ...fields.map(([n, v]) => `${n}: ${v}`)]);
          expect([twice.head.methodText, twice.head.pathText, twice.head.authorityText]).toEqual(["GET", path, "shop"]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("of any bytes are refused or sound, and never larger than the limit", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const { head, verdict } = decodeRequest(Buffer.from(bytes));
        if (verdict !== "ok") return;
        expect(head.pathText).toMatch(/^(\/|\*$|$)/);
        for (const line of linesOf(head)) expect(line).not.toMatch(/[\r\n\0]/);
      }),
      { numRuns: 2000 },
    );
  });
});

/** Everything a reader says, as text; spans of one frame joined. */
function read(chunks: readonly Buffer[]): string {
  const seen: string[] = [];
  let data = "";
  const reader = new FrameReader({
    over: false,
    onDataStart: (id, flags, length) => seen.push(`data ${id} ${flags} ${length}`),
    onDataSpan: (bytes, start, end) => {
      data += bytes.toString("hex", start, end);
    },
    onDataEnd: () => {
      seen.push(`end ${data}`);
      data = "";
    },
    onFrame: (type: number, flags: number, id: number, { bytes, start, end }: Payload) =>
      seen.push(`frame ${type} ${flags} ${id} ${bytes.toString("hex", start, end)}`),
  });
  try {
    for (const chunk of chunks) reader.read(chunk, 0, chunk.length);
  } catch (error) {
    seen.push(String(error));
  }
  return seen.join("\n");
}

describe("frames", () => {
  const frame = fc
    .record({
      type: fc.integer({ min: 0, max: 12 }),
      flags: fc.constantFrom(0, 1, 4, 8, 9),
      id: fc.integer({ min: 0, max: 9 }),
      payload: fc.uint8Array({ maxLength: 60 }),
    })
    .map(({ type, flags, id, payload }) => {
      const head = Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, id]);
      return Buffer.concat([head, payload]);
    });

  it("are the same however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
        (frames, cuts) => {
          const whole = Buffer.concat(frames);
          const chunks: Buffer[] = [];
          for (let at = 0, i = 0; at < whole.length; i++) {
            const size = cuts[i % cuts.length] as number;
            chunks.push(whole.subarray(at, at + size));
            at += size;
          }
          expect(read(chunks)).toBe(read([whole]));
        },
      ),
      { numRuns: 500 },
    );
  });
});
