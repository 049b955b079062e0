import { expect, it } from "vitest";
import { HeadPool, type Http1Head } from "./head.ts";
import { parseRequestHead } from "./parse-head.ts";

function filled(pool: HeadPool, bytes: number): Http1Head {
  const text = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(bytes)}\r\n\r\n`);
  const head = pool.take();
  expect(parseRequestHead(text, 0, text.length, head)).toBe(text.length);
  head.adopt(text, 0);
  return head;
}

it("a large head is used again, but few of them stay", () => {
  const pool = new HeadPool();
  const one = filled(pool, 50_000);
  pool.give(one);
  expect(pool.take()).toBe(one);
  const many = [one, ...Array.from({ length: 20 }, () => filled(pool, 50_000))];
  for (const head of many) pool.give(head);
  const again = many.map(() => pool.take()).filter((head) => many.includes(head));
  expect(again).toHaveLength(4);
});

it("small ones stay up to the limit", () => {
  const pool = new HeadPool(10);
  const many = Array.from({ length: 20 }, () => filled(pool, 10));
  for (const head of many) pool.give(head);
  expect(many.map(() => pool.take()).filter((head) => many.includes(head))).toHaveLength(10);
});
