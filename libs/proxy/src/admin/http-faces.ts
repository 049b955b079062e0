import { chmod, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { Logger, Scope } from "@lateen/kernel";
import { adminNotLoopback } from "../agent/errors.ts";
import { isLoopback, type Pages, type ServeOptions, serve } from "./page.ts";

export interface Face {
  readonly name: string;
  readonly address: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly pages: Pages;
  /** Refuse to listen anywhere but on loopback, and to answer web pages; see `ServeOptions`. */
  readonly guarded: boolean;
}

/** Connections one face holds at most; these are scrapers and probes. */
const MAX_CONNECTIONS = 64;

function faceServer(scope: Scope, pages: Pages, options: ServeOptions): Server {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000 },
    serve(pages, options),
  );
  server.maxConnections = MAX_CONNECTIONS;
  scope.defer(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return server;
}

/** Serves pages on a unix socket that only its owner may open. A socket that an earlier process left is replaced. */
export async function openSocketFace(scope: Scope, path: string, pages: Pages, logger: Logger): Promise<void> {
  await rm(path, { force: true });
  const server = faceServer(scope, pages, { guarded: false });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  logger.info({ event: "http.listening", face: "admin", path });
}

/** Opens one HTTP face for the life of the scope. @returns the port. */
export function openFace(scope: Scope, face: Face, logger: Logger): Promise<number> {
  if (face.guarded && !isLoopback(face.address)) return Promise.reject(adminNotLoopback(face.address));
  const server = faceServer(scope, face.pages, face);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(face.port, face.address, () => {
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : face.port;
      logger.info({ event: "http.listening", face: face.name, address: face.address, port });
      resolve(port);
    });
  });
}
