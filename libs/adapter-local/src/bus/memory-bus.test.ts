import { Scope } from "@lateen/kernel";
import type { StateDelta } from "@lateen/ports";
import { busPromises } from "@lateen/test-support";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { memoryBus } from "./memory-bus.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const entry = (key: string, revision: number) => ({ key, value: `${key}${revision}`, revision });
const delta = (revision: number, upserted: readonly string[], removed: readonly string[] = [], snapshot = false) => ({
  snapshot,
  revision,
  upserted: upserted.map((key) => entry(key, revision)),
  removed,
});

describe("state", () => {
  it("gives a watcher a snapshot first, then every change", async () => {
    const topic = memoryBus().state<string>("t");
    await topic.publish(delta(1, ["a", "b"], [], true));
    const seen: StateDelta<string>[] = [];
    topic.watch(new Scope(), (received) => seen.push(received));
    await turn();
    await topic.publish(delta(2, ["a"], ["b"]));
    await turn();
    expect(seen).toEqual([delta(1, ["a", "b"], [], true), delta(2, ["a"], ["b"])]);
  });

  it("says nothing before the first publish, and nothing after the scope closed", async () => {
    const topic = memoryBus().state<string>("t");
    const scope = new Scope();
    const seen: unknown[] = [];
    topic.watch(scope, (received) => seen.push(received));
    await turn();
    expect(seen).toEqual([]);
    void topic.publish(delta(1, ["a"]));
    await scope.close();
    await turn();
    expect(seen).toEqual([]);
  });

  it("calls the first publish a snapshot, for there is nothing else", async () => {
    const topic = memoryBus().state<string>("t");
    const seen: StateDelta<string>[] = [];
    topic.watch(new Scope(), (received) => seen.push(received));
    await topic.publish(delta(1, ["a"], ["b"]));
    await turn();
    expect(seen).toEqual([delta(1, ["a"], [], true)]);
  });

  it("never calls a receiver inside publish, and one that throws disturbs nobody", async () => {
    const topic = memoryBus().state<string>("t");
    let publishing = true;
    const seen: boolean[] = [];
    topic.watch(new Scope(), () => {
      throw new Error("x");
    });
    topic.watch(new Scope(), () => seen.push(publishing));
    void topic.publish(delta(1, ["a"]));
    publishing = false;
    await turn();
    expect(seen).toEqual([false]);
  });

  it("leaves every watcher with what was published, however deltas were merged", async () => {
    const key = fc.constantFrom("a", "b", "c");
    const step = fc.record({
      upserted: fc.uniqueArray(key),
      removed: fc.uniqueArray(key),
      snapshot: fc.boolean(),
      wait: fc.boolean(),
      joins: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const topic = memoryBus().state<string>("t");
        const truth = new Map<string, string>();
        const views: Map<string, string>[] = [];
        for (const [i, { upserted, removed, snapshot, wait, joins }] of steps.entries()) {
          if (joins) {
            const view = new Map<string, string>();
            views.push(view);
            topic.watch(new Scope(), (received) => fold(view, received));
          }
          const published = delta(
            i + 1,
            upserted,
            removed.filter((k) => !upserted.includes(k)),
            snapshot,
          );
          fold(truth, published);
          void topic.publish(published);
          if (wait) await turn();
        }
        await turn();
        for (const view of views) expect([...view].sort()).toEqual([...truth].sort());
      }),
      { numRuns: 50 },
    );
  });
});

function fold(view: Map<string, string>, received: StateDelta<string>): void {
  if (received.snapshot) view.clear();
  for (const key of received.removed) view.delete(key);
  for (const { key, value } of received.upserted) view.set(key, value);
}

describe("events", () => {
  it("reach current subscribers in order; what does not fit is dropped and counted", async () => {
    const topic = memoryBus({ eventQueue: 2 }).events<number>("t");
    topic.emit(0);
    const scope = new Scope();
    const seen: number[] = [];
    topic.subscribe(scope, (event) => seen.push(event));
    for (const event of [1, 2, 3]) topic.emit(event);
    await turn();
    expect([seen, topic.dropped]).toEqual([[1, 2], 1]);
    topic.emit(4);
    await scope.close();
    await turn();
    expect(seen).toEqual([1, 2]);
  });

  it("is one topic by name", () => {
    const bus = memoryBus();
    expect(bus.events("a")).toBe(bus.events("a"));
    expect(bus.state("a")).toBe(bus.state("a"));
    expect(bus.state("a")).not.toBe(bus.state("b"));
  });
});

describe("promises of the port", () => {
  it.each(busPromises)("$name", async ({ check }) => {
    const bus = memoryBus({ eventQueue: 4 });
    let topics = 0;
    await check({
      publisher: bus,
      watcher: bus,
      topic: (kind) => `${kind}-${++topics}`,
      subscribed: async () => {},
      eventQueue: 4,
    });
  });
});
