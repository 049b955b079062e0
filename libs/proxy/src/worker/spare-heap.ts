import { performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { CancelTimer, Clock } from "@lateen/kernel";

/** How long configuration must have been at rest. */
const REST_MS = 3000;
/** Share of its time that a thread may be busy with other things: a whole collection takes some 10 ms. */
const IDLE_SHARE = 0.05;

/** Collects all garbage of the thread and gives the memory back to the system. */
export type CollectHeap = () => void;

/**
 * Decoding a configuration takes many times the heap that keeping it does, and V8 holds on to what it once had. When the configuration has
 * been at rest for a while and the thread is idle, the spare part is given back; a busy thread is left alone until it is idle.
 */
export class SpareHeap {
  readonly #clock: Clock;
  readonly #collect: CollectHeap;
  readonly #load: () => number;
  #cancel: CancelTimer | undefined = undefined;

  /** @param load share of time that the thread was busy since it was asked last, 0…1. */
  constructor(clock: Clock, collect: CollectHeap, load: () => number = threadLoad()) {
    this.#clock = clock;
    this.#collect = collect;
    this.#load = load;
  }

  /** Configuration has come. */
  changed(): void {
    this.#cancel?.();
    this.#load();
    this.#cancel = this.#clock.after(REST_MS, () => this.#onRest());
  }

  #onRest(): void {
    this.#cancel = undefined;
    if (this.#load() > IDLE_SHARE) this.changed();
    else this.#collect();
  }
}

function threadLoad(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}

/** Less than this is not worth the pause. */
const WORTH_BYTES = 4_000_000;

/** V8's own collector for this thread; does nothing where V8 does not give it out, or when little has come since the last time. */
export function heapCollector(): CollectHeap {
  let kept = 0;
  return () => {
    if (getHeapStatistics().total_heap_size - kept < WORTH_BYTES) return;
    setFlagsFromString("--expose-gc");
    const collect: unknown = runInNewContext("globalThis.gc");
    if (typeof collect === "function") collect({ type: "major", execution: "sync", flavor: "last-resort" });
    kept = getHeapStatistics().total_heap_size;
  };
}
