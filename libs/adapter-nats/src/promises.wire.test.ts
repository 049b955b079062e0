import { busPromises, eventually, NatsServer } from "@lateen/test-support";
import { afterAll, beforeAll, describe, it } from "vitest";
import { noServer, PATIENCE_MS, startBus } from "./testing/rig.ts";

describe.skipIf(noServer)("promises of the Bus port, kept over a real nats-server", { timeout: 120_000 }, () => {
  let server: NatsServer;
  let publisher: ReturnType<typeof startBus>;
  let watcher: ReturnType<typeof startBus>;
  let topics = 0;
  beforeAll(async () => {
    server = await NatsServer.start();
    publisher = startBus(server.url, { epoch: 1 });
    watcher = startBus(server.url, { eventQueue: 4 });
  }, 60_000);
  afterAll(async () => {
    await Promise.all([publisher?.close(), watcher?.close()]);
    await server?.close();
  });

  it.each(busPromises)("$name", async ({ check }) => {
    await check({
      publisher: publisher.bus,
      watcher: watcher.bus,
      topic: (kind) => `${kind}-${++topics}`,
      subscribed: async () => {
        for (const { bus } of [publisher, watcher]) {
          await eventually("it is connected", async () => bus.connected || undefined, PATIENCE_MS);
          await bus.flush();
        }
      },
      eventQueue: 4,
    });
  });
});
