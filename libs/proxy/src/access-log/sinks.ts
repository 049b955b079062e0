import { compileFor } from "@lateen/cel";
import type { AccessLogSpec } from "../config/plan.ts";
import type { TimerWheel, WheelTimer } from "../io/timer-wheel.ts";
import type { AccessRecord, FromWorker } from "../worker/protocol.ts";
import { LOG_ATTRIBUTES } from "./attributes.ts";
import type { ConnectionLogFacts } from "./facts.ts";
import { compileFormat } from "./format.ts";
import type { OperatorEnvironment } from "./operators.ts";
import { recordOf } from "./record.ts";

/** Lines wait at most this long. */
const FLUSH_MS = 100;
const BUFFER_BYTES = 64 * 1024;
/** Bytes one file may hand over within one flush interval; beyond it lines are dropped, so that a flood cannot fill memory. */
const MAX_BYTES_PER_INTERVAL = 16 * 1024 * 1024;
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

  constructor(options: LogSinksOptions) {
    this.#options = options;
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
    for (const file of this.#files.values()) file.endInterval();
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
          sink.append(line(facts));
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
      sink = new FileSink(path, this.#options.post);
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

class FileSink {
  readonly #path: string;
  readonly #post: (message: FromWorker) => void;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #used = 0;
  #handedOver = 0;
  dropped = 0;

  constructor(path: string, post: (message: FromWorker) => void) {
    this.#path = path;
    this.#post = post;
  }

  append(line: string): void {
    if (line.length > BUFFER_BYTES || this.#handedOver > MAX_BYTES_PER_INTERVAL) {
      this.dropped++;
      return;
    }
    if (this.#used + line.length > BUFFER_BYTES) this.#handOver();
    this.#used += this.#buffer.write(line, this.#used, "latin1");
  }

  endInterval(): void {
    this.#handOver();
    this.#handedOver = 0;
  }

  #handOver(): void {
    if (this.#used === 0) return;
    // A copy of its own: a message carries the whole memory behind a view.
    const bytes = new Uint8Array(this.#used);
    bytes.set(this.#buffer.subarray(0, this.#used));
    this.#handedOver += this.#used;
    this.#used = 0;
    this.#post({ type: "log", path: this.#path, bytes });
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
