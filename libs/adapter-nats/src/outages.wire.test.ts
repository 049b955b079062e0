import { Scope } from "@lateen/kernel";
import { eventually, NatsServer, startTcpRelay, type TcpRelay } from "@lateen/test-support";
import { connect, headers, type Msg } from "nats";
import { describe, expect, it } from "vitest";
import type { NatsBus } from "./nats-bus.ts";
import { Held, noServer, PATIENCE_MS, Source, startBus } from "./testing/rig.ts";

/** Consumers equal their source that soon after the end of an outage; a machine that is much slower gets more. */
const FULL = process.env.LATEEN_TEST_FULL === "1";
const RECOVERY_MS = FULL ? 5000 : PATIENCE_MS;

interface Scene {
  readonly server: NatsServer;
  /** A way to the server that can be cut; the follower goes by it. */
  readonly relay: TcpRelay;
  readonly publisher: NatsBus;
  readonly source: Source;
  readonly follower: NatsBus;
  /** What the follower has. */
  readonly held: Held;
  /** A further process on the bus. */
  readonly bus: (url: string, options?: Parameters<typeof startBus>[1]) => NatsBus;
  readonly watch: (from: NatsBus) => Held;
  /** Ends the publisher. */
  readonly end: () => Promise<void>;
}

/** A server, a publisher and a follower that has what is published. */
async function scene(atEnd: (cleanUp: () => Promise<void>) => void): Promise<Scene> {
  const server = await NatsServer.start();
  atEnd(() => server.close());
  const relay = await startTcpRelay(server.port);
  atEnd(() => relay.close());
  const bus: Scene["bus"] = (url, options = {}) => {
    const started = startBus(url, options);
    atEnd(started.close);
    return started.bus;
  };
  const watch = (from: NatsBus): Held => {
    const view = new Held();
    from.state<string>("t").watch(new Scope(), view.receive);
    return view;
  };
  const publishing = startBus(server.url, { epoch: 1 });
  atEnd(publishing.close);
  const source = new Source(publishing.bus, "t");
  await source.publish({ a: "1", b: "1", "VirtualService/shop/reviews.v1": "1" });
  const follower = bus(`127.0.0.1:${relay.port}`);
  const held = watch(follower);
  await held.equals(source.truth);
  return { server, relay, publisher: publishing.bus, source, follower, held, bus, watch, end: publishing.close };
}

const isCurrent = (one: NatsBus) =>
  eventually("it is current", async () => one.states()[0]?.current || undefined, PATIENCE_MS, 10);

describe.skipIf(noServer)("state over a real nats-server", { timeout: 240_000, concurrent: true }, () => {
  it("stopped: what is published meanwhile arrives when it is there again, and nothing goes back", async ({
    onTestFinished,
  }) => {
    const { server, source, held } = await scene(onTestFinished);
    await server.down();
    await source.publish({ a: "2", b: undefined });
    await server.up();
    await held.equals(source.truth, RECOVERY_MS);
    expect(held.monotonic).toBe(true);
  });

  it("frozen: the same", async ({ onTestFinished }) => {
    const { server, source, held, follower } = await scene(onTestFinished);
    server.freeze();
    await source.publish({ a: "2", c: "2" });
    await eventually("the silence is noticed", async () => !follower.connected || undefined, PATIENCE_MS);
    server.thaw();
    await held.equals(source.truth, RECOVERY_MS);
    expect(held.monotonic).toBe(true);
  });

  it("cut off: a follower keeps what it has, and has what it missed once the network is whole", async ({
    onTestFinished,
  }) => {
    const { relay, source, held, follower } = await scene(onTestFinished);
    relay.cut();
    await source.publish({ a: "2", b: undefined, c: "2" });
    await source.settled();
    await eventually("the cut is noticed", async () => !follower.connected || undefined, PATIENCE_MS);
    expect(held.values.get("a")).toBe("1");
    relay.heal();
    await held.equals(source.truth, RECOVERY_MS);
    relay.reset();
    await source.publish({ a: "3" });
    await held.equals(source.truth, RECOVERY_MS);
    expect(held.monotonic).toBe(true);
  });

  it("wiped: the publisher makes the bucket again; nothing changes for who had it, and who comes has all", async ({
    onTestFinished,
  }) => {
    const { server, source, held, follower, bus, watch } = await scene(onTestFinished);
    await source.settled();
    await server.down();
    await server.wipe();
    await server.up();
    const late = watch(bus(server.url));
    await late.equals(source.truth, RECOVERY_MS);
    await isCurrent(follower);
    expect(held.revisions).toHaveLength(1);
    await source.publish({ a: "2" });
    await Promise.all([held.equals(source.truth), late.equals(source.truth)]);
  });

  it("restarted from an older backup: nobody sees what was, and all have what is published", async ({
    onTestFinished,
  }) => {
    const { server, source, held, follower, bus, watch } = await scene(onTestFinished);
    await source.settled();
    await server.down("SIGTERM");
    const restore = await server.backup();
    await server.up();
    await source.publish({ a: "2", b: undefined, new: "2" });
    await held.equals(source.truth);
    await source.settled();
    await server.down("SIGTERM");
    await restore();
    await server.up();
    const late = watch(bus(server.url));
    await late.equals(source.truth, RECOVERY_MS);
    await isCurrent(follower);
    expect(late.revisions).toHaveLength(1);
    expect(held.revisions).toHaveLength(2);
  });

  it("an old backup whose publisher is gone serves who comes, and is corrected by the next leader", async ({
    onTestFinished,
  }) => {
    const { server, source, held, bus, watch, end } = await scene(onTestFinished);
    await source.settled();
    await end();
    const late = watch(bus(server.url));
    await late.equals(source.truth);
    const next = new Source(bus(server.url, { epoch: 2 }), "t", 0, source.truth);
    await next.publish({ a: "next" });
    await Promise.all([late.equals(next.truth), held.equals(next.truth)]);
    expect([late.monotonic, held.monotonic]).toEqual([true, true]);
  });

  it("a former leader that goes on writes nothing that anybody takes, and stops", async ({ onTestFinished }) => {
    const { server, source, held, publisher, bus, watch } = await scene(onTestFinished);
    await source.settled();
    const next = new Source(bus(server.url, { epoch: 2 }), "t", 10, source.truth);
    await next.publish({ a: "next" });
    await held.equals(next.truth);
    for (let revision = 0; revision < 5; revision++) await source.publish({ a: `stale ${revision}` });
    await eventually("the former leader knows", async () => publisher.states()[0]?.fenced || undefined, PATIENCE_MS);
    await next.publish({ b: "next" });
    await held.equals(next.truth);
    expect(held.monotonic).toBe(true);
    const late = watch(bus(server.url));
    await late.equals(next.truth);
  });

  it("duplicated and reordered: everything written so far is written again, twice and backwards, and nobody takes it", async ({
    onTestFinished,
  }) => {
    const { server, source, held, bus, watch } = await scene(onTestFinished);
    const stranger = await connect({ servers: [`127.0.0.1:${server.port}`] });
    onTestFinished(() => stranger.close());
    const written: Msg[] = [];
    stranger.subscribe("$KV.>", { callback: (_error, message) => void written.push(message) });
    await stranger.flush();
    for (let round = 0; round < 5; round++) {
      await source.publish({ a: `${round}`, [`k${round}`]: "x", [`k${round - 2}`]: undefined });
      await source.settled();
    }
    await eventually("all was overheard", async () => written.length >= 10 || undefined, PATIENCE_MS);
    for (const { subject, data, headers: sent } of [...written].reverse().flatMap((one) => [one, one])) {
      const own = headers();
      for (const operation of sent?.values("KV-Operation") ?? []) own.append("KV-Operation", operation);
      stranger.publish(subject, data, { headers: own });
    }
    await stranger.flush();
    const late = watch(bus(server.url));
    await source.publish({ a: "at last" });
    await Promise.all([held.equals(source.truth, RECOVERY_MS), late.equals(source.truth, RECOVERY_MS)]);
    expect([held.monotonic, late.monotonic]).toEqual([true, true]);
  });

  it("asks the publisher itself while NATS is away, and comes back to it", async ({ onTestFinished }) => {
    const { server, source, bus, watch } = await scene(onTestFinished);
    let tell: ((values: Readonly<Record<string, string>>, revision: number, snapshot: boolean) => void) | undefined;
    const both = bus(server.url, {
      direct: {
        t: (scope, receive) => {
          tell = (values, revision, snapshot) => {
            if (scope.closed) return;
            const upserted = Object.entries(values).map(([key, value]) => ({ key, value, revision }));
            receive({ snapshot, revision, epoch: 1, upserted, removed: [] });
          };
          tell(Object.fromEntries(source.truth), source.revision, true);
        },
      },
    });
    const view = watch(both);
    await view.equals(source.truth);
    await isCurrent(both);
    await server.down();
    await eventually("it asks", async () => both.states()[0]?.feed === "direct" || undefined, PATIENCE_MS);
    await source.publish({ a: "2" });
    tell?.({ a: "2" }, source.revision, false);
    await view.equals(source.truth);
    await server.up();
    await eventually("it is back", async () => both.states()[0]?.feed === "bucket" || undefined, PATIENCE_MS);
    await source.publish({ a: "3" });
    await view.equals(source.truth);
    expect(view.monotonic).toBe(true);
  });

  it("hands on only the keys that are wanted, and the revisions of all", async ({ onTestFinished }) => {
    const { server, source, bus, watch } = await scene(onTestFinished);
    const partial = watch(bus(server.url, { wanted: { t: (key) => key.startsWith("VirtualService/") } }));
    const wanted = () => new Map([...source.truth].filter(([key]) => key.startsWith("VirtualService/")));
    await partial.equals(wanted());
    await source.publish({ a: "2", "VirtualService/shop/details": "2" });
    await partial.equals(wanted());
    await source.publish({ b: undefined, "VirtualService/shop/details": undefined });
    await partial.equals(wanted());
  });

  it("carries values of many megabytes, and thousands of keys", async ({ onTestFinished }) => {
    const { server, source, held, bus, watch } = await scene(onTestFinished);
    const many = Object.fromEntries(
      Array.from({ length: FULL ? 5000 : 300 }, (_, index) => [`k/${index}`, `${index}`]),
    );
    await source.publish({ ...many, large: "x".repeat(3_000_000) });
    await held.equals(source.truth);
    const late = watch(bus(server.url));
    await late.equals(source.truth);
    await source.publish({ ...Object.fromEntries(Object.keys(many).map((key) => [key, undefined])), large: "y" });
    await Promise.all([held.equals(source.truth), late.equals(source.truth)]);
  });
});
