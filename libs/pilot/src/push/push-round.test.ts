import { expect, it } from "vitest";
import { PushRound } from "./push-round.ts";

function start() {
  let finished = 0;
  const round = new PushRound<string>(() => finished++);
  return { round, finished: () => finished };
}

it("is over when all are done", () => {
  const { round, finished } = start();
  expect(round.busy).toBe(false);
  round.begin(["a", "b"]);
  round.done("a");
  round.done("a");
  expect([round.busy, finished()]).toEqual([true, 0]);
  round.done("b");
  expect([round.busy, finished()]).toEqual([false, 1]);
});

it("does not wait again for those who were late, until they have caught up", () => {
  const { round, finished } = start();
  round.begin(["a", "b"]);
  round.done("a");
  round.begin(["a", "b"]);
  expect(round.has("b")).toBe(true);
  round.done("a");
  expect([round.busy, finished()]).toEqual([false, 1]);
  round.done("b");
  expect(finished()).toBe(1);
  round.begin(["a", "b"]);
  round.done("a");
  expect(round.busy).toBe(true);
  round.done("b");
  expect(finished()).toBe(2);
});

it("knows nobody who is done", () => {
  const { round } = start();
  round.begin(["a"]);
  round.done("a");
  expect(round.has("a")).toBe(false);
});
