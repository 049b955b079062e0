import { expect, it } from "vitest";
import { Follower } from "./follower.ts";

const at = (epoch: number | undefined, revision: number) => ({ epoch, revision });
const snapshot = (epoch: number | undefined, revision: number) => ({ ...at(epoch, revision), snapshot: true });
const change = (epoch: number | undefined, revision: number) => ({ ...at(epoch, revision), snapshot: false });
const away = { current: false, version: undefined };
const current = (epoch: number, revision: number) => ({ current: true, version: at(epoch, revision) });

it("asks the publisher itself once the bucket has not been current for a second", () => {
  const follower = new Follower(true);
  expect(follower.look(away, 0)).toEqual([]);
  expect(follower.look(away, 999)).toEqual([]);
  expect(follower.look(away, 1000)).toEqual([{ type: "watch", feed: "direct" }]);
  expect(follower.look(away, 5000)).toEqual([]);
});

it("never asks when there is nobody to ask, and keeps to the bucket", () => {
  const follower = new Follower(false);
  expect(follower.look(away, 0)).toEqual([]);
  expect(follower.look(away, 60_000)).toEqual([]);
  expect(follower.take("bucket", snapshot(1, 1))).toBe(true);
});

it("uses the publisher itself from its first snapshot on, and goes back to the bucket when that is as new", () => {
  const follower = new Follower(true);
  follower.look(current(1, 1), 0);
  expect(follower.take("bucket", snapshot(1, 1))).toBe(true);
  follower.look(away, 1000);
  follower.look(away, 2000);
  expect(follower.take("bucket", change(1, 2))).toBe(true);
  expect(follower.take("direct", snapshot(1, 2))).toBe(true);
  expect(follower.take("direct", change(1, 3))).toBe(true);
  expect(follower.take("bucket", change(1, 3))).toBe(false);
  expect(follower.look(current(1, 2), 3000)).toEqual([]);
  expect(follower.look(current(1, 2), 9000)).toEqual([]);
  expect(follower.look(current(1, 3), 9100)).toEqual([
    { type: "watch", feed: "bucket" },
    { type: "leave", feed: "direct" },
  ]);
  expect(follower.take("bucket", snapshot(1, 3))).toBe(true);
  expect(follower.take("direct", change(1, 4))).toBe(false);
  expect(follower.take("bucket", change(1, 4))).toBe(true);
});

it("hands on nothing older: of a former leader, of a restored bucket, or of a revision of before", () => {
  const follower = new Follower(true);
  follower.look(current(5, 10), 0);
  follower.take("bucket", snapshot(5, 10));
  follower.look(away, 1000);
  follower.look(away, 2000);
  expect(follower.take("direct", snapshot(4, 99))).toBe(false);
  // What follows a refused snapshot builds upon it.
  expect(follower.take("direct", change(4, 100))).toBe(false);
  expect(follower.take("direct", snapshot(5, 9))).toBe(false);
  expect(follower.take("direct", snapshot(6, 1))).toBe(true);
  expect(follower.take("bucket", snapshot(5, 10))).toBe(false);
  expect(follower.version).toEqual(at(6, 1));
});

it("compares by revision alone what has no epoch", () => {
  const follower = new Follower(true);
  follower.look(away, 0);
  follower.look(away, 1000);
  expect(follower.take("direct", snapshot(undefined, 7))).toBe(true);
  expect(follower.take("direct", snapshot(undefined, 6))).toBe(false);
  expect(follower.take("direct", snapshot(undefined, 7))).toBe(true);
});

it("leaves a publisher that never answered as soon as the bucket is steady", () => {
  const follower = new Follower(true);
  follower.look(away, 0);
  follower.look(away, 1000);
  expect(follower.take("bucket", snapshot(1, 1))).toBe(true);
  expect(follower.look(current(1, 1), 1500)).toEqual([]);
  expect(follower.look(away, 2500)).toEqual([]);
  expect(follower.look(current(1, 1), 3000)).toEqual([]);
  expect(follower.look(current(1, 1), 5000)).toEqual([{ type: "leave", feed: "direct" }]);
});

it("stays with the publisher itself when the bucket comes and goes", () => {
  const follower = new Follower(true);
  follower.look(away, 0);
  follower.look(away, 1000);
  expect(follower.take("direct", snapshot(1, 1))).toBe(true);
  follower.look(current(1, 1), 1500);
  // Its first word, and not what was asked for.
  expect(follower.take("bucket", snapshot(1, 1))).toBe(false);
  follower.look(away, 2000);
  expect(follower.take("direct", change(1, 2))).toBe(true);
  follower.look(current(1, 2), 3000);
  expect(follower.look(current(1, 2), 5000)).toHaveLength(2);
  expect(follower.take("bucket", snapshot(1, 2))).toBe(true);
  follower.look(away, 6000);
  expect(follower.look(away, 7000)).toEqual([{ type: "watch", feed: "direct" }]);
  expect(follower.take("direct", snapshot(1, 3))).toBe(true);
  expect(follower.take("direct", change(1, 4))).toBe(true);
});
