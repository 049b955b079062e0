import { Worker } from "node:worker_threads";
import type { Clock, Logger } from "@lateen/kernel";
import { LOG_MEMORY_BYTES, LogChunks } from "../access-log/log-chunks.ts";
import type { PlanDelta } from "../config/plan.ts";
import { SHARED_CELL_BYTES } from "../stats/shared-cells.ts";
import type {
  ApplyFailure,
  BoundAddress,
  FromWorker,
  Inspected,
  SeriesDefinition,
  ToWorker,
  WorkerBootstrap,
} from "../worker/protocol.ts";
import { ClusterPlaces } from "./cluster-places.ts";

/** One worker's counters as they are read: shared memory and the names of its slots. */
export interface WorkerStats {
  readonly worker: number;
  readonly values: Float64Array;
  readonly series: readonly SeriesDefinition[];
}

export interface WorkerPoolOptions {
  /** Module that runs the data path; see `runWorker`. */
  readonly entry: URL;
  readonly count: number;
  readonly bootstrap: Omit<WorkerBootstrap, "index" | "workers" | "stats" | "logs" | "cells" | "loads">;
  /** Bytes of shared memory for one worker's counters. Default 2 MiB. */
  readonly statsBytes?: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Everything in force, for a worker that starts anew. */
  readonly fullPlan: () => PlanDelta;
  readonly onMessage: (message: FromWorker, worker: number) => void;
  /** Access-log lines of a worker, for a file. `done` gives their memory back. */
  readonly onLines: (path: string, bytes: Uint8Array, done: () => void) => void;
  /** Called with a dead worker's counters, before its memory is let go. */
  readonly onLost: (stats: WorkerStats) => void;
}

interface Member {
  readonly index: number;
  readonly thread: Worker;
  readonly stats: SharedArrayBuffer;
  readonly logs: LogChunks;
  readonly series: SeriesDefinition[];
  bound: readonly BoundAddress[];
}

interface Pending {
  readonly waiting: Set<number>;
  readonly failures: ApplyFailure[];
  readonly done: (failures: readonly ApplyFailure[]) => void;
}

/** Applying a plan takes milliseconds; host names in it are resolved later. */
const APPLY_TIMEOUT_MS = 30_000;
const RESTART_MIN_MS = 50;
const RESTART_MAX_MS = 5000;
/** A worker that lived this long starts over with the shortest restart delay. */
const STABLE_MS = 30_000;

/**
 * The data-path threads. A thread that dies is started again, with back-off, from the full plan; a delta counts as applied
 * when every living worker has said so. Restarts are counted in `restarts`.
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #members = new Map<number, Member>();
  readonly #pending = new Map<number, Pending>();
  readonly #reports = new Map<
    number,
    { reports: unknown[]; left: number; done: (reports: readonly unknown[]) => void }
  >();
  readonly #drained = new Set<number>();
  #onDrained: (() => void) | undefined;
  #reportId = 0;
  readonly #cells = new SharedArrayBuffer(SHARED_CELL_BYTES);
  /** Undefined: one worker alone. */
  readonly #places: ClusterPlaces | undefined;
  /** Who asks endpoints whether they are well, for all. */
  #prober: Member | undefined;
  #stopping = false;
  #restarts = 0;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#places = options.count > 1 ? new ClusterPlaces(options.count) : undefined;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Starts all workers; resolves when each said `ready`. */
  async start(): Promise<void> {
    const starting = Array.from({ length: this.#options.count }, (_, index) => this.#spawn(index, 0));
    await Promise.all(starting);
  }

  /** Posts a delta to every worker. Resolves with what any of them could not put in force. */
  apply(delta: PlanDelta): Promise<readonly ApplyFailure[]> {
    return new Promise((resolve) => {
      const waiting = new Set(this.#members.keys());
      if (waiting.size === 0) return resolve([]);
      const cancel = this.#options.clock.after(APPLY_TIMEOUT_MS, () => this.#hung(waiting));
      const done = (failures: readonly ApplyFailure[]): void => {
        cancel();
        this.#places?.release(delta.removedClusters);
        resolve(failures);
      };
      this.#pending.set(delta.generation, { waiting, failures: [], done });
      this.#broadcast(this.#planMessage(delta));
    });
  }

  /** A thread that does not answer serves nobody: it is ended, and started again like one that died. */
  #hung(workers: ReadonlySet<number>): void {
    for (const index of workers) {
      this.#options.logger.error({ event: "worker.hung", worker: index, timeoutMs: APPLY_TIMEOUT_MS });
      void this.#members.get(index)?.thread.terminate();
    }
  }

  /** Sockets of all listeners, as the workers reported them. */
  bound(): readonly BoundAddress[] {
    const seen = new Map<string, BoundAddress>();
    for (const { bound } of this.#members.values()) {
      for (const entry of bound) seen.set(`${entry.listener} ${entry.address}:${entry.port}`, entry);
    }
    return [...seen.values()];
  }

  stats(): readonly WorkerStats[] {
    return [...this.#members.values()].map((member) => statsOf(member));
  }

  /** Asks every worker; resolves with their answers, or with those that came within a second. */
  inspect(what: Inspected): Promise<readonly unknown[]> {
    return new Promise((resolve) => {
      const id = ++this.#reportId;
      const cancel = this.#options.clock.after(1000, () => finish());
      const entry = { reports: [] as unknown[], left: this.#members.size, done: () => finish() };
      const finish = (): void => {
        cancel();
        this.#reports.delete(id);
        resolve(entry.reports);
      };
      if (entry.left === 0) return finish();
      this.#reports.set(id, entry);
      this.#broadcast({ type: "inspect", id, what });
    });
  }

  /** Has every worker record requests that go well, too, for a while; 0 ends it. */
  keepRequests(forMs: number): void {
    this.#broadcast({ type: "keepRequests", forMs });
  }

  /** Lets every worker finish its requests; resolves when all are done or after `timeoutMs` and a little. */
  drain(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    return new Promise((resolve) => {
      if (this.#members.size === 0) return resolve();
      const cancel = this.#options.clock.after(timeoutMs + 500, resolve);
      this.#onDrained = () => {
        cancel();
        resolve();
      };
      this.#broadcast({ type: "drain", timeoutMs });
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#members.values()].map(({ thread }) => thread.terminate()));
    this.#members.clear();
  }

  #broadcast(message: ToWorker): void {
    for (const { thread } of this.#members.values()) thread.postMessage(message);
  }

  #spawn(index: number, failures: number): Promise<void> {
    const { entry, count, bootstrap, clock, logger } = this.#options;
    const stats = new SharedArrayBuffer(this.#options.statsBytes ?? 2 * 1024 * 1024);
    const logs = new SharedArrayBuffer(LOG_MEMORY_BYTES);
    const workerData: WorkerBootstrap = {
      ...bootstrap,
      index,
      workers: count,
      stats: { values: stats },
      logs,
      cells: this.#cells,
      ...(this.#places === undefined ? {} : { loads: this.#places.memory }),
    };
    const thread = new Worker(entry, {
      workerData,
      // Heads live in buffers outside the heap: a small young generation keeps idle memory low at no cost in throughput.
      resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 512 },
    });
    const member: Member = { index, thread, stats, logs: new LogChunks(logs), series: [], bound: [] };
    const startedAt = clock.monotonic();
    return new Promise((resolve) => {
      thread.on("message", (message: FromWorker) => {
        if (message.type === "ready") {
          this.#members.set(index, member);
          const { io, reason } = message;
          logger.info({ event: "worker.ready", worker: index, io, ...(reason === undefined ? {} : { reason }) });
          const plan = this.#options.fullPlan();
          if (plan.generation > 0) thread.postMessage(this.#planMessage(plan));
          this.#chooseProber();
          resolve();
        }
        this.#received(member, message);
      });
      thread.on("error", (error) => logger.error({ event: "worker.failed", worker: index, error }));
      thread.on("exit", (code) => {
        this.#places?.lost(index);
        this.#lost(member);
        if (this.#stopping) return resolve();
        this.#restarts++;
        const lived = clock.monotonic() - startedAt;
        const next = lived > STABLE_MS ? 0 : failures + 1;
        const delayMs = Math.min(RESTART_MAX_MS, RESTART_MIN_MS * 2 ** next);
        logger.error({ event: "worker.exited", worker: index, code, delayMs, restarts: this.#restarts });
        clock.after(delayMs, () => {
          if (!this.#stopping) void this.#spawn(index, next).then(resolve);
        });
      });
    });
  }

  #planMessage(delta: PlanDelta): ToWorker {
    return { type: "plan", delta, ...(this.#places === undefined ? {} : { loads: this.#places.of(delta) }) };
  }

  /** One living worker probes. It is told again for a new member's sake, which learns what is known already. */
  #chooseProber(): void {
    if (this.#places === undefined) return;
    if (this.#prober === undefined || this.#members.get(this.#prober.index) !== this.#prober) {
      [this.#prober] = this.#members.values();
    }
    this.#prober?.thread.postMessage({ type: "probe" } satisfies ToWorker);
  }

  #lost(member: Member): void {
    if (this.#members.get(member.index) !== member) return;
    this.#members.delete(member.index);
    this.#options.onLost(statsOf(member));
    // What it had not applied it gets with the full plan.
    for (const generation of [...this.#pending.keys()]) this.#applied(generation, member.index, []);
    for (const report of [...this.#reports.values()]) if (--report.left <= 0) report.done([]);
    this.#drainedOne(member.index);
    if (!this.#stopping) this.#chooseProber();
  }

  #received(member: Member, message: FromWorker): void {
    switch (message.type) {
      case "applied":
        member.bound = message.bound;
        this.#applied(message.generation, member.index, message.failures);
        break;
      case "series":
        for (const series of message.series) member.series.push(series);
        break;
      case "drained":
        this.#drainedOne(member.index);
        break;
      case "report": {
        const report = this.#reports.get(message.id);
        if (report === undefined) break;
        report.reports.push(message.report);
        if (--report.left <= 0) report.done(report.reports);
        break;
      }
      case "defect":
        this.#options.logger.error({
          event: "worker.defect",
          worker: member.index,
          message: message.message,
          stack: message.stack,
        });
        break;
      case "log": {
        const { path, chunk, length } = message;
        this.#options.onLines(path, member.logs.bytes(chunk, length), () => member.logs.giveBack(chunk));
        break;
      }
      case "notes":
        for (const { index, thread } of this.#members.values()) {
          if (index !== member.index) thread.postMessage(message satisfies ToWorker);
        }
        break;
      case "ready":
      case "records":
        break;
    }
    this.#options.onMessage(message, member.index);
  }

  #applied(generation: number, worker: number, failures: readonly ApplyFailure[]): void {
    const pending = this.#pending.get(generation);
    if (pending === undefined) return;
    pending.failures.push(...failures);
    pending.waiting.delete(worker);
    if (pending.waiting.size > 0) return;
    this.#pending.delete(generation);
    pending.done(pending.failures);
  }

  #drainedOne(index: number): void {
    this.#drained.add(index);
    if ([...this.#members.keys()].every((member) => this.#drained.has(member))) this.#onDrained?.();
  }
}

function statsOf(member: Member): WorkerStats {
  return { worker: member.index, values: new Float64Array(member.stats), series: member.series };
}
