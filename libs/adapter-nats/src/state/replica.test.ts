import { expect, it } from "vitest";
import { ModelPublisher, ModelReader } from "../testing/actors.ts";
import { ModelBucket } from "../testing/model-bucket.ts";
import type { BucketMessage } from "./mirror.ts";

const asIs = (messages: readonly BucketMessage[]) => messages;
const one = (key: string, value: string | undefined) => new Map([[key, value]]);

function scene() {
  const bucket = new ModelBucket();
  const leader = new ModelPublisher(bucket, 1);
  leader.publish(
    1,
    new Map([
      ["a", "1"],
      ["b", "x".repeat(80)],
    ]),
  );
  leader.settle();
  const reader = new ModelReader(bucket);
  return { bucket, leader, reader, version: () => leader.writer.version ?? { epoch: 0, revision: 0, step: 0 } };
}

it("takes the first state once its publisher confirms it", () => {
  const { reader, version } = scene();
  reader.open(0);
  reader.deliver(0, asIs, 1);
  expect(reader.held.size).toBe(0);
  reader.do(reader.replica.beat(version(), 10), 10);
  expect([...reader.held.keys()]).toEqual(["a", "b"]);
  expect([reader.replica.current(10), reader.replica.current(5000)]).toEqual([true, false]);
});

it("takes it without a word when no publisher is heard, and not before", () => {
  const { reader } = scene();
  reader.open(0);
  reader.deliver(0, asIs, 1);
  reader.do(reader.replica.tick(2999), 2999);
  expect(reader.held.size).toBe(0);
  reader.do(reader.replica.tick(3000), 3000);
  expect([...reader.held.keys()]).toEqual(["a", "b"]);
});

it("does not begin with an old backup while its publisher lives", () => {
  const { bucket, leader, reader, version } = scene();
  const restore = bucket.backup();
  leader.publish(2, one("a", "2"));
  leader.settle();
  restore();
  reader.do(reader.replica.beat(version(), 0), 0);
  reader.open(0);
  reader.deliver(0, asIs, 1);
  expect(reader.held.size).toBe(0);
  leader.check();
  leader.settle();
  reader.fetch();
  reader.deliver(100, asIs, 1);
  expect(reader.held.get("a")).toBe("2");
});

it("hands on nothing in the middle of a change, and what comes twice or in any order once", () => {
  const { leader, reader, version } = scene();
  reader.open(0);
  reader.deliver(0, asIs, 1);
  reader.do(reader.replica.beat(version(), 0), 0);
  leader.publish(
    2,
    new Map([
      ["a", "2"],
      ["b", undefined],
      ["c", "2"],
    ]),
  );
  leader.write(2);
  reader.fetch();
  reader.deliver(0, asIs, 1);
  expect([reader.held.get("a"), reader.held.has("b"), reader.versions.length]).toEqual(["1", true, 1]);
  leader.settle();
  reader.fetch();
  reader.deliver(0, (messages) => messages.toReversed(), 3);
  expect([[...reader.held], reader.versions.length]).toEqual([
    [
      ["a", "2"],
      ["c", "2"],
    ],
    2,
  ]);
});

it("keeps what it has while the bucket is lost, wiped or older, and hands on nothing when it is repaired", () => {
  const { bucket, leader, reader, version } = scene();
  const restore = bucket.backup();
  leader.publish(2, one("a", "2"));
  leader.settle();
  reader.open(0);
  reader.deliver(0, asIs, 1);
  reader.do(reader.replica.beat(version(), 0), 0);
  for (const damage of [restore, () => bucket.wipe(), () => bucket.purge()]) {
    damage();
    reader.lose();
    reader.open(100);
    reader.deliver(100, asIs, 1);
    expect([reader.held.get("a"), reader.replica.current(100)]).toEqual(["2", false]);
    leader.settle();
    reader.fetch();
    reader.deliver(100, asIs, 1);
    expect([reader.held.get("a"), reader.versions.length, reader.replica.current(100)]).toEqual(["2", 1, true]);
  }
});

it("reads again when it is behind its publisher for long, each time after a longer wait", () => {
  const { leader, reader, version } = scene();
  reader.open(0);
  reader.deliver(0, asIs, 1);
  reader.do(reader.replica.beat(version(), 0), 0);
  leader.publish(2, one("a", "2"));
  const reopened: number[] = [];
  for (let now = 500; now <= 16_000; now += 500) {
    const effects = reader.replica.beat(version(), now);
    if (effects.some(({ type }) => type === "reopen")) reopened.push(now);
    reader.do(effects, now);
    reader.deliver(now, asIs, 1);
  }
  expect(reopened).toEqual([2500, 7000, 15_500]);
});

it("believes the newest publisher that it hears, and another one when that has been silent for long", () => {
  const { reader, version } = scene();
  reader.open(0);
  reader.deliver(0, asIs, 1);
  reader.do(reader.replica.beat(version(), 0), 0);
  reader.do(reader.replica.beat({ epoch: 2, revision: 1, step: 1 }, 100), 100);
  reader.do(reader.replica.beat(version(), 200), 200);
  expect(reader.replica.current(200)).toBe(false);
  reader.do(reader.replica.beat(version(), 3200), 3200);
  expect(reader.replica.current(3200)).toBe(true);
});

it("changes one part of a value in several", () => {
  const { leader, reader, version } = scene();
  reader.open(0);
  reader.deliver(0, asIs, 1);
  reader.do(reader.replica.beat(version(), 0), 0);
  leader.publish(1, one("b", `${"x".repeat(60)}${"y".repeat(20)}`));
  leader.settle();
  reader.fetch();
  reader.deliver(0, asIs, 1);
  expect(reader.held.get("b")).toBe(`${"x".repeat(60)}${"y".repeat(20)}`);
});
