import type { ServerStream } from "../http/streams.ts";
import type { ServerConnection } from "../http1/server-connection.ts";

/** Stands in for the exchange of a request whose destination is still being looked up: keeps what comes, and slows it down. */
export class HeldRequest implements ServerStream {
  readonly #server: ServerConnection;
  readonly #body: Buffer[] = [];
  #trailers: string | undefined = undefined;
  #gone = false;

  constructor(server: ServerConnection) {
    this.#server = server;
    server.stream = this;
    server.throttle(true);
  }

  /** Lets the request go on by `begin`, with what has come of it so far; `abandoned` when the client is gone. */
  release(begin: () => void, abandoned: () => void): void {
    const server = this.#server;
    if (this.#gone) {
      abandoned();
      return;
    }
    const { io } = server.connection;
    io.enter();
    try {
      server.stream = undefined;
      server.throttle(false);
      begin();
      this.#pass(server);
    } catch (error) {
      io.onDefect(error);
      server.connection.destroy();
    } finally {
      io.leave();
    }
  }

  /** To the exchange that `begin` put in our place, for as long as there is one. */
  #pass(server: ServerConnection): void {
    for (const bytes of this.#body) server.stream?.onRequestBody(bytes, 0, bytes.length);
    if (this.#trailers !== undefined) server.stream?.onRequestEnd(this.#trailers);
  }

  onRequestBody(bytes: Buffer, start: number, end: number): void {
    this.#body.push(Buffer.from(bytes.subarray(start, end)));
  }

  onRequestEnd(trailers: string): void {
    this.#trailers = trailers;
  }

  onDownstreamDrain(): void {}
  onTunnelEnd(): void {}

  onDownstreamReset(): void {
    this.#gone = true;
  }
}
