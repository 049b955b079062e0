import fc from "fast-check";
import { expect, it } from "vitest";
import { fingerprint, SetDigest } from "./digest.ts";
import { compareVersions, decodeBeat, decodeHead, encodeBeat, encodeHead } from "./head.ts";
import { decodeKey, encodeKey, parsePartName, partName } from "./keys.ts";
import { fromParts, partCount, toParts } from "./parts.ts";

/** What NATS allows in a key of a bucket. */
const NATS_KEY = /^[-/_=.a-zA-Z0-9]+$/;
const keys = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.constantFrom("", "=", "VirtualService/shop/reviews.v1", "a..b", "*", ">", "ß"),
);

it("writes every key in NATS's alphabet, and reads it back", () => {
  fc.assert(
    fc.property(keys, fc.nat(999), (key, part) => {
      const name = partName(key, part);
      expect(name).toMatch(NATS_KEY);
      expect(name.split(".")).toHaveLength(3);
      expect(decodeKey(encodeKey(key))).toBe(Buffer.from(key, "utf8").toString("utf8"));
      expect(parsePartName(name)).toEqual({ key: Buffer.from(key, "utf8").toString("utf8"), part });
    }),
  );
});

it("leaves names alone that it does not make", () => {
  const foreign = [
    "head",
    "e",
    "e..0",
    "e.a",
    "e.a.x",
    "e.a.01",
    "e.a.0.0",
    "f.a.0",
    "e.=4.0",
    "e.=zz.0",
    "e.=41.0",
    "e.=6a.0",
  ];
  for (const name of foreign) expect(parsePartName(name)).toBeUndefined();
});

it("cuts values to size and puts them together again", () => {
  const values = fc.record({ revision: fc.nat(), bytes: fc.uint8Array({ maxLength: 200 }) });
  fc.assert(
    fc.property(values, fc.integer({ min: 14, max: 64 }), (value, partBytes) => {
      const parts = toParts(value, partBytes);
      for (const part of parts) expect(part.length).toBeLessThanOrEqual(partBytes);
      expect(partCount(parts[0] ?? new Uint8Array())).toBe(parts.length);
      const joined = fromParts((index) => parts[index]);
      expect([joined?.revision, Buffer.from(joined?.bytes ?? [])]).toEqual([value.revision, Buffer.from(value.bytes)]);
      expect(fromParts((index) => (index === parts.length - 1 ? undefined : parts[index]))).toBeUndefined();
    }),
  );
});

it("never throws on bytes of others", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      fromParts((index) => (index === 0 ? bytes : undefined));
      expect([decodeHead(bytes), decodeBeat(bytes)]).toEqual([undefined, undefined]);
    }),
  );
});

it("reads heads and beats back", () => {
  const version = { epoch: 7, revision: 12, step: 3 };
  const head = { version, parts: 5, digest: "0123456789abcdef0123456789abcdef" };
  expect(decodeHead(encodeHead(head))).toEqual(head);
  expect(decodeBeat(encodeBeat(version))).toEqual(version);
});

it("orders versions by epoch, then revision, then step", () => {
  const version = fc.record({ epoch: fc.nat(3), revision: fc.nat(3), step: fc.nat(3) });
  const number = ({ epoch, revision, step }: { epoch: number; revision: number; step: number }) =>
    epoch * 100 + revision * 10 + step;
  fc.assert(
    fc.property(version, version, (a, b) => {
      expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(number(a) - number(b)));
    }),
  );
});

it("has one digest for a set, however it came about, and others for others", () => {
  const parts = fc.uniqueArray(fc.string(), { maxLength: 8 });
  fc.assert(
    fc.property(parts, fc.string(), (names, extra) => {
      const digestOf = (list: readonly string[]) => {
        const digest = new SetDigest();
        for (const name of list) digest.toggle(fingerprint(name, Buffer.from("x")));
        return digest.hex;
      };
      expect(digestOf([...names, extra, ...names.toReversed(), ...names, extra])).toBe(digestOf(names));
      if (!names.includes(extra)) expect(digestOf([...names, extra])).not.toBe(digestOf(names));
    }),
  );
});
