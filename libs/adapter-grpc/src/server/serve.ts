import { createSecureContext, createServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { type Logger, messageOf } from "@lateen/kernel";
import { badTlsMaterial, cannotListen } from "../errors.ts";
import { pacedWrites } from "./paced-writes.ts";
import type { GrpcService } from "./service.ts";

/** PEM texts of a server. `rootPem` is what client certificates must chain to. */
export interface ServerTls {
  readonly keyPem: string;
  /** Leaf first, then intermediates. */
  readonly certPem: string;
  readonly rootPem: string;
}

/** Bounds of a server; what exceeds one is refused. */
export interface ServerLimits {
  /** Open connections. Default 10000. */
  readonly connections: number;
  /** Calls at a time on one connection. Default 100. */
  readonly streamsPerConnection: number;
  /** Bytes of one received message. Default 4 MiB. */
  readonly receiveBytes: number;
  /** Milliseconds for the TLS handshake. Default 10000. */
  readonly handshakeMs: number;
  /** MiB that one HTTP/2 connection may hold. Default 128. */
  readonly sessionMemoryMb: number;
  /** Milliseconds after which a connection is asked to come again, so that identities are checked anew. Default 30 minutes. */
  readonly connectionAgeMs: number;
}

const DEFAULT_LIMITS: ServerLimits = {
  connections: 10_000,
  streamsPerConnection: 100,
  receiveBytes: 4 * 1024 * 1024,
  handshakeMs: 10_000,
  sessionMemoryMb: 128,
  connectionAgeMs: 30 * 60_000,
};

export interface ServeGrpcOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly tls: ServerTls;
  readonly services: readonly GrpcService[];
  readonly logger: Logger;
  readonly limits?: Partial<ServerLimits>;
}

export interface GrpcServer {
  readonly port: number;
  /** New connections get this material; those that are open stay as they are. @throws LTN6402 and keeps the former material. */
  updateTls(tls: ServerTls): void;
  /** Refuses new calls, ends the streams, gives the rest `graceMs`, then cuts. */
  close(graceMs: number): Promise<void>;
}

/**
 * Serves gRPC over TLS 1.2+. Clients may present a certificate; one that does not chain to `rootPem` ends the connection rather
 * than counting as none. The TLS listener is ours and hands its sockets to grpc-js, because grpc-js can only require client
 * certificates or not ask for them.
 * @throws LTN6401 when the address cannot be bound, LTN6402 when the TLS material is unusable.
 */
export async function serveGrpc(options: ServeGrpcOptions): Promise<GrpcServer> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const logger = options.logger.child({ component: "grpc" });
  const server = new Server({
    "grpc.max_receive_message_length": limits.receiveBytes,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": limits.streamsPerConnection,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.max_connection_age_ms": limits.connectionAgeMs,
    "grpc.max_connection_age_grace_ms": 2_000,
    "grpc-node.max_session_memory": limits.sessionMemoryMb,
    "grpc.enable_channelz": 0,
    interceptors: [pacedWrites],
  });
  for (const service of options.services) server.addService(service.definition, service.implementation);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<TLSSocket>();
  const listener = createTlsListener(options.tls, limits, logger, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  const port = await listen(listener, options.host, options.port);
  logger.info({
    event: "grpc.listening",
    host: options.host,
    port,
    services: options.services.map(({ name }) => name),
  });
  return {
    port,
    updateTls: (tls) => {
      checkTls(tls);
      listener.setSecureContext(contextOf(tls));
      logger.info({ event: "grpc.certificate_replaced", port });
    },
    close: (graceMs) => close(graceMs),
  };

  async function close(graceMs: number): Promise<void> {
    const listenerClosed = new Promise<void>((resolve) => listener.close(() => resolve()));
    for (const service of options.services) service.drain?.();
    // GOAWAY: clients without open calls hang up by themselves. Not tryShutdown, which never ends for injected connections.
    injector.drain(graceMs);
    await Promise.race([
      Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)))),
      new Promise((resolve) => setTimeout(resolve, graceMs).unref()),
    ]);
    server.forceShutdown();
    for (const socket of sockets) socket.destroy();
    await listenerClosed;
  }
}

function createTlsListener(
  tls: ServerTls,
  limits: ServerLimits,
  logger: Logger,
  accept: (socket: TLSSocket) => void,
): TlsServer {
  checkTls(tls);
  const listener = createServer({
    ...contextOf(tls),
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
    handshakeTimeout: limits.handshakeMs,
  });
  listener.maxConnections = limits.connections;
  listener.on("secureConnection", (socket) => {
    socket.on("error", (error) => logger.debug({ event: "grpc.connection_error", reason: messageOf(error) }));
    const presented = socket.getPeerX509Certificate() !== undefined;
    if (presented && !socket.authorized) {
      logger.warn({ event: "grpc.client_certificate_refused", reason: String(socket.authorizationError) });
      socket.destroy();
      return;
    }
    accept(socket);
  });
  listener.on("tlsClientError", (error, socket) => {
    logger.debug({ event: "grpc.handshake_failed", reason: messageOf(error) });
    socket.destroy();
  });
  listener.on("drop", () => logger.warn({ event: "grpc.connection_limit", limit: limits.connections }));
  return listener;
}

function contextOf(tls: ServerTls): { key: string; cert: string; ca: string; minVersion: "TLSv1.2" } {
  return { key: tls.keyPem, cert: tls.certPem, ca: tls.rootPem, minVersion: "TLSv1.2" };
}

function checkTls(tls: ServerTls): void {
  try {
    createSecureContext(contextOf(tls));
  } catch (error) {
    throw badTlsMaterial("the gRPC server", error);
  }
}

function listen(listener: TlsServer, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown) => reject(cannotListen(host, port, error));
    listener.once("error", failed);
    listener.listen({ host, port }, () => {
      listener.off("error", failed);
      const address = listener.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}
