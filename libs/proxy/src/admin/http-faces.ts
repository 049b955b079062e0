import { createServer } from "node:http";
import type { Logger, Scope } from "@lateen/kernel";
import { adminNotLoopback } from "../agent/errors.ts";
import { isLoopback, type Pages, serve } from "./page.ts";

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

/** Opens one HTTP face for the life of the scope. @returns the port. */
export function openFace(scope: Scope, face: Face, logger: Logger): Promise<number> {
  if (face.guarded && !isLoopback(face.address)) return Promise.reject(adminNotLoopback(face.address));
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000 },
    serve(face.pages, face),
  );
  server.maxConnections = MAX_CONNECTIONS;
  scope.defer(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
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
