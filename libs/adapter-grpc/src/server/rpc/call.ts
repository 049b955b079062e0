import { EventEmitter } from "node:events";
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { Metadata, type MethodDefinition, status } from "@grpc/grpc-js";
import type { CancelTimer, Clock } from "@lateen/kernel";
import type { CallFacts } from "../peer.ts";
import { Deframer } from "./deframer.ts";
import { encodeStatusText, RpcFailure, statusOf } from "./failure.ts";
import { PacedWriter } from "./paced-writer.ts";

/** A method and the function that answers its calls: grpc-js's shapes. */
export interface RpcMethod {
  readonly definition: MethodDefinition<unknown, unknown>;
  readonly handler: (call: RpcCall, reply: Reply) => void;
}

export type Reply = (error: unknown, value?: unknown) => void;

/** Who is at the other end of a connection. */
export interface RpcPeer {
  readonly address: string;
  /** Names in the verified client certificate as Node.js renders them; empty without one. */
  readonly subjectAltName: string;
}

export interface CallContext {
  readonly method: RpcMethod;
  readonly peer: RpcPeer;
  readonly clock: Clock;
  /** Bytes of one received message. */
  readonly receiveBytes: number;
}

/** Milliseconds in which a client may take the rest of a message before its failed call is cut. */
const LINGER_MS = 5_000;

/**
 * One call of a gRPC client, of any of the four kinds. To handlers it looks as calls of grpc-js do: `data` and `end` of what the client
 * sends, `cancelled` when it went away too early, `close` in any case; `emit("error", {code, details})` ends it with that status.
 */
export class RpcCall extends EventEmitter implements CallFacts {
  readonly metadata: Metadata;
  /** The one request of calls that have one. */
  request: unknown;
  cancelled = false;
  readonly #stream: ServerHttp2Stream;
  readonly #context: CallContext;
  readonly #deframer: Deframer;
  readonly #writer: PacedWriter;
  readonly #takesGzip: boolean;
  #headers: Readonly<Record<string, string | number>> = RESPONSE_HEADERS;
  #received = 0;
  #done = false;
  #cancelTimer: CancelTimer | undefined;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, context: CallContext) {
    super();
    this.#stream = stream;
    this.#context = context;
    this.metadata = Metadata.fromHttp2Headers(headers);
    this.#deframer = new Deframer(context.receiveBytes, String(headers["grpc-encoding"] ?? "identity"));
    this.#writer = new PacedWriter(stream);
    this.#takesGzip = /(?:^|,)\s*gzip\s*(?:,|$)/.test(String(headers["grpc-accept-encoding"] ?? ""));
    this.on("error", (error) => this.#fail(error));
    stream.on("error", () => {});
    stream.on("close", () => this.#closed());
    const timeoutMs = timeoutOf(headers["grpc-timeout"]);
    if (timeoutMs !== undefined) {
      this.#cancelTimer = context.clock.after(timeoutMs, () =>
        this.emit("error", new RpcFailure(status.DEADLINE_EXCEEDED, "the deadline has passed")),
      );
    }
  }

  /** Hands the call to its handler. */
  start(): void {
    const { definition, handler } = this.#context.method;
    this.#stream.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.#stream.on("end", () => this.#requestEnded());
    if (!definition.requestStream) return;
    // What the client sends waits at the network until somebody wants it.
    this.#stream.pause();
    this.on("newListener", (event) => {
      if (event === "data") queueMicrotask(() => this.#stream.resume());
    });
    handler(this, this.#reply);
  }

  getPeer(): string {
    return this.#context.peer.address;
  }

  getAuthContext(): ReturnType<CallFacts["getAuthContext"]> {
    const { subjectAltName } = this.#context.peer;
    const certificate = { subjectaltname: subjectAltName };
    return {
      transportSecurityType: "ssl",
      ...(subjectAltName === "" ? {} : { sslPeerCertificate: certificate as never }),
    };
  }

  /** Sends a message. @param done is called when all of it has left, or with an error when it will not. */
  write(message: unknown, done: (error?: Error | null) => void = () => {}): boolean {
    this.writePieces([this.#context.method.definition.responseSerialize(message)], done);
    return this.#writer.waiting < 2;
  }

  /** Messages may travel compressed with gzip: the client says that it takes that. Only before the first message. */
  useGzip(): boolean {
    if (!this.#takesGzip || this.#stream.headersSent) return false;
    this.#headers = { ...RESPONSE_HEADERS, "grpc-encoding": "gzip" };
    return true;
  }

  /**
   * Sends a message that is encoded already; the pieces may not change until `done`.
   * @param compressed with gzip, see {@link RpcCall.useGzip}.
   */
  writePieces(pieces: readonly Uint8Array[], done: (error?: Error | null) => void, compressed = false): void {
    if (this.#done || this.#stream.destroyed) {
      done(new Error("the call has ended"));
      return;
    }
    if (!this.#stream.headersSent) this.#stream.respond(this.#headers, { waitForTrailers: true });
    const head = Buffer.alloc(5);
    head[0] = compressed ? 1 : 0;
    head.writeUInt32BE(
      pieces.reduce((sum, piece) => sum + piece.length, 0),
      1,
    );
    this.#writer.write([head, ...pieces], done);
  }

  /** Ends the call well, once everything was written. */
  end(): void {
    this.#finish(status.OK, "");
  }

  /** Ends the call because the server cannot go on. */
  destroy(error: Error): void {
    this.emit("error", new RpcFailure(status.UNAVAILABLE, error.message));
  }

  readonly #reply: Reply = (error, value) => {
    if (error !== null && error !== undefined) {
      this.emit("error", error);
      return;
    }
    this.write(value);
    this.end();
  };

  #receive(chunk: Buffer): void {
    if (this.#done) return;
    const { definition, handler } = this.#context.method;
    try {
      for (const bytes of this.#deframer.push(chunk)) {
        if (this.#done) return;
        const message = this.#decode(bytes);
        this.#received++;
        if (definition.requestStream) this.emit("data", message);
        else if (this.#received > 1) throw new RpcFailure(status.UNIMPLEMENTED, "this method takes one message");
        else {
          this.request = message;
          handler(this, this.#reply);
        }
      }
    } catch (error) {
      this.emit("error", error);
    }
  }

  #decode(bytes: Buffer): unknown {
    try {
      return this.#context.method.definition.requestDeserialize(bytes);
    } catch {
      throw new RpcFailure(status.INTERNAL, "a message cannot be read");
    }
  }

  #requestEnded(): void {
    if (this.#done) return;
    if (this.#deframer.rest > 0)
      this.emit("error", new RpcFailure(status.INTERNAL, "the request ends within a message"));
    else if (this.#context.method.definition.requestStream) this.emit("end");
    else if (this.#received === 0) this.emit("error", new RpcFailure(status.INTERNAL, "the request has no message"));
  }

  #fail(error: unknown): void {
    const { code, details } = statusOf(error);
    if (this.#done) return;
    this.#writer.giveUp();
    this.#finish(code, details);
    // A client that reads nothing would never get to the status.
    this.#cancelTimer ??= this.#context.clock.after(LINGER_MS, () => this.#stream.close(constants.NGHTTP2_CANCEL));
  }

  #finish(code: number, details: string): void {
    if (this.#done) return;
    this.#done = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#writer.whenIdle(() => this.#sendStatus(code, details));
  }

  #sendStatus(code: number, details: string): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    const trailers = {
      "grpc-status": String(code),
      ...(details === "" ? {} : { "grpc-message": encodeStatusText(details) }),
    };
    if (stream.headersSent) {
      stream.once("wantTrailers", () => stream.sendTrailers(trailers));
      stream.end();
    } else {
      stream.respond({ ...RESPONSE_HEADERS, ...trailers }, { endStream: true });
    }
    // What the client still sends is of no interest; a client that does not end by itself is ended.
    stream.resume();
    this.#cancelTimer ??= this.#context.clock.after(LINGER_MS, () => stream.close(constants.NGHTTP2_NO_ERROR));
  }

  #closed(): void {
    this.#cancelTimer?.();
    this.#writer.close();
    if (!this.#done) {
      this.#done = true;
      this.cancelled = true;
      this.emit("cancelled", "cancelled");
    }
    this.emit("close");
  }
}

const RESPONSE_HEADERS = {
  ":status": 200,
  "content-type": "application/grpc+proto",
  "grpc-accept-encoding": "identity,deflate,gzip",
};

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };
/** The longest that a timer of Node.js can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Milliseconds of `grpc-timeout`; undefined without one, or with one that cannot be read or waited for. */
export function timeoutOf(header: string | readonly string[] | undefined): number | undefined {
  const [, amount, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(header ?? "")) ?? [];
  if (amount === undefined || unit === undefined) return undefined;
  const ms = Number(amount) * (UNIT_MS[unit] ?? 0);
  return ms > MAX_TIMER_MS ? undefined : ms;
}
