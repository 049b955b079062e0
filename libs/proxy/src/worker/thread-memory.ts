import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What one thread holds. Bytes, except for the counts. */
export interface ThreadMemory {
  /** Objects of JavaScript that are still reachable. */
  readonly heapUsed: number;
  /** What V8 knows to be held outside its heap, buffers included. */
  readonly external: number;
  /** What keeps the event loop alive (timers, sockets …), counted by node's own names. */
  readonly resources: Readonly<Record<string, number>>;
  /** Contexts that were closed and are still reachable: leaks. */
  readonly detachedContexts: number;
}

/** Collects all garbage of the calling thread, and tells what is left. Stops the thread for some 10 ms. */
export function threadMemory(): ThreadMemory {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("globalThis.gc");
  // Twice: what waits for a finalizer of the first collection goes with the second.
  for (let round = 0; round < 2; round++) if (typeof collect === "function") collect();
  const { heapUsed, external } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  return { heapUsed, external, resources, detachedContexts: getHeapStatistics().number_of_detached_contexts };
}
