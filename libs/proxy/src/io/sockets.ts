import { createServer, connect as netConnect, type Server, Socket, type SocketConstructorOpts } from "node:net";
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from "node:tls";
import { Connection } from "./connection.ts";
import type { IoLoop } from "./io-loop.ts";

/** A listening socket. */
export interface ListeningSocket {
  readonly address: string;
  readonly port: number;
  /** Stops accepting; connections live on. */
  close(): void;
}

export interface ListenOptions {
  readonly address: string;
  readonly port: number;
  /** Several workers share the port. */
  readonly reusePort: boolean;
  readonly onConnection: (connection: Connection) => void;
}

/** The part of node's internal server handle that lets us make the socket with our own read buffer. */
interface ServerHandle {
  onconnection?: (status: number, handle: unknown) => void;
}

/**
 * Listens, and gives each accepted connection its reads through the one shared buffer (`onread`), which halves the cost of a
 * read against 'data' events. Where node hides its server handle, ordinary sockets with 'data' events are used instead.
 */
export function listen(io: IoLoop, options: ListenOptions): Promise<ListeningSocket> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      options.onConnection(fromDataEvents(io, socket, false)),
    );
    server.once("error", reject);
    server.listen(
      { host: options.address, port: options.port, backlog: 4096, reusePort: options.reusePort, exclusive: true },
      () => {
        server.removeListener("error", reject);
        server.on("error", () => {});
        takeOverAccept(io, server, options.onConnection);
        resolve(describe(server));
      },
    );
  });
}

function describe(server: Server): ListeningSocket {
  const bound = server.address();
  const known = typeof bound === "object" && bound !== null;
  return {
    address: known ? bound.address : "",
    port: known ? bound.port : 0,
    close: () => server.close(),
  };
}

function takeOverAccept(io: IoLoop, server: Server, onConnection: (connection: Connection) => void): void {
  const handle = (server as unknown as { _handle?: ServerHandle })._handle;
  if (handle === undefined || typeof handle.onconnection !== "function") return;
  handle.onconnection = (status, client) => {
    if (status !== 0) return;
    let connection: Connection | undefined;
    const socket = new Socket({
      handle: client,
      allowHalfOpen: true,
      onread: {
        buffer: io.readBuffer,
        callback: (length: number, bytes: Uint8Array) => {
          connection?.received(bytes as Buffer, length);
          return true;
        },
      },
    } as SocketConstructorOpts);
    socket.setNoDelay(true);
    connection = new Connection(io, socket, false);
    onConnection(connection);
  };
}

/** A connection over a socket that reads by 'data' events (TLS server side, fallback). Starts when the caller resumes the socket. */
export function fromDataEvents(io: IoLoop, socket: Socket | TLSSocket, secure: boolean): Connection {
  const connection = new Connection(io, socket, secure);
  socket.on("data", (bytes: Buffer) => connection.received(bytes, bytes.length));
  return connection;
}

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly keepAliveMs: number | undefined;
  readonly tls: ConnectionOptions | undefined;
}

/** Starts to connect; `onReady` when bytes may flow (after the handshake for TLS). Failure is the handler's `onClose`. */
export function dial(io: IoLoop, options: DialOptions, onReady: (connection: Connection) => void): Connection {
  let connection: Connection | undefined;
  const onread = {
    buffer: io.readBuffer,
    callback: (length: number, bytes: Uint8Array) => {
      connection?.received(bytes as Buffer, length);
      return true;
    },
  };
  const common = {
    host: options.host,
    port: options.port,
    allowHalfOpen: true,
    noDelay: true,
    ...(options.keepAliveMs === undefined ? {} : { keepAlive: true, keepAliveInitialDelay: options.keepAliveMs }),
    onread,
  };
  const socket =
    options.tls === undefined ? netConnect(common) : tlsConnect({ ...options.tls, ...common } as ConnectionOptions);
  const made = new Connection(io, socket, options.tls !== undefined);
  connection = made;
  socket.once(options.tls === undefined ? "connect" : "secureConnect", () => {
    io.enter();
    try {
      if (!made.closed) onReady(made);
    } finally {
      io.leave();
    }
  });
  return made;
}
