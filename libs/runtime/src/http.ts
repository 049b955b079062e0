import { randomInt } from "node:crypto";
import { chmod, rm } from "node:fs/promises";
import { connect } from "node:net";
import { LateenError, type Logger, listeningPorts } from "@lateen/kernel";
import { type FastifyInstance, fastify } from "fastify";
import { addressInUse, addressNotAllowed } from "./errors.ts";
import { isErrno } from "./files.ts";

export interface HttpOptions {
  readonly logger: Logger;
  /** Serve TLS. With `rootPem` a client certificate is asked for; handlers must check `socket.authorized` before trusting it. */
  readonly tls?: { readonly keyPem: string; readonly certPem: string; readonly rootPem?: string };
  /** Default 16 MiB. */
  readonly bodyLimitBytes?: number;
  /** Time a client has to send a whole request; default 30 s. How long a handler takes is not limited. */
  readonly requestTimeoutMs?: number;
}

/** A fastify instance with limits set and errors answered as `{ error: { code, message, hint } }`; not yet listening. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const { tls } = options;
  const common = {
    logger: false,
    bodyLimit: options.bodyLimitBytes ?? 16 * 1024 * 1024,
    requestTimeout: options.requestTimeoutMs ?? 30_000,
    keepAliveTimeout: 60_000,
    routerOptions: { maxParamLength: 512 },
    return503OnClosing: true,
    forceCloseConnections: "idle",
  } as const;
  const app: FastifyInstance =
    tls === undefined
      ? fastify({ ...common, http: { headersTimeout: 10_000, maxHeaderSize: 16_384 } })
      : // The instance differs only in the type of `server`, which callers have no use for.
        (fastify({ ...common, https: { ...tlsOptions(tls), headersTimeout: 10_000 } }) as unknown as FastifyInstance);
  answerErrors(app, options.logger);
  return app;
}

export type HttpAddress =
  | {
      readonly host: string;
      /** 0 picks a free one. */
      readonly port: number;
      /** Take another port when this one is busy ({@link listeningPorts}). */
      readonly fallbackToFreePort?: boolean;
    }
  /** A unix socket, made with mode 0600; its directory must be private as well. */
  | { readonly path: string };

/**
 * Starts listening. A socket file left over by a dead process is replaced.
 * @returns the port in use (0 for a unix socket).
 * @throws LateenError LTN6001 when the address is busy, LTN6002 when it may not be bound.
 */
export async function listenHttp(app: FastifyInstance, address: HttpAddress): Promise<{ readonly port: number }> {
  if ("path" in address) {
    await removeStaleSocket(address.path);
    await listen(app, { path: address.path }, address.path);
    await chmod(address.path, 0o600);
    return { port: 0 };
  }
  const { host, port } = address;
  const others = address.fallbackToFreePort === true && port !== 0 ? listeningPorts(randomInt(2 ** 31)) : [];
  for (let target = port, rest = others[Symbol.iterator](); ; ) {
    try {
      await listen(app, { host, port: target }, `${host}:${target}`);
      break;
    } catch (error) {
      const next = rest.next();
      if (next.done || !(error instanceof LateenError && error.code === "LTN6001")) throw error;
      target = next.value;
    }
  }
  const bound = app.server.address();
  return { port: typeof bound === "object" && bound !== null ? bound.port : port };
}

async function listen(
  app: FastifyInstance,
  target: { path: string } | { host: string; port: number },
  shown: string,
): Promise<void> {
  try {
    await app.listen(target);
  } catch (error) {
    if (isErrno(error, "EADDRINUSE")) throw addressInUse(shown);
    if (isErrno(error, "EACCES") || isErrno(error, "EADDRNOTAVAIL")) {
      throw addressNotAllowed(shown, error instanceof Error ? error.message : String(error));
    }
    throw error;
  }
}

function tlsOptions(tls: NonNullable<HttpOptions["tls"]>) {
  const base = { key: tls.keyPem, cert: tls.certPem, minVersion: "TLSv1.2" } as const;
  return tls.rootPem === undefined ? base : { ...base, ca: tls.rootPem, requestCert: true, rejectUnauthorized: false };
}

function answerErrors(app: FastifyInstance, logger: Logger): void {
  app.setNotFoundHandler((request, reply) =>
    reply.code(404).send({ error: { code: "not_found", message: `no such path: ${request.method} ${request.url}` } }),
  );
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof LateenError && error.fault !== "system") {
      return reply.code(400).send({ error: { code: error.code, message: error.message, hint: error.hint } });
    }
    const status = statusOf(error);
    if (status >= 400 && status < 500) {
      return reply
        .code(status)
        .send({ error: { code: "bad_request", message: error instanceof Error ? error.message : "bad request" } });
    }
    // Something is down and may come back: who asked can do more with that than with "internal error".
    if (error instanceof LateenError && error.retryable) {
      logger.warn({ event: "http.unavailable", method: request.method, url: request.url, error });
      return reply.code(503).send({ error: { code: error.code, message: error.message, hint: error.hint } });
    }
    // What broke inside is for the log, not for the client.
    logger.error({ event: "http.handler_failed", method: request.method, url: request.url, error });
    return reply.code(500).send({ error: { code: "internal", message: "internal error" } });
  });
}

function statusOf(error: unknown): number {
  if (typeof error === "object" && error !== null && "statusCode" in error && typeof error.statusCode === "number") {
    return error.statusCode;
  }
  return 500;
}

/** A socket file nobody listens on is removed; a live one is left so that listening fails. */
async function removeStaleSocket(path: string): Promise<void> {
  const alive = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
  if (alive) throw addressInUse(path);
  await rm(path, { force: true });
}
