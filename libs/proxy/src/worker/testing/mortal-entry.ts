import { parentPort, workerData } from "node:worker_threads";
import { runWorker } from "../main.ts";
import type { ToWorker, WorkerBootstrap } from "../protocol.ts";

/**
 * A data path that has port 8080 of listeners at 8080 + INDEX, so that a test chooses whom it speaks to, and that dies of the removal of a
 * listener `fatal-INDEX`.
 */
type Bootstrap = Omit<WorkerBootstrap, "bindMap"> & { bindMap: WorkerBootstrap["bindMap"] };
const bootstrap = workerData as Bootstrap;
const { index, bindAddress } = bootstrap;
bootstrap.bindMap = [{ port: 8080, address: bindAddress, bindPort: 8080 + index }];
parentPort?.on("message", (message: ToWorker) => {
  if (message.type === "plan" && message.delta.removedListeners.includes(`fatal-${index}`)) process.exit(9);
});
if (parentPort !== null) await runWorker([], [], parentPort);
