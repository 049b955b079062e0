import { generateKeyPairSync } from "node:crypto";
import { expect, it } from "vitest";
import { NO_KEYS, usableKeys } from "./jwks.ts";

const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
const good = { ...pair.publicKey.export({ format: "jwk" }), kid: "a" };
const privateKey = { ...pair.privateKey.export({ format: "jwk" }), kid: "a" };
const set = (...keys: unknown[]) => JSON.stringify({ keys });
const kept = (text: string | undefined) => JSON.parse(usableKeys(text)).keys as readonly object[];

it("keeps usable keys, and no private part of any", () => {
  expect(kept(set(good, privateKey))).toEqual([
    expect.objectContaining({ kid: "a", x: good.x, y: good.y }),
    expect.not.objectContaining({ d: expect.anything() }),
  ]);
});

it.each([
  ["of no known type", { kty: "XYZ" }],
  ["without a type", { x: "a" }],
  ["off the curve", { ...good, x: good.y, y: good.x }],
  ["of an unknown curve", { ...good, crv: "secp256k1" }],
  ["half an RSA key", { kty: "RSA", n: "AQAB" }],
  ["an empty secret", { kty: "oct", k: "" }],
  ["with a number for a name", { ...good, kid: 1 }],
  ["that is a text", "key"],
])("leaves out one %s", (_title, bad) => {
  expect(kept(set(bad, good))).toEqual([expect.objectContaining({ kid: "a" })]);
});

it.each([undefined, "", "[]", "{}", set(), set({ kty: "XYZ" })])("has a key nobody has for %j", (text) => {
  expect(usableKeys(text)).toBe(NO_KEYS);
  expect(kept(NO_KEYS)).toHaveLength(1);
});
