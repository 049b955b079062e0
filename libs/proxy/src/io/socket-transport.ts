import type { Socket } from "node:net";
import type { Connection } from "./connection.ts";
import type { Slab } from "./slab.ts";
import type { Transport } from "./transport.ts";

/** Bytes by the public API of node's sockets. */
export class SocketTransport implements Transport {
  readonly #connection: Connection;
  readonly #socket: Socket;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#socket = connection.socket;
    this.#socket.on("drain", () => connection.drained());
  }

  get queued(): number {
    return this.#socket.writableLength;
  }

  get idleHandle(): undefined {
    return undefined;
  }

  get descriptor(): number {
    return -1;
  }

  readLittle(): void {}

  written(): void {}

  get broken(): boolean {
    return this.#socket.destroyed;
  }

  send(bytes: Buffer, slab: Slab): void {
    const { secure } = this.#connection;
    const socket = this.#socket;
    // A socket that already queues keeps references to what it is given.
    const busy = socket.writableLength > 0;
    if (!socket.write(busy ? Buffer.from(bytes) : bytes)) this.#connection.congested = true;
    // TLS has encrypted or copied the bytes by now; a plain socket that could not send them all points at them until it is closed.
    if (!busy && !secure && socket.writableLength > 0) slab.pin();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  closed(): void {}
}
