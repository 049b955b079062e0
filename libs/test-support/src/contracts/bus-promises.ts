import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Scope } from "@lateen/kernel";
import type { Bus, StateDelta } from "@lateen/ports";
import { eventually } from "../waiting/eventually.ts";

/** A bus to be tested, with topics named anew by each promise; values of state and events are strings. */
export interface BusUnderTest {
  /** Where state is published and events are emitted. */
  readonly publisher: Bus;
  /** Where they arrive; it may be in another process than the publisher. */
  readonly watcher: Bus;
  /** A topic's name that nobody has used. */
  readonly topic: (kind: "state" | "events") => string;
  /** Resolves once what was subscribed at the watcher gets what is emitted from now on. */
  readonly subscribed: () => Promise<void>;
  /** Events that the watcher keeps for a slow subscriber. */
  readonly eventQueue: number;
}

/** Something that every adapter of the Bus port keeps. */
export interface BusPromise {
  readonly name: string;
  readonly check: (bus: BusUnderTest) => Promise<void>;
}

const PATIENCE_MS = 30_000;
const delta = (
  revision: number,
  upserted: Readonly<Record<string, string>>,
  removed: readonly string[] = [],
  snapshot = false,
): StateDelta<string> => ({
  snapshot,
  revision,
  epoch: 1,
  upserted: Object.entries(upserted).map(([key, value]) => ({ key, value, revision })),
  removed,
});

/** A watcher's view, kept from what it receives. */
class View {
  readonly deltas: StateDelta<string>[] = [];
  readonly values = new Map<string, string>();

  readonly receive = (received: StateDelta<string>): void => {
    this.deltas.push(received);
    if (received.snapshot) this.values.clear();
    for (const key of received.removed) this.values.delete(key);
    for (const { key, value } of received.upserted) this.values.set(key, value);
  };

  get revision(): number {
    return this.deltas.at(-1)?.revision ?? 0;
  }

  at(revision: number): Promise<true> {
    return eventually(`revision ${revision}`, async () => this.revision === revision || undefined, PATIENCE_MS, 5);
  }
}

async function withScope(run: (scope: Scope) => Promise<void>): Promise<void> {
  const scope = new Scope();
  try {
    await run(scope);
  } finally {
    await scope.close();
  }
}

/** What the Bus port promises (see its interface), one by one; each adapter's tests check all of them. */
export const busPromises: readonly BusPromise[] = [
  {
    name: "a watcher gets a snapshot first, then every delta in order",
    check: ({ publisher, watcher, topic }) =>
      withScope(async (scope) => {
        const name = topic("state");
        const published = publisher.state<string>(name);
        await published.publish(delta(1, { a: "1", b: "1" }, [], true));
        const view = new View();
        watcher.state<string>(name).watch(scope, view.receive);
        await view.at(1);
        await published.publish(delta(2, { a: "2" }, ["b"]));
        await view.at(2);
        await published.publish(delta(3, { "VirtualService/shop/a.b": "3" }));
        await view.at(3);
        deepStrictEqual(
          view.deltas.map(({ snapshot, epoch }) => [snapshot, epoch]),
          [
            [true, 1],
            [false, 1],
            [false, 1],
          ],
        );
        deepStrictEqual([...view.values].sort(), [
          ["VirtualService/shop/a.b", "3"],
          ["a", "2"],
        ]);
        deepStrictEqual(view.deltas[1]?.removed, ["b"]);
      }),
  },
  {
    name: "a watcher that comes before the first publication gets that as a snapshot",
    check: ({ publisher, watcher, topic }) =>
      withScope(async (scope) => {
        const name = topic("state");
        const view = new View();
        watcher.state<string>(name).watch(scope, view.receive);
        await publisher.state<string>(name).publish(delta(1, { a: "1" }, ["b"]));
        await view.at(1);
        deepStrictEqual(
          view.deltas.map(({ snapshot, removed }) => [snapshot, removed]),
          [[true, []]],
        );
      }),
  },
  {
    name: "a late joiner gets everything there is, and a snapshot replaces everything",
    check: ({ publisher, watcher, topic }) =>
      withScope(async (scope) => {
        const name = topic("state");
        const published = publisher.state<string>(name);
        const early = new View();
        watcher.state<string>(name).watch(scope, early.receive);
        await published.publish(delta(1, { a: "1", b: "1", c: "1" }));
        await published.publish(delta(2, {}, ["a"]));
        await early.at(2);
        await published.publish(delta(3, { b: "3", d: "3" }, [], true));
        await early.at(3);
        const late = new View();
        watcher.state<string>(name).watch(scope, late.receive);
        await late.at(3);
        const expected = [
          ["b", "3"],
          ["d", "3"],
        ];
        deepStrictEqual([[...early.values].sort(), [...late.values].sort()], [expected, expected]);
        strictEqual(late.deltas[0]?.snapshot, true);
      }),
  },
  {
    name: "what a watcher is too slow for is merged, never queued",
    check: ({ publisher, watcher, topic }) =>
      withScope(async (scope) => {
        const name = topic("state");
        const published = publisher.state<string>(name);
        const view = new View();
        watcher.state<string>(name).watch(scope, view.receive);
        for (let revision = 1; revision <= 300; revision++) {
          // Not awaited: the watcher cannot be quicker than this.
          void published.publish(delta(revision, { a: `${revision}`, [`k${revision % 3}`]: `${revision}` }));
        }
        await view.at(300);
        ok(view.deltas.length < 300, `${view.deltas.length} deltas`);
        for (const { upserted } of view.deltas) ok(upserted.length <= 4, `${upserted.length} entries`);
        deepStrictEqual([...view.values].sort(), [
          ["a", "300"],
          ["k0", "300"],
          ["k1", "298"],
          ["k2", "299"],
        ]);
      }),
  },
  {
    name: "a watcher that throws disturbs nobody, and one whose scope closed hears nothing more",
    check: ({ publisher, watcher, topic }) =>
      withScope(async (scope) => {
        const name = topic("state");
        const published = publisher.state<string>(name);
        const own = new Scope();
        const [gone, view] = [new View(), new View()];
        watcher.state<string>(name).watch(scope, () => {
          throw new Error("a watcher's own");
        });
        watcher.state<string>(name).watch(own, gone.receive);
        watcher.state<string>(name).watch(scope, view.receive);
        await published.publish(delta(1, { a: "1" }));
        await view.at(1);
        await own.close();
        await published.publish(delta(2, { a: "2" }));
        await view.at(2);
        strictEqual(gone.revision <= 1, true);
      }),
  },
  {
    name: "events reach every subscriber of now, in order; of a group, one each",
    check: ({ publisher, watcher, topic, subscribed }) =>
      withScope(async (scope) => {
        const name = topic("events");
        const emitted = publisher.events<string>(name);
        const arrived = watcher.events<string>(name);
        const [all, first, second]: [string[], string[], string[]] = [[], [], []];
        arrived.subscribe(scope, (event) => all.push(event));
        arrived.subscribe(scope, (event) => first.push(event), "group");
        arrived.subscribe(scope, (event) => second.push(event), "group");
        await subscribed();
        const numbers = Array.from({ length: 40 }, (_, index) => `${index}`);
        for (const number of numbers) {
          emitted.emit(number);
          // Each is taken before the next comes, so that nothing is dropped.
          await eventually(`event ${number}`, async () => all.includes(number) || undefined, PATIENCE_MS, 1);
        }
        deepStrictEqual(all, numbers);
        await eventually("the group", async () => first.length + second.length === 40 || undefined, PATIENCE_MS, 5);
        deepStrictEqual([...first, ...second].sort(), numbers.toSorted());
        ok(first.length > 0 && second.length > 0, "both members of the group get some");
        strictEqual(emitted.dropped + (emitted === arrived ? 0 : arrived.dropped), 0);
      }),
  },
  {
    name: "what does not fit is dropped and counted",
    check: ({ publisher, watcher, topic, subscribed, eventQueue }) =>
      withScope(async (scope) => {
        const name = topic("events");
        const emitted = publisher.events<string>(name);
        const arrived = watcher.events<string>(name);
        const seen: string[] = [];
        arrived.subscribe(scope, (event) => seen.push(event));
        await subscribed();
        const count = eventQueue * 40;
        for (let index = 0; index < count; index++) emitted.emit(`${index}`);
        const dropped = () => emitted.dropped + (emitted === arrived ? 0 : arrived.dropped);
        await eventually(
          "all are accounted for",
          async () => seen.length + dropped() === count || undefined,
          PATIENCE_MS,
          5,
        );
        ok(seen.length >= eventQueue, `${seen.length} arrived`);
      }),
  },
  {
    name: "a topic is one by its name",
    check: async ({ publisher, topic }) => {
      const [one, other] = [topic("state"), topic("state")];
      strictEqual(publisher.state(one), publisher.state(one));
      ok(publisher.state(one) !== publisher.state(other));
      const events = topic("events");
      strictEqual(publisher.events(events), publisher.events(events));
    },
  },
];
