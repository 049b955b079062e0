import { expect, it } from "vitest";
import { randomInt, seededRandom } from "./random.ts";

const draw = (seed: number, count: number) => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random.next());
};

it("equal seeds give equal sequences, different seeds different ones", () => {
  expect(draw(7, 20)).toEqual(draw(7, 20));
  expect(draw(7, 20)).not.toEqual(draw(8, 20));
  expect(new Set(draw(0, 100)).size).toBe(100);
});

it("numbers are in [0, 1) and spread evenly", () => {
  const numbers = draw(42, 10_000);
  expect(numbers.every((value) => value >= 0 && value < 1)).toBe(true);
  const tenths = new Array<number>(10).fill(0);
  for (const value of numbers) tenths[Math.floor(value * 10)]!++;
  for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

it("randomInt stays below its bound", () => {
  const random = seededRandom(1);
  const seen = new Set(Array.from({ length: 200 }, () => randomInt(random, 3)));
  expect([...seen].sort()).toEqual([0, 1, 2]);
});
