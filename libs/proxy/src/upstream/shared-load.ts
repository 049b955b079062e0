/** What a breaker counts, as places of a row. */
export const LOAD_PARTS = { cx: 0, rq_pending: 1, rq: 2, rq_retry: 3 } as const;

/** Clusters whose load can be counted over all workers; of those beyond it every worker counts its own. */
export const MAX_SHARED_CLUSTERS = 65_536;
/** Ordinary requests, then those of priority HIGH. */
const PRIORITIES = 2;
const PARTS = 4;
const ROW = PRIORITIES * PARTS;

/** Memory for the load that `workers` threads put on clusters. Pages that no cluster uses are never touched. */
export function sharedLoadMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * MAX_SHARED_CLUSTERS * ROW * Int32Array.BYTES_PER_ELEMENT);
}

/**
 * The load of one priority of a cluster as one worker sees it: it writes what it has itself, and reads what all have. Nobody else writes
 * there, so what a dead worker had is given back by clearing it ({@link clearWorker}).
 */
export class SharedLoad {
  readonly #counts: Int32Array;
  readonly #at: number;
  readonly #own: number;
  readonly #workers: number;

  /** @param index of the cluster, as the agent thread gave it. @param worker whose own counts it writes. */
  constructor(
    memory: SharedArrayBuffer,
    place: { readonly index: number; readonly high: boolean; readonly worker: number },
  ) {
    this.#counts = new Int32Array(memory);
    this.#at = place.index * ROW + (place.high ? PARTS : 0);
    this.#own = place.worker * MAX_SHARED_CLUSTERS * ROW + this.#at;
    this.#workers = this.#counts.length / (MAX_SHARED_CLUSTERS * ROW);
  }

  /** This worker has so much of a part now. */
  set(part: number, count: number): void {
    Atomics.store(this.#counts, this.#own + part, count);
  }

  /** What all workers have together. */
  total(part: number): number {
    let sum = 0;
    let at = this.#at + part;
    for (let i = this.#workers; i > 0; i--, at += MAX_SHARED_CLUSTERS * ROW) sum += Atomics.load(this.#counts, at);
    return sum;
  }

  /** This worker has nothing any more. */
  clear(): void {
    for (let part = 0; part < PARTS; part++) this.set(part, 0);
  }
}

/** Gives back what a worker had that is gone. */
export function clearWorker(memory: SharedArrayBuffer, worker: number): void {
  const counts = new Int32Array(memory);
  const length = MAX_SHARED_CLUSTERS * ROW;
  const from = worker * length;
  // Only what is not zero is written: other pages stay untouched.
  for (let at = from; at < from + length; at++) if (Atomics.load(counts, at) !== 0) Atomics.store(counts, at, 0);
}

/** A place that another cluster may have: nobody has any load there. */
export function clearCluster(memory: SharedArrayBuffer, index: number): void {
  const counts = new Int32Array(memory);
  for (let at = index * ROW; at < counts.length; at += MAX_SHARED_CLUSTERS * ROW) counts.fill(0, at, at + ROW);
}
