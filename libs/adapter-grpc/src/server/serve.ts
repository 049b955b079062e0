import { randomInt } from "node:crypto";
import { createSecureContext, createServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { type Clock, type Logger, listeningPorts, messageOf, systemClock } from "@lateen/kernel";
import { badTlsMaterial, cannotListen } from "../errors.ts";
import type { RpcMethod } from "./rpc/call.ts";
import { RpcConnection } from "./rpc/connection.ts";
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
  /** Milliseconds between two looks whether the peer is still there. Default 30000. */
  readonly keepaliveMs: number;
  /** Milliseconds that it has to answer. Default 10000. */
  readonly keepaliveTimeoutMs: number;
}

const DEFAULT_LIMITS: ServerLimits = {
  connections: 10_000,
  streamsPerConnection: 100,
  receiveBytes: 4 * 1024 * 1024,
  handshakeMs: 10_000,
  sessionMemoryMb: 128,
  connectionAgeMs: 30 * 60_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
};

export interface ServeGrpcOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Take any free port when this one is busy; logged. */
  readonly fallbackToFreePort?: boolean;
  readonly tls: ServerTls;
  readonly services: readonly GrpcService[];
  readonly logger: Logger;
  readonly limits?: Partial<ServerLimits>;
  /** Default: that of the system. */
  readonly clock?: Clock;
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
 * than counting as none. The server is ours and not grpc-js's, which can only require client certificates or not ask for them, and which
 * copies every message and writes it as a whole.
 * @throws LTN6401 when the address cannot be bound, LTN6402 when the TLS material is unusable.
 */
export async function serveGrpc(options: ServeGrpcOptions): Promise<GrpcServer> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const logger = options.logger.child({ component: "grpc" });
  const clock = options.clock ?? systemClock();
  const methods = methodsOf(options.services);
  const connections = new Map<TLSSocket, RpcConnection>();
  const listener = createTlsListener(options.tls, limits, logger, (socket) => {
    connections.set(socket, new RpcConnection(socket, { methods, limits, clock, logger }));
    socket.once("close", () => connections.delete(socket));
  });
  const port = await listenOrMove(listener, options, logger);
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
    // GOAWAY: clients without open calls hang up by themselves.
    for (const connection of connections.values()) connection.drain();
    await Promise.race([
      Promise.all([...connections.keys()].map((socket) => new Promise((resolve) => socket.once("close", resolve)))),
      new Promise<void>((resolve) => clock.after(graceMs, resolve)),
    ]);
    for (const [socket, connection] of connections) {
      connection.destroy();
      socket.destroy();
    }
    await listenerClosed;
  }
}

function methodsOf(services: readonly GrpcService[]): ReadonlyMap<string, RpcMethod> {
  return new Map(
    services.flatMap(({ definition, implementation }) =>
      Object.entries(definition).flatMap(([name, method]) => {
        const handler = implementation[name] as unknown as RpcMethod["handler"] | undefined;
        return handler === undefined ? [] : [[method.path, { definition: method, handler }] as const];
      }),
    ),
  );
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

async function listenOrMove(listener: TlsServer, options: ServeGrpcOptions, logger: Logger): Promise<number> {
  const { host, port, fallbackToFreePort = false } = options;
  const others = fallbackToFreePort && port !== 0 ? listeningPorts(randomInt(2 ** 31)) : undefined;
  for (let target = port; ; ) {
    try {
      return await listen(listener, host, target);
    } catch (error) {
      const next = others?.next();
      if (next === undefined || next.done) throw error;
      logger.warn({ event: "port.moved", from: target, to: next.value, reason: messageOf(error) });
      target = next.value;
    }
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
