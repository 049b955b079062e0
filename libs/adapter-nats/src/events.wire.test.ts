import { memoryBus } from "@lateen/adapter-local";
import { Scope } from "@lateen/kernel";
import type { Bus } from "@lateen/ports";
import { eventually, NatsServer, startTcpRelay } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import { noServer, PATIENCE_MS, startBus } from "./testing/rig.ts";

describe.skipIf(noServer)("events over a real nats-server", { timeout: 120_000, concurrent: true }, () => {
  it("counts what is emitted without a connection, and goes on when there is one", async ({ onTestFinished }) => {
    const server = await NatsServer.start();
    onTestFinished(() => server.close());
    const [emitting, receiving] = [startBus(server.url), startBus(server.url)];
    onTestFinished(emitting.close);
    onTestFinished(receiving.close);
    const [emitted, arrived] = [emitting.bus.events<string>("t"), receiving.bus.events<string>("t")];
    const seen: string[] = [];
    arrived.subscribe(new Scope(), (event) => seen.push(event), "group");
    emitted.emit("before there is a connection");
    expect(emitted.dropped).toBe(1);
    const connected = async () => {
      for (const { bus } of [emitting, receiving]) {
        await eventually("it is connected", async () => bus.connected || undefined, PATIENCE_MS);
        await bus.flush();
      }
    };
    await connected();
    emitted.emit("one");
    await eventually("it arrives", async () => seen.length === 1 || undefined, PATIENCE_MS);
    await server.down();
    await eventually("it is gone", async () => !emitting.bus.connected || undefined, PATIENCE_MS);
    emitted.emit("lost");
    expect(emitted.dropped).toBeGreaterThanOrEqual(2);
    await server.up();
    await connected();
    emitted.emit("two");
    await eventually("it arrives", async () => seen.at(-1) === "two" || undefined, PATIENCE_MS);
    expect(seen).not.toContain("lost");
    expect(emitting.bus.metrics()).toMatch(/lateen_nats_events_dropped_total\{topic="t"\} [2-9]/);
  });

  it("accounts for every event while connections break: it arrived, or it is counted", async ({ onTestFinished }) => {
    const server = await NatsServer.start();
    onTestFinished(() => server.close());
    const relay = await startTcpRelay(server.port);
    onTestFinished(() => relay.close());
    const emitting = startBus(`127.0.0.1:${relay.port}`);
    const receiving = startBus(server.url);
    onTestFinished(emitting.close);
    onTestFinished(receiving.close);
    const [emitted, arrived] = [emitting.bus.events<string>("t"), receiving.bus.events<string>("t")];
    let seen = 0;
    arrived.subscribe(new Scope(), () => seen++, "group");
    await eventually("it is connected", async () => receiving.bus.connected || undefined, PATIENCE_MS);
    await receiving.bus.flush();
    let count = 0;
    for (let round = 0; round < 5; round++) {
      await eventually("it is connected", async () => emitting.bus.connected || undefined, PATIENCE_MS);
      for (let index = 0; index < 200; index++, count++) emitted.emit(`${count}`);
      if (round % 2 === 0) relay.reset();
      else await emitting.bus.flush();
      await eventually(
        "each is accounted for",
        async () => seen + emitted.dropped + arrived.dropped >= count || undefined,
        PATIENCE_MS,
      );
    }
  });

  it("keeps nothing of subscribers that are gone but what they lost", async ({ onTestFinished }) => {
    const server = await NatsServer.start();
    onTestFinished(() => server.close());
    const named = new Set<string>();
    const inner = memoryBus();
    const local: Bus = {
      state: (name) => inner.state(name),
      events: (name) => {
        named.add(name);
        return inner.events(name);
      },
    };
    const { bus, close } = startBus(server.url, { local });
    onTestFinished(close);
    await eventually("it is connected", async () => bus.connected || undefined, PATIENCE_MS);
    const topic = bus.events<string>("t");
    for (let round = 0; round < 20; round++) {
      const scope = new Scope();
      let seen = 0;
      topic.subscribe(scope, () => seen++);
      await bus.flush();
      topic.emit("x");
      await eventually("it arrives", async () => seen === 1 || undefined, PATIENCE_MS, 1);
      await scope.close();
    }
    expect([named.size, topic.dropped]).toEqual([1, 0]);
  });

  it("sees from the numbers of emitters what never came to a subscriber that must see all", async ({
    onTestFinished,
  }) => {
    const server = await NatsServer.start();
    onTestFinished(() => server.close());
    const relay = await startTcpRelay(server.port);
    onTestFinished(() => relay.close());
    const emitting = startBus(server.url);
    const receiving = startBus(`127.0.0.1:${relay.port}`);
    onTestFinished(emitting.close);
    onTestFinished(receiving.close);
    const [emitted, arrived] = [emitting.bus.events<string>("t"), receiving.bus.events<string>("t")];
    const seen: string[] = [];
    arrived.subscribe(new Scope(), (event) => seen.push(event));
    const ready = async () => {
      for (const { bus } of [emitting, receiving]) {
        await eventually("it is connected", async () => bus.connected || undefined, PATIENCE_MS);
        await bus.flush();
      }
    };
    await ready();
    emitted.emit("first");
    await eventually("it arrives", async () => seen.length === 1 || undefined, PATIENCE_MS);
    relay.reset();
    await eventually("it is cut", async () => !receiving.bus.connected || undefined, PATIENCE_MS);
    for (let index = 0; index < 10; index++) emitted.emit("missed");
    await emitting.bus.flush();
    await ready();
    emitted.emit("last");
    await eventually("it arrives", async () => seen.at(-1) === "last" || undefined, PATIENCE_MS);
    expect(seen.length + arrived.dropped).toBe(12);
  });
});
