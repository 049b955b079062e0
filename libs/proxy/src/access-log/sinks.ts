import { compileFor } from "@lateen/cel";
import type { AccessLogSpec } from "../config/plan.ts";
import type { TimerWheel, WheelTimer } from "../io/timer-wheel.ts";
import type { AccessRecord, FromWorker } from "../worker/protocol.ts";
import { LOG_ATTRIBUTES } from "./attributes.ts";
import type { ConnectionLogFacts } from "./facts.ts";
import { compileFormat, type LineFormat } from "./format.ts";
import { LineBuffer } from "./line-buffer.ts";
import { LogChunks } from "./log-chunks.ts";
import type { OperatorEnvironment } from "./operators.ts";
import { recordOf } from "./record.ts";

/** Lines wait at most this long. */
const FLUSH_MS = 100;
const NOTHING = Buffer.alloc(0);
/** Records one service may get within one flush interval. */
const MAX_RECORDS_PER_INTERVAL = 4096;

/** The compiled access log of one chain. */
export interface AccessLog {
  /** No sink: facts need not be made. */
  readonly empty: boolean;
  write(facts: ConnectionLogFacts): void;
}

export interface LogSinksOptions {
  readonly wheel: TimerWheel;
  readonly environment: OperatorEnvironment;
  /** Hands a batch to the agent thread. */
  readonly post: (message: FromWorker) => void;
  /** What lines are written into; who gets them gives its chunks back. Default: memory nobody else sees. */
  readonly chunks?: LogChunks;
}

/**
 * Access-log lines and records on their way to the agent thread, in batches. Bounded: what comes faster than it may leave is
 * dropped and counted, traffic never waits.
 */
export class LogSinks {
  readonly #options: LogSinksOptions;
  readonly #files = new Map<string, FileSink>();
  readonly #services = new Map<string, RecordSink>();
  readonly #timer: WheelTimer;
  readonly #chunks: LogChunks;

  constructor(options: LogSinksOptions) {
    this.#options = options;
    this.#chunks = options.chunks ?? new LogChunks();
    this.#timer = options.wheel.timer(() => this.flush());
  }

  /** Lines that were dropped so far. */
  get droppedLines(): number {
    let sum = 0;
    for (const file of this.#files.values()) sum += file.dropped;
    return sum;
  }

  /**
   * Compiles the access logs of a chain that carries HTTP.
   * @throws LateenError LTN5101 for a format this proxy cannot write, CelProblem for a filter it cannot evaluate.
   */
  http(specs: readonly AccessLogSpec[]): AccessLog {
    return this.#compile(specs);
  }

  /** As {@link http}, for a chain of bare connections. */
  tcp(specs: readonly AccessLogSpec[]): AccessLog {
    return this.#compile(specs);
  }

  /** Hands over everything that waits. */
  flush(): void {
    for (const file of this.#files.values()) file.handOver();
    for (const service of this.#services.values()) service.endInterval();
  }

  #compile(specs: readonly AccessLogSpec[]): AccessLog {
    const writers = specs.map((spec) => this.#writer(spec));
    const [first] = writers;
    if (first === undefined) return { empty: true, write() {} };
    if (writers.length === 1) return { empty: false, write: first };
    return {
      empty: false,
      write(facts) {
        for (const write of writers) write(facts);
      },
    };
  }

  #writer(spec: AccessLogSpec): (facts: ConnectionLogFacts) => void {
    const write = this.#sink(spec);
    if (spec.filter === undefined) return write;
    const { evaluate } = compileFor("condition", spec.filter, LOG_ATTRIBUTES);
    // What cannot be decided is not logged, as in Envoy.
    return (facts) => {
      if (evaluate(facts) === true) write(facts);
    };
  }

  #sink(spec: AccessLogSpec): (facts: ConnectionLogFacts) => void {
    switch (spec.kind) {
      case "file": {
        const line = compileFormat(spec.format, this.#options.environment);
        const sink = this.#file(spec.path);
        return (facts) => {
          sink.append(line, facts);
          if (!this.#timer.armed) this.#timer.arm(FLUSH_MS);
        };
      }
      case "grpc": {
        const sink = this.#service(spec.cluster, spec.logName);
        const { localPrincipal } = this.#options.environment;
        return (facts) => {
          sink.add(recordOf(facts, localPrincipal));
          if (!this.#timer.armed) this.#timer.arm(FLUSH_MS);
        };
      }
    }
  }

  #file(path: string): FileSink {
    let sink = this.#files.get(path);
    if (sink === undefined) {
      sink = new FileSink(path, this.#chunks, this.#options.post);
      this.#files.set(path, sink);
    }
    return sink;
  }

  #service(cluster: string, logName: string): RecordSink {
    const key = `${cluster}\n${logName}`;
    let sink = this.#services.get(key);
    if (sink === undefined) {
      sink = new RecordSink(cluster, logName, this.#options.post);
      this.#services.set(key, sink);
    }
    return sink;
  }
}

/** The lines of one file. */
class FileSink {
  readonly #path: string;
  readonly #chunks: LogChunks;
  readonly #post: (message: FromWorker) => void;
  readonly #out = new LineBuffer(NOTHING);
  /** The chunk that is being filled; -1: none. */
  #chunk = -1;
  dropped = 0;

  constructor(path: string, chunks: LogChunks, post: (message: FromWorker) => void) {
    this.#path = path;
    this.#chunks = chunks;
    this.#post = post;
  }

  append(line: LineFormat, facts: ConnectionLogFacts): void {
    if (this.#write(line, facts)) return;
    this.handOver();
    if (!this.#write(line, facts)) this.dropped++;
  }

  /** False: it did not fit, and nothing of it is there. */
  #write(line: LineFormat, facts: ConnectionLogFacts): boolean {
    if (this.#chunk < 0 && !this.#begin()) return false;
    const out = this.#out;
    const start = out.length;
    out.overflow = false;
    line(facts, out);
    if (out.overflow) out.length = start;
    return !out.overflow;
  }

  #begin(): boolean {
    this.#chunk = this.#chunks.take();
    if (this.#chunk < 0) return false;
    this.#out.bytes = this.#chunks.bytes(this.#chunk);
    this.#out.length = 0;
    return true;
  }

  handOver(): void {
    const { length } = this.#out;
    if (this.#chunk < 0 || length === 0) return;
    this.#post({ type: "log", path: this.#path, chunk: this.#chunk, length });
    this.#chunk = -1;
    this.#out.length = 0;
  }
}

class RecordSink {
  readonly #cluster: string;
  readonly #logName: string;
  readonly #post: (message: FromWorker) => void;
  #records: AccessRecord[] = [];
  #dropped = 0;

  constructor(cluster: string, logName: string, post: (message: FromWorker) => void) {
    this.#cluster = cluster;
    this.#logName = logName;
    this.#post = post;
  }

  add(record: AccessRecord): void {
    if (this.#records.length >= MAX_RECORDS_PER_INTERVAL) this.#dropped++;
    else this.#records.push(record);
  }

  endInterval(): void {
    if (this.#records.length === 0 && this.#dropped === 0) return;
    const records = this.#records;
    const dropped = this.#dropped;
    this.#records = [];
    this.#dropped = 0;
    this.#post({ type: "records", cluster: this.#cluster, logName: this.#logName, records, dropped });
  }
}
