import { describe, expect, it } from "vitest";
import type { Field } from "./field.ts";
import { HpackDecoder, MAX_BLOCK_BYTES, SCRATCH_BYTES } from "./hpack-decoder.ts";
import { decodeHuffman } from "./huffman.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
const decoder = (): HpackDecoder => new HpackDecoder(Buffer.alloc(SCRATCH_BYTES));

function decode(hpack: HpackDecoder, block: Buffer): string[] | undefined {
  const fields: string[] = [];
  const ok = hpack.decode(block, 0, block.length, {
    field: ({ line, nameEnd, valueStart, end }: Field) => {
      const text = Buffer.from(line).toString("latin1");
      fields.push(`${text.slice(0, nameEnd)}: ${text.slice(valueStart, end)}`);
    },
  });
  return ok ? fields : undefined;
}

const FIRST = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const SECOND = [...FIRST, "cache-control: no-cache"];
const THIRD = [
  ":method: GET",
  ":scheme: https",
  ":path: /index.html",
  ":authority: www.example.com",
  "custom-key: custom-value",
];
const response = (status: number, date: string): string[] => [
  `:status: ${status}`,
  "cache-control: private",
  `date: ${date}`,
  "location: https://www.example.com",
];
const DATE = "Mon, 21 Oct 2013 20:13:21 GMT";
const LATER = "Mon, 21 Oct 2013 20:13:22 GMT";
const LAST = [
  ...response(200, LATER),
  "content-encoding: gzip",
  "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
];

describe("the examples of RFC 7541 appendix C", () => {
  it.each([
    [
      "C.2.1 literal with indexing",
      "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
      "custom-key: custom-header",
      55,
    ],
    ["C.2.2 literal without indexing", "040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", 0],
    ["C.2.3 never indexed", "1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", 0],
    ["C.2.4 indexed", "82", ":method: GET", 0],
  ])("%s", (_title, block, field, size) => {
    const hpack = decoder();
    expect(decode(hpack, hex(block))).toEqual([field]);
    expect(hpack.tableSize).toBe(size);
  });

  it.each([
    [
      "C.3 requests without Huffman",
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
    ],
    [
      "C.4 requests with Huffman",
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
    ],
  ])("%s", (_title, blocks) => {
    const hpack = decoder();
    expect(blocks.map((block) => decode(hpack, hex(block)))).toEqual([FIRST, SECOND, THIRD]);
    expect([hpack.tableSize, hpack.tableCount]).toEqual([164, 3]);
  });

  it.each([
    [
      "C.5 responses without Huffman",
      [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
      ],
    ],
    [
      "C.6 responses with Huffman",
      [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
      ],
    ],
  ])("%s, in a table of 256 bytes", (_title, blocks) => {
    const hpack = decoder();
    // What the RFC assumes was set before: a size update to 256.
    expect(decode(hpack, hex("3fe101"))).toEqual([]);
    expect(blocks.map((block) => decode(hpack, hex(block)))).toEqual([response(302, DATE), response(307, DATE), LAST]);
    expect([hpack.tableSize, hpack.tableCount]).toEqual([215, 3]);
  });
});

describe("broken blocks", () => {
  it.each([
    ["index 0", "80"],
    ["an index beyond both tables", "ff20"],
    ["an integer without end", "ffffffffffffffff"],
    ["a string longer than the block", "400a 6375"],
    ["a name without value", "4001 61"],
    ["a size update behind a field", "82 20"],
    ["a size update beyond what was allowed", "3fe2 1f"],
    ["EOS inside a Huffman string", "0001 6184 ffff fffc"],
    ["Huffman padding of eight bits", "0001 6182 1fff"],
    ["Huffman padding with zeros", "0001 6181 18"],
  ])("%s", (_title, block) => {
    expect(decode(decoder(), hex(block))).toBeUndefined();
  });
});

describe("memory", () => {
  it("a table never holds more than its limit, whatever enters it", () => {
    const hpack = decoder();
    for (let i = 0; i < 1000; i++) {
      const value = Buffer.alloc(i % 120, 97);
      const block = Buffer.concat([Buffer.from([0x40, 1, 98, value.length]), value]);
      expect(decode(hpack, block)).toHaveLength(1);
      expect(hpack.tableSize).toBeLessThanOrEqual(4096);
      expect(hpack.tableCount).toBeLessThanOrEqual(128);
    }
  });

  it("a field larger than the table empties it", () => {
    const hpack = decoder();
    decode(hpack, hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"));
    const large = Buffer.concat([hex("4001 62 7f e11e"), Buffer.alloc(4064, 97)]);
    expect(decode(hpack, large)?.[0]).toHaveLength(4067);
    expect(hpack.tableSize).toBe(0);
  });

  it("entries are not touched by later blocks", () => {
    const hpack = decoder();
    decode(hpack, hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"));
    decode(hpack, hex("1008 7061 7373 776f 7264 0673 6563 7265 74"));
    expect(decode(hpack, hex("be"))).toEqual(["custom-key: custom-header"]);
  });

  it("scratch memory holds the longest string a block can unfold to", () => {
    // All five-bit symbols: the most that Huffman coding can save.
    const coded = Buffer.alloc(MAX_BLOCK_BYTES, 0);
    const out = Buffer.alloc(SCRATCH_BYTES);
    const end = decodeHuffman(coded, 0, coded.length - 1, out, 0);
    expect(end).toBe(Math.floor(((MAX_BLOCK_BYTES - 1) * 8) / 5));
  });
});
