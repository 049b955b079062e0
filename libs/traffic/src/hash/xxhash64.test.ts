import { describe, expect, it } from "vitest";
import { combineHash, xxHash64 } from "./xxhash64.ts";

const hex = (text: string, seed?: bigint) => xxHash64(Buffer.from(text), seed).toString(16);

describe("xxHash64", () => {
  // Published values of the reference implementation.
  it.each([
    ["", "ef46db3751d8e999"],
    ["a", "d24ec4f1a98c6e5b"],
    ["abc", "44bc2cf5ad770999"],
    ["Nobody inspects the spammish repetition", "fbcea83c8a378bf1"],
  ])("of %j", (text, expected) => {
    expect(hex(text)).toBe(expected);
  });

  it("depends on the seed and on every byte", () => {
    const hashes = [hex("x".repeat(64)), hex("x".repeat(64), 1n), hex(`${"x".repeat(63)}y`), hex("x".repeat(65))];
    expect(new Set(hashes).size).toBe(4);
  });

  it("several values give another hash in another order", () => {
    expect(combineHash(undefined, 5n)).toBe(5n);
    expect(combineHash(5n, 9n)).not.toBe(combineHash(9n, 5n));
  });
});
