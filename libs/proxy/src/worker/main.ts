import { type MessagePort, workerData } from "node:worker_threads";
import { loadOriginalDestination } from "@lateen/capture";
import { systemClock } from "@lateen/kernel";
import type { HttpFilterRuntime, NetworkFilterRuntime } from "../chain/spi.ts";
import { chooseBackend } from "../io/backend.ts";
import { SystemNames } from "../io/system-names.ts";
import { DataPath } from "./data-path.ts";
import type { FromWorker, ToWorker, WorkerBootstrap } from "./protocol.ts";
import { heapCollector, SpareHeap } from "./spare-heap.ts";
import { threadMemory } from "./thread-memory.ts";

/**
 * Runs the data path in this worker thread until it is terminated. The thread's `workerData` is its {@link WorkerBootstrap}.
 * @throws LateenError LTN5301 when the bootstrap demands stream handles that do not work.
 * @param port to the agent thread: takes {@link ToWorker}, sends {@link FromWorker}; `ready` comes first.
 */
export async function runWorker(
  httpFilters: readonly HttpFilterRuntime[],
  networkFilters: readonly NetworkFilterRuntime[],
  port: MessagePort,
): Promise<void> {
  const post = (message: FromWorker): void => port.postMessage(message);
  const bootstrap = workerData as WorkerBootstrap;
  const backend = await chooseBackend(bootstrap.io ?? "auto");
  // Without the kernel's answer nothing captured could be carried: the thread ends with the reason, and is not called ready.
  const askOriginalDestination = bootstrap.capture.mode === "kernel" ? await loadOriginalDestination() : undefined;
  const dataPath = new DataPath({
    bootstrap,
    httpFilters,
    networkFilters,
    clock: systemClock(),
    random: Math.random,
    lookup: new SystemNames().lookup,
    backend,
    askOriginalDestination,
    post,
  });
  const spare = new SpareHeap(systemClock(), heapCollector());
  port.on("message", (message: ToWorker) => {
    switch (message.type) {
      case "plan":
        void dataPath.apply(message.delta, message.loads);
        spare.changed();
        break;
      case "probe":
        dataPath.probe();
        break;
      case "notes":
        dataPath.take(message.notes);
        break;
      case "drain":
        dataPath.drain(message.timeoutMs);
        break;
      case "keepRequests":
        dataPath.keepRequests(message.forMs);
        break;
      case "inspect":
        post({
          type: "report",
          id: message.id,
          report: message.what === "memory" ? threadMemory() : dataPath.inspect(message.what),
        });
        break;
    }
  });
  post({ type: "ready", io: backend.kind, ...(backend.kind === "portable" ? { reason: backend.reason } : {}) });
}
