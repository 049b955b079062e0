import { expect, it } from "vitest";
import { uuidSource } from "./uuid.ts";

it("spells random bytes with version 4 and its variant", () => {
  let next = 0;
  const uuid = uuidSource((bytes) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = next++ & 255;
  });
  expect(uuid()).toBe("00010203-0405-4607-8809-0a0b0c0d0e0f");
  expect(uuid()).toBe("10111213-1415-4617-9819-1a1b1c1d1e1f");
});

it("gives every one once", () => {
  const uuid = uuidSource();
  const made = Array.from({ length: 5000 }, uuid);
  expect(new Set(made).size).toBe(5000);
  for (const text of made)
    expect(text).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
