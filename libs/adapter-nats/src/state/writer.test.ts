import { expect, it } from "vitest";
import { ModelPublisher } from "../testing/actors.ts";
import { ModelBucket } from "../testing/model-bucket.ts";
import { decodeHead } from "../wire/head.ts";

const one = (key: string, value: string | undefined) => new Map([[key, value]]);
const namesIn = (bucket: ModelBucket) =>
  bucket.messages().flatMap(({ name, bytes }) => (bytes === undefined ? [] : [name]));
const headOf = (bucket: ModelBucket) => {
  const head = bucket.messages().find(({ name }) => name === "head");
  return decodeHead(head?.bytes ?? new Uint8Array())?.version;
};

function publisher(bucket: ModelBucket, epoch: number): ModelPublisher {
  const made = new ModelPublisher(bucket, epoch);
  made.publish(1, one("a", "1"));
  made.settle();
  return made;
}

it("writes what differs, and the head last", () => {
  const bucket = new ModelBucket();
  const leader = publisher(bucket, 1);
  expect(namesIn(bucket)).toEqual(["e.a.0", "head"]);
  const before = bucket.facts.last;
  leader.publish(
    2,
    new Map([
      ["a", "1"],
      ["b", "2"],
    ]),
  );
  leader.settle();
  // The revision of an entry is part of what is written.
  expect([bucket.facts.last - before, namesIn(bucket)]).toEqual([3, ["e.a.0", "e.b.0", "head"]]);
  leader.publish(3, one("a", undefined));
  leader.settle();
  expect(namesIn(bucket)).toEqual(["e.b.0", "head"]);
});

it("cuts values that are too large for one message, and takes the parts away when they become smaller", () => {
  const bucket = new ModelBucket();
  const leader = publisher(bucket, 1);
  leader.publish(2, one("a", "x".repeat(100)));
  leader.settle();
  expect(namesIn(bucket)).toEqual(["e.a.0", "e.a.1", "e.a.2", "e.a.3", "head"]);
  leader.publish(3, one("a", "x"));
  leader.settle();
  expect(namesIn(bucket)).toEqual(["e.a.0", "head"]);
});

it("writes nothing any more once a publisher with a larger fencing token has written", () => {
  const bucket = new ModelBucket();
  const former = publisher(bucket, 1);
  publisher(bucket, 2);
  const { last } = bucket.facts;
  former.publish(9, one("a", "old"));
  former.settle();
  former.publish(10, one("a", "older"));
  former.settle();
  expect([former.writer.fenced, bucket.facts.last, headOf(bucket)?.epoch]).toEqual([true, last, 2]);
});

it("has nothing of the former publisher written after the first message of the new one, even between a read and a write", () => {
  const bucket = new ModelBucket();
  const former = publisher(bucket, 1);
  former.publish(2, one("b", "2"));
  publisher(bucket, 2);
  // It has read long ago, and goes on where it was.
  expect(former.write(10)).toBe(false);
  expect(namesIn(bucket)).toEqual(["e.a.0", "head"]);
});

it("repairs a bucket that was wiped, purged, restored or written to, however it looks from outside", () => {
  const bucket = new ModelBucket();
  const leader = publisher(bucket, 1);
  const restore = bucket.backup();
  leader.publish(
    2,
    new Map([
      ["a", "2"],
      ["b", "2"],
    ]),
  );
  leader.settle();
  const damages: readonly (() => void)[] = [
    () => bucket.wipe(),
    () => bucket.purge(),
    restore,
    () => bucket.intrude("e.b.0", undefined),
    () => bucket.intrude("e.z.0", Buffer.from("?")),
    () => bucket.intrude("head", Buffer.from("?")),
  ];
  for (const damage of damages) {
    damage();
    expect(leader.writer.agrees(bucket.facts)).toBe(false);
    leader.settle();
    expect([namesIn(bucket).sort(), headOf(bucket)?.revision]).toEqual([["e.a.0", "e.b.0", "head"], 2]);
  }
});

it("goes on where it was when the same bucket comes back, and leaves it alone when it is right", () => {
  const bucket = new ModelBucket();
  const leader = publisher(bucket, 1);
  const { last } = bucket.facts;
  leader.writer.lost();
  leader.settle();
  expect(bucket.facts.last).toBe(last);
});

it("never uses a version for two states", () => {
  const bucket = new ModelBucket();
  const leader = publisher(bucket, 1);
  leader.publish(1, one("a", "the same revision again"));
  leader.settle();
  expect(headOf(bucket)).toEqual({ epoch: 1, revision: 1, step: 2 });
});

it("names deletions that have lain there for long, until they are cleaned", () => {
  const bucket = new ModelBucket();
  const leader = publisher(bucket, 1);
  leader.publish(2, one("a", undefined));
  leader.settle();
  expect(leader.writer.oldDeletions(bucket.facts.last, 5)).toEqual([{ name: "e.a.0", sequence: 3 }]);
  expect(leader.writer.oldDeletions(2, 5)).toEqual([]);
  leader.writer.cleaned("e.a.0");
  expect(leader.writer.oldDeletions(bucket.facts.last, 5)).toEqual([]);
});
