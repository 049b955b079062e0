import fc from "fast-check";
import { expect, it } from "vitest";
import { Mailbox } from "./mailbox.ts";

it("keeps one value for a key, merged, in order of first arrival", () => {
  const mailbox = new Mailbox<string, readonly number[]>((waiting, incoming) => [...waiting, ...incoming]);
  mailbox.put("a", [1]);
  mailbox.put("b", [2]);
  mailbox.put("a", [3]);
  expect(mailbox.size).toBe(2);
  expect([mailbox.take(), mailbox.take(), mailbox.take()]).toEqual([["a", [1, 3]], ["b", [2]], undefined]);
});

it("a key that was taken goes to the end, one that was deleted is gone", () => {
  const mailbox = new Mailbox<string, number>((_, incoming) => incoming);
  mailbox.put("a", 1);
  mailbox.put("b", 2);
  mailbox.take();
  mailbox.put("a", 3);
  mailbox.delete("b");
  expect([mailbox.take(), mailbox.take()]).toEqual([["a", 3], undefined]);
});

it("never holds more values than keys, and loses nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(5), fc.nat(100))), (puts) => {
      const mailbox = new Mailbox<number, number>((waiting, incoming) => waiting + incoming);
      for (const [key, value] of puts) {
        mailbox.put(key, value);
        expect(mailbox.size).toBeLessThanOrEqual(6);
      }
      let sum = 0;
      for (let entry = mailbox.take(); entry; entry = mailbox.take()) sum += entry[1];
      expect(sum).toBe(puts.reduce((total, [, value]) => total + value, 0));
    }),
  );
});
