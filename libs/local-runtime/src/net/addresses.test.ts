import fc from "fast-check";
import { expect, it } from "vitest";
import { AddressPool, addressBlock, BLOCK_COUNT, formatAddress, parseAddress } from "./addresses.ts";

it("lies within 127.64.0.0/10 and never overlaps another mesh's block", () => {
  fc.assert(
    fc.property(fc.nat(BLOCK_COUNT - 1), (index) => {
      const { marker, pods, services } = addressBlock(index);
      const taken = [marker, pods.take(), services.take()].map(parseAddress);
      const base = parseAddress("127.64.0.0") + index * 2 ** 14;
      for (const address of taken) {
        expect(address).toBeGreaterThan(base);
        expect(address).toBeLessThan(base + 2 ** 14);
      }
    }),
  );
});

it("hands out every address once, and a returned one last", () => {
  const pool = new AddressPool(parseAddress("127.64.0.2"), 3);
  expect([pool.take(), pool.take()]).toEqual(["127.64.0.2", "127.64.0.3"]);
  pool.release("127.64.0.2");
  expect([pool.take(), pool.take()]).toEqual(["127.64.0.4", "127.64.0.2"]);
  expect(() => pool.take()).toThrow(/no free pod address/);
});

it("formats and parses addresses", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (n) => parseAddress(formatAddress(n)) === n));
});
