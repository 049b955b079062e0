import type { ListenerSpec } from "../config/plan.ts";
import { Backlog } from "../io/backlog.ts";
import type { Connection, ConnectionHandler } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";
import { MAX_CLIENT_HELLO_BYTES, parseClientHello } from "../tls/client-hello.ts";
import { sniffHttp } from "./http-sniff.ts";

/** What was learnt of a connection from its first bytes. */
export interface Inspection {
  readonly transportProtocol: "tls" | "raw_buffer";
  readonly serverName: string;
  readonly applicationProtocols: readonly string[];
  /** What was read to find out; whoever serves the connection gets it first. */
  readonly bytes: Buffer | undefined;
}

/** Which looks are to be taken. */
export interface InspectionPlan {
  readonly tls: boolean;
  readonly http: boolean;
  /** 0 = for ever. */
  readonly timeoutMs: number;
  readonly continueOnTimeout: boolean;
}

/** More than this is never held back: it bounds what a client can make us keep. */
const MAX_BYTES = MAX_CLIENT_HELLO_BYTES + 4 * 1024;

/** The looks a listener takes at a connection to `port`. */
export function inspectionPlan(spec: ListenerSpec["inspectors"], port: number): InspectionPlan {
  return {
    tls: spec.tls && !spec.tlsDisabledPorts.includes(port),
    http: spec.http && !spec.httpDisabledPorts.includes(port),
    timeoutMs: spec.timeoutMs,
    continueOnTimeout: spec.continueOnTimeout,
  };
}

/** What is assumed without looking. */
export function uninspected(): Inspection {
  return { transportProtocol: "raw_buffer", serverName: "", applicationProtocols: [], bytes: undefined };
}

/**
 * Holds a fresh connection until its first bytes have told what it speaks. Calls `done` once, or never when the client goes away
 * or, without `continueOnTimeout`, says too little in time.
 */
export class Inspector implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #plan: InspectionPlan;
  readonly #done: (inspection: Inspection) => void;
  readonly #timer: WheelTimer;
  #bytes: Buffer | undefined = undefined;
  readonly #backlog = new Backlog();
  #finished = false;

  constructor(connection: Connection, plan: InspectionPlan, done: (inspection: Inspection) => void) {
    this.#connection = connection;
    this.#plan = plan;
    this.#done = done;
    this.#timer = connection.io.wheel.timer(() => this.#onTimeout());
    connection.handler = this;
    if (plan.timeoutMs > 0) this.#timer.arm(plan.timeoutMs);
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.#bytes =
      this.#bytes === undefined
        ? Buffer.from(bytes.subarray(start, end))
        : this.#backlog.join(this.#bytes, bytes, start, end);
    if (this.#finished) return;
    const found = this.#look(this.#bytes);
    if (found !== undefined) this.#finish(found);
    else if (this.#bytes.length >= MAX_BYTES) this.#finish(uninspected());
  }

  /** Bytes followed by FIN are a whole, if small, conversation; FIN alone is nobody. */
  onEnd(): void {
    if (this.#bytes === undefined) this.#connection.destroy();
    else this.#finish(uninspected());
  }

  onDrain(): void {}

  onClose(): void {
    this.#finished = true;
    this.#timer.cancel();
  }

  #look(bytes: Buffer): Inspection | undefined {
    if (this.#plan.tls) {
      const hello = parseClientHello(bytes);
      if (hello === "incomplete") return undefined;
      if (hello !== "not-tls") {
        const { serverName, alpn } = hello;
        return { transportProtocol: "tls", serverName, applicationProtocols: alpn, bytes };
      }
    }
    if (!this.#plan.http) return uninspected();
    const protocol = sniffHttp(bytes);
    if (protocol === "incomplete") return undefined;
    return protocol === "not-http" ? uninspected() : { ...uninspected(), applicationProtocols: [protocol] };
  }

  #finish(inspection: Inspection): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#timer.cancel();
    this.#done({ ...inspection, bytes: this.#bytes });
  }

  #onTimeout(): void {
    if (this.#finished) return;
    if (!this.#plan.continueOnTimeout) {
      this.#connection.destroy();
      return;
    }
    this.#finish(uninspected());
    this.#connection.io.out.flush();
  }
}
