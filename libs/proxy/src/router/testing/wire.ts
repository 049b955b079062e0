import { connect, createServer, type Server, type Socket } from "node:net";

/** A raw TCP peer whose received bytes can be waited for. Latin1 throughout. */
export class Peer {
  readonly socket: Socket;
  text = "";
  closed = false;
  ended = false;
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.text += bytes.toString("latin1");
      this.#wake();
    });
    socket.on("end", () => {
      this.ended = true;
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Resolves with everything received as soon as `condition` holds of it; rejects when the peer closes first. */
  async until(condition: (text: string) => boolean): Promise<string> {
    while (!condition(this.text)) {
      if (this.closed || this.ended) throw new Error(`closed after ${JSON.stringify(this.text)}`);
      await this.#change();
    }
    return this.text;
  }

  /** Everything up to the FIN or reset. */
  async untilEnd(): Promise<string> {
    while (!this.closed && !this.ended) await this.#change();
    return this.text;
  }

  async untilClosed(): Promise<void> {
    while (!this.closed) await this.#change();
  }

  /** Takes one whole message (head and content-length body) out of what was received. */
  async message(): Promise<string> {
    await this.until((text) => messageEnd(text) > 0);
    const end = messageEnd(this.text);
    const message = this.text.slice(0, end);
    this.text = this.text.slice(end);
    return message;
  }

  close(): void {
    this.socket.destroy();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Where the first message of `text` ends, or -1 when it is not complete. Chunked bodies end with their last chunk. */
function messageEnd(text: string): number {
  const head = text.indexOf("\r\n\r\n");
  if (head < 0) return -1;
  const start = head + 4;
  const lower = text.slice(0, start).toLowerCase();
  if (lower.includes("transfer-encoding: chunked")) {
    const end = text.indexOf("0\r\n\r\n", start);
    return end < 0 ? -1 : end + 5;
  }
  const length = Number(/^content-length: ?(\d+)/m.exec(lower)?.[1] ?? 0);
  return text.length >= start + length ? start + length : -1;
}

/** Connects to a local port. */
export function dialPeer(port: number): Promise<Peer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true }, () => resolve(new Peer(socket)));
    socket.on("error", reject);
  });
}

/** A server whose connections a test answers by hand. */
export class Origin {
  readonly server: Server;
  readonly connections: Peer[] = [];
  #waiting: (() => void)[] = [];
  port = 0;

  private constructor(server: Server) {
    this.server = server;
  }

  static start(answer?: (peer: Peer, message: string) => void): Promise<Origin> {
    const server = createServer({ allowHalfOpen: true });
    const origin = new Origin(server);
    server.on("connection", (socket) => {
      const peer = new Peer(socket);
      origin.connections.push(peer);
      for (const resolve of origin.#waiting.splice(0)) resolve();
      if (answer !== undefined) void serve(peer, answer);
    });
    return new Promise((resolve) =>
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        origin.port = typeof address === "object" && address !== null ? address.port : 0;
        resolve(origin);
      }),
    );
  }

  /** The connection number `index` as soon as it is there. */
  async connection(index: number): Promise<Peer> {
    for (;;) {
      const peer = this.connections[index];
      if (peer !== undefined) return peer;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  close(): void {
    for (const peer of this.connections) peer.close();
    this.server.close();
  }
}

async function serve(peer: Peer, answer: (peer: Peer, message: string) => void): Promise<void> {
  for (;;) {
    try {
      answer(peer, await peer.message());
    } catch {
      peer.close();
      return;
    }
  }
}

/** A response with `content-length`. */
export function response(status: string, body: string, ...headers: readonly string[]): string {
  const lines = [`HTTP/1.1 ${status}`, `content-length: ${Buffer.byteLength(body, "latin1")}`, ...headers];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}
