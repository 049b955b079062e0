import { expect, it } from "vitest";
import { Backlog } from "./backlog.ts";

it("copies what it holds a few times only, however small the pieces", () => {
  const backlog = new Backlog();
  const text = Buffer.from(Array.from({ length: 60_000 }, (_, index) => index % 251));
  let held: Buffer = Buffer.alloc(0);
  const stores = new Set<ArrayBufferLike>();
  for (let at = 0; at < text.length; at++) {
    held = backlog.join(held, text, at, at + 1);
    stores.add(held.buffer);
  }
  expect(held.equals(text)).toBe(true);
  expect(stores.size).toBeLessThan(12);
});

it("goes on from any other buffer, and leaves it as it is", () => {
  const backlog = new Backlog();
  const first = backlog.join(Buffer.from("ab"), Buffer.from("xcd"), 1, 3);
  expect(first.toString()).toBe("abcd");
  const kept = Buffer.from(first.subarray(2));
  expect(backlog.join(kept, Buffer.from("ef"), 0, 2).toString()).toBe("cdef");
  expect(first.toString()).toBe("abcd");
});

it("does not write into a buffer that was let go", () => {
  const backlog = new Backlog();
  const first = backlog.join(Buffer.from("ab"), Buffer.from("c"), 0, 1);
  backlog.release();
  backlog.join(first.subarray(0, 1), Buffer.from("z"), 0, 1);
  expect(first.toString()).toBe("abc");
});
