import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import type { PlanDelta } from "../config/plan.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import type { FromWorker, ToWorker, WorkerBootstrap } from "./protocol.ts";
import { chainSpec, connectPeer, EMPTY_DELTA, listenerSpec, loopbackAddress, SELF } from "./testing/data-path-rig.ts";
import { Fixtures, GET, manager } from "./testing/fixtures.ts";

const fixtures = new Fixtures();
const workers: Worker[] = [];
afterEach(async () => {
  fixtures.close();
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

/** A worker thread and what it said. */
class Thread {
  readonly worker: Worker;
  readonly said: FromWorker[] = [];
  #waiting: (() => void)[] = [];

  constructor(bindAddress: string, index: number) {
    const bootstrap: WorkerBootstrap = {
      self: SELF,
      role: "gateway",
      capture: { mode: "none" },
      bindMap: [],
      bindAddress,
      lowPortOffset: 0,
      index,
      workers: 2,
      limits: { maxConnections: 100 },
      stats: { values: new SharedArrayBuffer(512 * 1024) },
    };
    this.worker = new Worker(new URL("./testing/entry.ts", import.meta.url), { workerData: bootstrap });
    workers.push(this.worker);
    this.worker.on("message", (message: FromWorker) => {
      this.said.push(message);
      for (const resolve of this.#waiting.splice(0)) resolve();
    });
  }

  send(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  async heard<T extends FromWorker["type"]>(type: T): Promise<Extract<FromWorker, { type: T }>> {
    for (;;) {
      const found = this.said.find((message): message is Extract<FromWorker, { type: T }> => message.type === type);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

describe("runWorker", { timeout: 60_000 }, () => {
  it("shares a port with other workers, serves, answers and drains", async () => {
    const app = await fixtures.httpOrigin("app");
    const address = loopbackAddress();
    const threads = [new Thread(address, 0), new Thread(address, 1)];
    const delta: PlanDelta = {
      ...EMPTY_DELTA,
      generation: 7,
      clusters: [clusterSpec("app", [app.port])],
      listeners: [listenerSpec("http", 8080, { bindToPort: true, chains: [chainSpec(manager("app"))] })],
    };
    for (const thread of threads) {
      await thread.heard("ready");
      thread.send({ type: "plan", delta });
      const applied = await thread.heard("applied");
      expect(applied).toEqual({
        type: "applied",
        generation: 7,
        failures: [],
        bound: [{ listener: "http", address, port: 8080 }],
      });
    }
    const client = await connectPeer(address, 8080);
    client.send(GET);
    expect(await client.message()).toContain("app: GET /x");
    for (const thread of threads) {
      thread.send({ type: "inspect", id: 3, what: "clusters" });
      expect(await thread.heard("report")).toMatchObject({ id: 3, report: [{ name: "app" }] });
      thread.send({ type: "drain", timeoutMs: 1000 });
    }
    await client.untilEnd();
    client.close();
    for (const thread of threads) await thread.heard("drained");
    // Two threads have to load everything first.
  }, 60_000);
});
