import {
  createServer,
  type NetConnectOpts,
  connect as netConnect,
  type Server,
  Socket,
  type SocketConstructorOpts,
} from "node:net";
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from "node:tls";
import { Connection } from "./connection.ts";
import { HandleTransport } from "./handle-transport.ts";
import { handleOf } from "./handles.ts";
import type { IoLoop } from "./io-loop.ts";
import { SocketTransport } from "./socket-transport.ts";

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
 * Listens. Each accepted connection reads through the one shared buffer, which halves the cost of a read against 'data' events.
 * Where node hides its server handle, ordinary sockets with 'data' events are used instead.
 */
export function listen(io: IoLoop, options: ListenOptions): Promise<ListeningSocket> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      options.onConnection(fromSocket(io, socket, false)),
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
    onConnection(io.backend.kind === "handles" ? acceptHandle(io, client) : acceptSocket(io, client));
  };
}

function acceptHandle(io: IoLoop, client: unknown): Connection {
  const socket = new Socket({ handle: client, allowHalfOpen: true, manualStart: true } as SocketConstructorOpts);
  socket.setNoDelay(true);
  return fromSocket(io, socket, false);
}

function acceptSocket(io: IoLoop, client: unknown): Connection {
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
  connection = overSocket(io, socket, false);
  return connection;
}

function overSocket(io: IoLoop, socket: Socket, secure: boolean): Connection {
  return new Connection(io, socket, secure, (connection) => new SocketTransport(connection));
}

/** A connection over a socket that is connected and reads nothing yet, or (portable back end) reads by 'data' events. */
export function fromSocket(io: IoLoop, socket: Socket | TLSSocket, secure: boolean): Connection {
  const connection = overSocket(io, socket, secure);
  if (!takeHandle(connection)) socket.on("data", (bytes: Buffer) => connection.received(bytes, bytes.length));
  return connection;
}

/** Reads and writes of a connected socket go by its handle from now on, if the back end is of that kind. */
function takeHandle(connection: Connection): boolean {
  const { io, socket } = connection;
  const handle = io.backend.kind === "handles" ? handleOf(socket) : undefined;
  if (io.backend.kind !== "handles" || handle === undefined) return false;
  connection.transport = new HandleTransport(connection, handle, io.backend.parts);
  // What the socket has read already.
  const early: Buffer | null = socket.readableLength > 0 ? socket.read() : null;
  if (early !== null) queueMicrotask(() => connection.received(early, early.length));
  connection.transport.resume();
  return true;
}

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  /** Local address; undefined: the system's choice. */
  readonly source?: string | undefined;
  readonly keepAliveMs: number | undefined;
  readonly tls: ConnectionOptions | undefined;
  /** Bytes that go out first, before any handshake; asked for when the connection is there. */
  readonly preface?: (socket: Socket) => Buffer;
}

/** TLS; with a preface upon a connection that has sent it already. */
function secured(tls: ConnectionOptions, common: NetConnectOpts, preface: DialOptions["preface"]): TLSSocket {
  if (preface === undefined) return tlsConnect({ ...tls, ...common } as ConnectionOptions);
  const plain = netConnect(common);
  // Before the listener that begins the handshake.
  plain.once("connect", () => plain.write(preface(plain)));
  return tlsConnect({ ...tls, socket: plain });
}

/** Starts to connect; `onReady` when bytes may flow (after the handshake for TLS). Failure is the handler's `onClose`. */
export function dial(io: IoLoop, options: DialOptions, onReady: (connection: Connection) => void): Connection {
  const portable = io.backend.kind === "portable";
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
    ...(options.source === undefined ? {} : { localAddress: options.source }),
    allowHalfOpen: true,
    noDelay: true,
    ...(options.keepAliveMs === undefined ? {} : { keepAlive: true, keepAliveInitialDelay: options.keepAliveMs }),
    ...(portable ? { onread } : {}),
  };
  const { tls, preface } = options;
  const socket = tls === undefined ? netConnect(common) : secured(tls, common, preface);
  const made = overSocket(io, socket, options.tls !== undefined);
  connection = made;
  socket.once(options.tls === undefined ? "connect" : "secureConnect", () => {
    io.enter();
    try {
      if (made.closed) return;
      // A socket that TLS was put upon has no buffer of ours.
      const reads = portable && (tls === undefined || preface === undefined);
      if (!takeHandle(made) && !reads) socket.on("data", (bytes: Buffer) => made.received(bytes, bytes.length));
      if (tls === undefined && preface !== undefined) {
        const first = preface(socket);
        made.write(first, 0, first.length);
      }
      onReady(made);
    } finally {
      io.leave();
    }
  });
  return made;
}
