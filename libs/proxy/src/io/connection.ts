import type { Socket } from "node:net";
import type { StreamHandle, WriteRequest } from "./handles.ts";
import type { IoLoop } from "./io-loop.ts";
import type { Slab } from "./slab.ts";
import type { WheelTimer } from "./timer-wheel.ts";
import type { Transport } from "./transport.ts";

/** What a codec or tunnel implements to own a connection. Every callback runs inside `io.enter()`/`io.leave()`. */
export interface ConnectionHandler {
  /** Bytes arrived. They are borrowed: valid until the callback returns. */
  onBytes(bytes: Buffer, start: number, end: number): void;
  /** The peer sent FIN. */
  onEnd(): void;
  /** `congested` became true when bytes that were gathered before were sent; whoever feeds this connection need not go on until then. */
  onCongested?(): void;
  /** `congested` became false. */
  onDrain(): void;
  /** The connection is gone; exactly once. `error` is a system error code, or undefined for an orderly end. */
  onClose(error: string | undefined): void;
}

/** A span of this size is worth a write of its own where that saves a copy. */
const DIRECT_BYTES = 16 * 1024;
/** How long the peer's FIN is waited for once all our bytes are with the kernel. */
const LINGER_MS = 1000;
/** How long a reader may take nothing of what is queued before it counts as gone. */
const STALL_MS = 60_000;

const NO_HANDLER: ConnectionHandler = { onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

/**
 * A byte stream, plain or TLS. Writes are gathered and copied, so callers may reuse their memory at once; `congested` tells
 * when the reader is slow, and whoever feeds this connection then pauses its own source until `onDrain`.
 */
export class Connection {
  readonly io: IoLoop;
  readonly socket: Socket;
  readonly secure: boolean;
  /** What moves the bytes; set by whoever makes the connection. */
  transport: Transport;
  handler: ConnectionHandler = NO_HANDLER;
  congested = false;
  closed = false;
  /** The peer has sent FIN. */
  ended = false;
  /** We have sent FIN, or will once what is queued is written. */
  finished = false;
  bytesRead = 0;
  bytesWritten = 0;
  /** Told when it is gone, after the handler; for whoever counts connections. */
  onGone: (() => void) | undefined = undefined;
  #paused = false;
  /** Text of the error that ended it, for logs. */
  failure = "";
  #error: string | undefined = undefined;
  #linger: WheelTimer | undefined = undefined;
  #queued = -1;
  #queuedSince = 0;

  constructor(io: IoLoop, socket: Socket, secure: boolean, transport: (connection: Connection) => Transport) {
    this.io = io;
    this.socket = socket;
    this.secure = secure;
    this.transport = transport(this);
    socket.on("end", () => this.#onEnd());
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#error ??= error.code ?? "ERROR";
      if (this.failure === "") this.failure = error.message;
    });
    socket.on("close", () => this.#onClose());
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Bytes in user space that the peer has not taken yet. */
  get queued(): number {
    return this.transport.queued;
  }

  /** Bytes from the socket; they live in `bytes` only until this returns. */
  received(bytes: Buffer, end: number, start = 0): void {
    if (this.closed) return;
    this.bytesRead += end - start;
    this.io.enter();
    try {
      this.handler.onBytes(bytes, start, end);
    } catch (error) {
      this.#broken(error);
    } finally {
      this.io.leave();
    }
  }

  /** Gives the present handler bytes (and the FIN) that a former one took from the socket and did not use. */
  replay(bytes: Buffer | undefined): void {
    this.io.enter();
    try {
      if (bytes !== undefined && bytes.length > 0 && !this.closed) this.handler.onBytes(bytes, 0, bytes.length);
      if (this.ended && !this.closed) this.handler.onEnd();
    } catch (error) {
      this.#broken(error);
    } finally {
      this.io.leave();
    }
  }

  /** A defect met while serving this connection ends this connection, not the worker with all the others. */
  #broken(error: unknown): void {
    this.io.onDefect(error);
    this.destroy();
  }

  /** Queues bytes for the peer. Nothing is kept of the caller's memory. */
  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.closed || this.finished || end <= start) return;
    const { lent, out } = this.io;
    if (lent === undefined || end - start < DIRECT_BYTES || bytes !== lent.bytes) {
      out.append(this, bytes, start, end);
      return;
    }
    const from = this.#putInFront(lent, start);
    if (from < 0) out.append(this, bytes, start, end);
    else this.send(lent.view(from, end), lent);
  }

  /** As {@link write}, for bytes that lie in `slab` and need not be gathered. What was gathered before has to be sent by then. */
  send(bytes: Buffer, slab: Slab): void {
    this.bytesWritten += bytes.length;
    this.sendGathered(bytes, slab);
  }

  /**
   * What waits for this connection, such as the head of the message whose body follows, goes right in front of `start`, so that both
   * leave in one write: what was read there has been dealt with, unless a write under way still needs it. Answers where it begins, or
   * -1 when it cannot.
   */
  #putInFront(lent: Slab, start: number): number {
    const { out } = this.io;
    out.flushBefore(this);
    const held = out.heldFor(this);
    if (held === 0) return start;
    if (held > start || lent.pinned) return -1;
    out.takeInto(lent.bytes, start);
    return start - held;
  }

  writeText(text: string): void {
    if (this.closed || this.finished) return;
    this.io.out.appendAscii(this, text);
  }

  /** @see OutSink */
  gathered(bytes: number): StreamHandle | undefined {
    this.bytesWritten += bytes;
    return this.closed ? undefined : this.transport.idleHandle;
  }

  /** @see OutSink */
  written(failed: number, request: WriteRequest, bytes: Buffer, slab: Slab): void {
    const before = this.congested;
    this.transport.written(failed, request, bytes, slab);
    if (this.congested && !before) this.handler.onCongested?.();
  }

  /** @see OutSink */
  sendGathered(bytes: Buffer, slab: Slab): void {
    if (this.closed || this.transport.broken) return;
    const before = this.congested;
    this.transport.send(bytes, slab);
    if (this.congested && !before) this.handler.onCongested?.();
  }

  pause(): void {
    if (this.#paused || this.closed) return;
    this.#paused = true;
    this.transport.pause();
  }

  resume(): void {
    if (!this.#paused || this.closed) return;
    this.#paused = false;
    this.transport.resume();
  }

  /** Half close: what is queued is written, then FIN. Reading goes on. */
  finish(): void {
    if (this.closed || this.finished) return;
    this.io.out.flushFor(this);
    this.finished = true;
    this.transport.end();
    if (this.ended) this.#lingerThenDestroy();
  }

  /**
   * Orderly end after a final response: what is queued is written, FIN is sent, and what the peer still sends is read and
   * dropped for a moment, since closing with unread bytes would reset the connection and lose the response (RFC 9112 §9.6).
   */
  closeGracefully(): void {
    if (this.closed) return;
    this.handler = new Discard(this.handler);
    this.finish();
    this.resume();
    this.#lingerThenDestroy();
  }

  destroy(): void {
    if (this.closed) return;
    this.socket.destroy();
    this.#onClose();
  }

  /** Ends it with RST, as a proxy does when it refuses a connection without a word. */
  reset(): void {
    if (this.closed) return;
    if (!this.secure && !this.socket.connecting) this.socket.resetAndDestroy();
    else this.socket.destroy();
    this.#onClose();
  }

  #lingerThenDestroy(): void {
    this.#linger ??= this.io.wheel.timer(() => this.#onLinger());
    this.#linger.arm(LINGER_MS);
  }

  /** A slow reader still gets what is queued, for as long as it takes any of it. */
  #onLinger(): void {
    const queued = this.transport.queued;
    const now = this.io.wheel.now();
    if (queued !== this.#queued) {
      this.#queued = queued;
      this.#queuedSince = now;
    }
    if (queued === 0 || now - this.#queuedSince > STALL_MS) this.destroy();
    else this.#linger?.arm(LINGER_MS);
  }

  #onEnd(): void {
    if (this.closed || this.ended) return;
    this.ended = true;
    this.io.enter();
    try {
      this.handler.onEnd();
    } catch (error) {
      this.#broken(error);
    } finally {
      this.io.leave();
    }
    if (this.finished && !this.closed) this.#lingerThenDestroy();
  }

  /** The peer has taken what waited. */
  drained(): void {
    if (this.closed) return;
    this.congested = false;
    this.io.enter();
    try {
      this.handler.onDrain();
    } catch (error) {
      this.#broken(error);
    } finally {
      this.io.leave();
    }
  }

  #onClose(): void {
    if (this.closed) return;
    this.closed = true;
    this.io.out.discard(this);
    this.transport.closed();
    this.#linger?.cancel();
    this.io.enter();
    try {
      this.handler.onClose(this.#error);
    } catch (error) {
      this.io.onDefect(error);
    } finally {
      this.handler = NO_HANDLER;
      this.onGone?.();
      this.io.leave();
    }
  }
}

/** Drops what arrives; still tells the former owner when the connection is gone. */
class Discard implements ConnectionHandler {
  readonly #owner: ConnectionHandler;
  constructor(owner: ConnectionHandler) {
    this.#owner = owner;
  }
  onBytes(): void {}
  onEnd(): void {}
  onDrain(): void {}
  onClose(error: string | undefined): void {
    this.#owner.onClose(error);
  }
}
