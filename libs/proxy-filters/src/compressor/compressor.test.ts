import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { packAny } from "@lateen/proto";
import { Brotli } from "@lateen/proto/envoy/extensions/compression/brotli/compressor/v3/brotli";
import { Gzip } from "@lateen/proto/envoy/extensions/compression/gzip/compressor/v3/gzip";
import { Compressor } from "@lateen/proto/envoy/extensions/filters/http/compressor/v3/compressor";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { chooseEncoding } from "./accept-encoding.ts";
import { compressorRuntime } from "./compressor.ts";
import { decodeCompressor } from "./decode.ts";

type Message = NonNullable<Parameters<typeof Compressor.fromPartial>[0]>;
type Library = NonNullable<Message["compressorLibrary"]>;
const gzip = (options: Parameters<typeof Gzip.fromPartial>[0] = {}): Library => ({
  name: "gzip",
  typedConfig: packAny(Gzip, Gzip.fromPartial(options)),
});
const brotli: Library = { name: "br", typedConfig: packAny(Brotli, Brotli.fromPartial({})) };
const decode = (message: Message) => decodeCompressor(Compressor.encode(Compressor.fromPartial(message)).finish());

function respond(headers: Readonly<Record<string, string>>, message: Message = {}, accepts = "gzip") {
  const { context, stats } = fakeContext("inbound");
  const filter = compressorRuntime.create(decode({ compressorLibrary: gzip(), ...message }), context);
  const exchange = new FakeExchange({ headers: [["accept-encoding", accepts]] });
  filter.onRequestHead?.(exchange);
  exchange.responseEdits.known = { "content-type": "text/plain", "content-length": "1000", ...headers };
  filter.onResponseHead?.(exchange);
  return { exchange, edits: exchange.responseEdits.log, stats };
}

describe("encodings", () => {
  const both = [
    { encoding: "br", chooseFirst: false },
    { encoding: "gzip", chooseFirst: false },
  ];
  it.each([
    [undefined, undefined],
    ["", undefined],
    ["gzip, br", "gzip"],
    ["br;q=0.5, gzip;q=0.8", "gzip"],
    ["*", "br"],
    ["*;q=0", undefined],
    ["gzip;q=0, *", "br"],
    ["identity, gzip;q=0.5", undefined],
    ["GZIP", "gzip"],
    ["gzip;q=x", undefined],
    ["gzip;q=1.5", undefined],
    [" gzip ; q=0.001 ", "gzip"],
    ["deflate", undefined],
  ])("%s: %s", (header, expected) => {
    expect(chooseEncoding(header, both)).toBe(expected);
  });
  it("of those liked as much, the one to be chosen first", () => {
    const second = [both[1] ?? raise(), { encoding: "br", chooseFirst: true }];
    expect(chooseEncoding("gzip, br", second)).toBe("br");
    expect(chooseEncoding("gzip, br;q=0.9", second)).toBe("gzip");
  });
});

function raise(): never {
  throw new Error("missing");
}

describe("compressor", () => {
  it.each([
    ["gzip", gzip(), gunzipSync],
    ["br", brotli, brotliDecompressSync],
  ] as const)("%s: what comes out is what went in", async (encoding, compressorLibrary, decompress) => {
    const { exchange, edits } = respond({}, { compressorLibrary }, encoding);
    expect(edits).toEqual([`set content-encoding=${encoding}`, "set vary=Accept-Encoding"]);
    const text = Buffer.from("some text ".repeat(10_000));
    for (let at = 0; at < text.length; at += 7000)
      exchange.transform?.write(text, at, Math.min(text.length, at + 7000));
    exchange.transform?.end();
    await exchange.transformEnded;
    const compressed = Buffer.concat(exchange.transformed);
    expect(compressed.length).toBeLessThan(text.length / 10);
    expect(decompress(compressed).equals(text)).toBe(true);
  });

  it("says at once what has come", async () => {
    const { exchange } = respond({});
    exchange.transform?.write(Buffer.from("data: 1\n\n"), 0, 9);
    await expect.poll(() => exchange.transformed.length).toBeGreaterThan(0);
    exchange.transform?.destroy();
  });

  it.each<[string, Record<string, string>, Message]>([
    ["short ones", { "content-length": "29" }, {}],
    [
      "shorter ones than asked for",
      { "content-length": "1000" },
      { responseDirectionConfig: { commonConfig: { minContentLength: 1001 } } },
    ],
    ["other types", { "content-type": "image/png" }, {}],
    ["what is compressed already", { "content-encoding": "br" }, {}],
    ["what must not be transformed", { "cache-control": "public, no-transform" }, {}],
    ["what has a validator, when told", { etag: 'W/"a"' }, { responseDirectionConfig: { disableOnEtagHeader: true } }],
    [
      "anything, when it is off",
      {},
      { responseDirectionConfig: { commonConfig: { enabled: { defaultValue: false } } } },
    ],
  ])("leaves %s alone", (_title, headers, message) => {
    const { edits, exchange } = respond(headers, message);
    expect([edits, exchange.transform]).toEqual([[], undefined]);
  });

  it.each([
    ['"strong"', "", ["remove etag", "set content-encoding=gzip", "set vary=Accept-Encoding"]],
    ['W/"weak"', "", ["set content-encoding=gzip", "set vary=Accept-Encoding"]],
    ["", "Origin", ["set content-encoding=gzip", "set vary=Origin, Accept-Encoding"]],
    ["", "Origin, accept-encoding", ["set content-encoding=gzip"]],
  ])("with etag %s and vary %s", (etag, vary, expected) => {
    expect(respond({ ...(etag && { etag }), ...(vary && { vary }) }).edits).toEqual(expected);
  });

  it("tells caches also what it left alone for the client's sake", () => {
    expect(respond({}, {}, "deflate").edits).toEqual(["set vary=Accept-Encoding"]);
  });

  it("keeps the upstream from compressing when told", () => {
    const { exchange } = respond({}, { responseDirectionConfig: { removeAcceptEncodingHeader: true } });
    expect(exchange.requestEdits.log).toEqual(["remove accept-encoding"]);
  });

  it.each<[string, Message, string]>([
    ["no library", { compressorLibrary: undefined }, "compressor_library: required"],
    ["requests", { requestDirectionConfig: {} }, "request_direction_config: not supported"],
    ["windows out of range", { compressorLibrary: gzip({ windowBits: 16 }) }, "window_bits: must be between 9 and 15"],
    [
      "other libraries",
      { compressorLibrary: { name: "z", typedConfig: { typeUrl: "x/zstd", value: Buffer.alloc(0) } } },
      "x/zstd is not supported",
    ],
  ])("refuses %s", (_title, message, expected) => {
    expect(() => decode({ compressorLibrary: gzip(), ...message })).toThrow(expected);
  });
});
