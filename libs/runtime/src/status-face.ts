import type { Logger, Scope } from "@lateen/kernel";
import type { FastifyInstance } from "fastify";
import { createHttp, listenHttp } from "./http.ts";

export interface StatusFaceOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** What is missing until the process serves; empty when it does. */
  readonly missing?: () => readonly string[];
  /** Prometheus text, format 0.0.4. */
  readonly metrics: () => string;
  /** Registers further routes. */
  readonly routes?: (app: FastifyInstance) => void | Promise<void>;
  readonly scope: Scope;
  readonly logger: Logger;
}

/**
 * Serves `GET /ready` (200, or 503 with what is missing) and `GET /metrics` until the scope closes; a busy port is replaced by a free one.
 * @returns the port in use.
 */
export async function serveStatus(options: StatusFaceOptions): Promise<number> {
  const { host, port, missing = () => [], metrics, routes, scope, logger } = options;
  const app = createHttp({ logger });
  app.get("/metrics", (_request, reply) => reply.type("text/plain; version=0.0.4").send(metrics()));
  app.get("/ready", (_request, reply) => {
    const lacking = missing();
    return reply.code(lacking.length === 0 ? 200 : 503).send({ ready: lacking.length === 0, missing: lacking });
  });
  await routes?.(app);
  const bound = await listenHttp(app, { host, port, fallbackToFreePort: true });
  scope.defer(() => app.close());
  return bound.port;
}
