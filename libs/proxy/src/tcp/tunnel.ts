import type { Connection, ConnectionHandler } from "../io/connection.ts";
import type { WheelTimer } from "../io/timer-wheel.ts";

export interface TunnelEvents {
  /** Bytes went by. */
  moved(fromClient: boolean, count: number): void;
  /** Both sides are over; exactly once. */
  closed(end: TunnelEnd): void;
}
/** Who ended it first, and how. */
export type TunnelEnd = "client" | "upstream" | "clientReset" | "upstreamReset" | "idle";

/**
 * Two connections tied together: bytes both ways as they come, FIN passed on (half-close), RST passed on, the faster side paused
 * while the slower one catches up.
 */
export class Tunnel {
  readonly #client: Connection;
  readonly #upstream: Connection;
  readonly #events: TunnelEvents;
  readonly #idleMs: number;
  readonly #timer: WheelTimer | undefined;
  #lastMove: number;
  #open = 2;
  #end: TunnelEnd | undefined = undefined;

  /** Takes both connections over. @param idleMs without a byte in either direction; 0 = none. */
  constructor(client: Connection, upstream: Connection, idleMs: number, events: TunnelEvents) {
    this.#client = client;
    this.#upstream = upstream;
    this.#events = events;
    this.#idleMs = idleMs;
    const { wheel } = client.io;
    this.#lastMove = wheel.now();
    client.handler = new Side(this, client, upstream, true);
    upstream.handler = new Side(this, upstream, client, false);
    this.#timer = idleMs > 0 ? wheel.timer(() => this.#onTimer()) : undefined;
    this.#timer?.arm(idleMs);
  }

  /** Breaks both sides. */
  destroy(end: TunnelEnd): void {
    this.#end ??= end;
    this.#client.destroy();
    this.#upstream.destroy();
  }

  /** @internal */
  moved(fromClient: boolean, count: number): void {
    if (this.#idleMs > 0) this.#lastMove = this.#client.io.wheel.now();
    this.#events.moved(fromClient, count);
  }

  /** @internal */
  ended(fromClient: boolean): void {
    this.#end ??= fromClient ? "client" : "upstream";
  }

  /** @internal */
  closed(client: boolean, error: string | undefined): void {
    if (this.#end === undefined || error !== undefined) {
      if (error !== undefined) this.#end = client ? "clientReset" : "upstreamReset";
      else this.#end ??= client ? "client" : "upstream";
    }
    const other = client ? this.#upstream : this.#client;
    if (!other.closed) {
      if (error !== undefined) other.reset();
      else if (!other.finished) {
        other.finish();
        other.closeGracefully();
      }
    }
    if (--this.#open > 0) return;
    this.#timer?.cancel();
    this.#events.closed(this.#end);
  }

  #onTimer(): void {
    const quiet = this.#client.io.wheel.now() - this.#lastMove;
    if (quiet >= this.#idleMs) this.destroy("idle");
    else this.#timer?.arm(this.#idleMs - quiet);
  }
}

class Side implements ConnectionHandler {
  readonly #tunnel: Tunnel;
  readonly #self: Connection;
  readonly #other: Connection;
  readonly #isClient: boolean;

  constructor(tunnel: Tunnel, self: Connection, other: Connection, isClient: boolean) {
    this.#tunnel = tunnel;
    this.#self = self;
    this.#other = other;
    this.#isClient = isClient;
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.#tunnel.moved(this.#isClient, end - start);
    this.#other.write(bytes, start, end);
    // Sent now rather than when the callback ends: only then is it known whether the other side keeps up.
    this.#other.io.out.flushFor(this.#other);
    if (this.#other.congested) this.#self.pause();
  }

  onEnd(): void {
    this.#tunnel.ended(this.#isClient);
    this.#other.finish();
  }

  onDrain(): void {
    this.#other.resume();
  }

  onClose(error: string | undefined): void {
    this.#tunnel.closed(this.#isClient, error);
  }
}
