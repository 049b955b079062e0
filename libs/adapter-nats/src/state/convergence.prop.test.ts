import fc from "fast-check";
import { expect, it } from "vitest";
import { ModelPublisher, ModelReader } from "../testing/actors.ts";
import { ModelBucket } from "../testing/model-bucket.ts";
import type { BucketMessage } from "./mirror.ts";

const key = fc.constantFrom("a", "b", "VirtualService/shop/reviews.v1");
/** Values of one part and of several. */
const value = fc.option(fc.string({ maxLength: 90 }), { nil: undefined });

type Step =
  | { readonly do: "publish" | "stale"; readonly changes: ReadonlyMap<string, string | undefined> }
  | { readonly do: "write"; readonly most: number }
  | { readonly do: "deliver"; readonly copies: number; readonly reversed: boolean }
  | {
      readonly do:
        | "backup"
        | "restore"
        | "wipe"
        | "purge"
        | "lose"
        | "open"
        | "check"
        | "read"
        | "succeed"
        | "settle"
        | "follow";
    }
  | { readonly do: "intrude"; readonly name: string; readonly text: string | undefined };

type Plain = Exclude<Step["do"], "publish" | "stale" | "write" | "deliver" | "intrude">;
const plain = (...names: readonly Plain[]) => fc.constantFrom(...names).map((name): Step => ({ do: name }));
const changes = fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 4 }).map((pairs) => new Map(pairs));
const texts = fc.option(fc.string(), { nil: undefined });
const names = fc.constantFrom("head", "e.a.0", "e.x.0", "y");
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: changes.map((all): Step => ({ do: "publish", changes: all })) },
  { weight: 2, arbitrary: changes.map((all): Step => ({ do: "stale", changes: all })) },
  { weight: 4, arbitrary: fc.nat(6).map((most): Step => ({ do: "write", most })) },
  {
    weight: 4,
    arbitrary: fc
      .record({ copies: fc.integer({ min: 1, max: 3 }), reversed: fc.boolean() })
      .map((how): Step => ({ do: "deliver", ...how })),
  },
  { weight: 10, arbitrary: plain("settle", "follow") },
  { weight: 3, arbitrary: plain("read", "check", "open") },
  { weight: 5, arbitrary: plain("backup", "restore", "wipe", "purge", "lose", "succeed") },
  { weight: 1, arbitrary: fc.record({ name: names, text: texts }).map((what): Step => ({ do: "intrude", ...what })) },
);

it("readers end with what the leader published, whatever happened to the bucket, and never go back", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const bucket = new ModelBucket();
      let leader = new ModelPublisher(bucket, 1);
      const former: ModelPublisher[] = [];
      const reader = new ModelReader(bucket);
      const published = new Set<string>([text(reader.held)]);
      let [now, revision, epoch] = [0, 0, 1];
      let restore = bucket.backup();
      for (const one of steps) {
        now += 100;
        switch (one.do) {
          case "publish":
            leader.publish(++revision, one.changes);
            published.add(text(leader.truth));
            break;
          case "write":
            leader.write(one.most);
            break;
          case "read":
            if (leader.writer.version !== undefined) leader.read();
            break;
          case "check":
            leader.check();
            break;
          case "settle": {
            leader.settle();
            const { version } = leader.writer;
            if (version !== undefined && !leader.writer.fenced) reader.do(reader.replica.beat(version, now), now);
            break;
          }
          case "follow":
            if (!reader.reading) reader.open(now);
            reader.fetch();
            reader.deliver(now, unchanged, 1);
            break;
          case "stale":
            // Leaders of before that do not know yet, and decide on.
            for (const old of former) {
              old.publish(revision + 1, one.changes);
              published.add(text(old.truth));
              old.write(9);
              old.check();
              old.read();
              old.write(9);
            }
            break;
          case "succeed": {
            former.push(leader);
            const next = new ModelPublisher(bucket, ++epoch);
            next.publish(++revision, new Map(leader.truth));
            published.add(text(next.truth));
            leader = next;
            break;
          }
          case "deliver":
            reader.fetch();
            reader.deliver(now, one.reversed ? reversed : unchanged, one.copies);
            break;
          case "open":
            reader.open(now);
            break;
          case "lose":
            reader.lose();
            break;
          case "backup":
            restore = bucket.backup();
            break;
          case "restore":
            restore();
            // As with a server that was stopped for it.
            reader.lose();
            break;
          case "wipe":
            bucket.wipe();
            reader.lose();
            break;
          case "purge":
            bucket.purge();
            break;
          case "intrude":
            bucket.intrude(one.name, one.text === undefined ? undefined : Buffer.from(one.text));
            break;
        }
        // Whatever is handed on was published as a whole at some time.
        expect(published).toContain(text(reader.held));
      }
      leader.publish(++revision, new Map());
      // Everything works again: the leader lives, and the reader looks.
      for (let second = 0; second < 12; second++) {
        now += 1000;
        leader.settle();
        const { version } = leader.writer;
        if (!leader.writer.fenced && version !== undefined) reader.do(reader.replica.beat(version, now), now);
        if (second === 0) reader.open(now);
        reader.fetch();
        reader.deliver(now, unchanged, 1);
        reader.do(reader.replica.tick(now), now);
        if (second < 4) continue;
        expect(text(reader.held)).toBe(text(leader.truth));
        expect(reader.replica.current(now)).toBe(true);
      }
      expect(reader.monotonic).toBe(true);
    }),
    { numRuns: 200 },
  );
});

const unchanged = (messages: readonly BucketMessage[]) => messages;
const reversed = (messages: readonly BucketMessage[]) => messages.toReversed();

function text(map: ReadonlyMap<string, string>): string {
  return JSON.stringify([...map].sort());
}
