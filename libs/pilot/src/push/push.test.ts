import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { PushQueue } from "./push-queue.ts";
import { Revisions } from "./revisions.ts";
import { SyncWaits } from "./sync-waits.ts";

describe("PushQueue", () => {
  it("pushes each item once however often it was added while it waited", () => {
    const clock = manualClock();
    const pushed: string[] = [];
    const queue = new PushQueue<string>(clock, (item) => {
      pushed.push(item);
      clock.advance(6);
    });
    queue.add(["a", "b", "c", "d"]);
    queue.add(["c", "d"]);
    clock.advance(1);
    expect(pushed).toEqual(["a", "b", "c", "d"]);
    expect(queue.size).toBe(0);
  });

  it("gives way after a slice of work", () => {
    const clock = manualClock();
    let work = 0;
    const pushed: number[] = [];
    const slow = { ...clock, monotonic: () => work };
    const queue = new PushQueue<number>(slow, (item) => {
      pushed.push(item);
      work += 6;
    });
    queue.add([1, 2, 3, 4, 5]);
    expect(pushed).toEqual([1, 2]);
    clock.advance(0);
    expect(pushed).toEqual([1, 2, 3, 4, 5]);
  });

  it("takes an item again that is added by its own push", () => {
    const clock = manualClock();
    let left = 3;
    const queue = new PushQueue<string>(clock, () => {
      if (--left > 0) queue.add(["a"]);
    });
    queue.add(["a"]);
    clock.advance(0);
    expect(left).toBe(0);
  });
});

describe("Revisions", () => {
  it("knows from which push on a revision is in force", () => {
    const revisions = new Revisions();
    expect(revisions.pushOf(0)).toBeUndefined();
    for (const config of [0, 3, 3, 3, 5]) revisions.next(config);
    expect(revisions).toMatchObject({ push: 5, config: 5 });
    expect([0, 1, 3, 4, 5, 6].map((config) => revisions.pushOf(config))).toEqual([1, 2, 2, 5, 5, undefined]);
  });

  it("forgets old steps and then errs on the late side", () => {
    const revisions = new Revisions();
    for (let config = 1; config <= 1000; config++) revisions.next(config);
    expect(revisions.pushOf(1)).toBe(745);
    expect(revisions.pushOf(1000)).toBe(1000);
  });
});

describe("SyncWaits", () => {
  function start() {
    const clock = manualClock();
    const state = { at: 0 };
    const waits = new SyncWaits(clock, (revision) => ({
      synced: state.at >= revision,
      laggards: state.at >= revision ? [] : ["web-1.shop"],
    }));
    return { clock, state, waits };
  }

  it("answers at once when everybody is there, or nobody waits", async () => {
    const { waits } = start();
    expect(await waits.wait(0, 1000)).toEqual({ synced: true, laggards: [] });
    expect(await waits.wait(1, 0)).toEqual({ synced: false, laggards: ["web-1.shop"] });
  });

  it("answers when everybody is there, and leaves no timer", async () => {
    const { clock, state, waits } = start();
    const outcome = waits.wait(2, 1000);
    state.at = 1;
    waits.poke();
    clock.advance(0);
    state.at = 2;
    waits.poke();
    clock.advance(0);
    expect(await outcome).toEqual({ synced: true, laggards: [] });
    expect(clock.pending).toBe(0);
  });

  it("names the laggards when the time is over or pilot stops", async () => {
    const { clock, waits } = start();
    const late = waits.wait(1, 500);
    clock.advance(500);
    expect(await late).toEqual({ synced: false, laggards: ["web-1.shop"] });
    const stopped = waits.wait(1, 500);
    waits.close();
    expect((await stopped).synced).toBe(false);
    expect((await waits.wait(1, 500)).synced).toBe(false);
  });
});
