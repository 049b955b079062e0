import type { Server } from "node:https";
import type { Logger, Scope } from "@lateen/kernel";
import type { FastifyInstance } from "fastify";
import { createHttp, listenHttp } from "./http.ts";

/** What webhooks serve with, PEM. */
export interface WebhookTls {
  readonly keyPem: string;
  readonly certPem: string;
}

export interface WebhookFaceOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** As of now. */
  readonly tls: WebhookTls;
  /** Registers the webhooks. */
  readonly routes: (app: FastifyInstance) => void | Promise<void>;
  readonly scope: Scope;
  readonly logger: Logger;
}

export interface WebhookFace {
  readonly port: number;
  /** Serves new connections with another certificate. */
  updateTls(tls: WebhookTls): void;
}

/** A review holds an object twice at most, each 3 MiB as an API server takes them. */
const BODY_LIMIT = 8 * 1024 * 1024;

/**
 * Serves an API server's webhooks over TLS, and `GET /ready` beside them, until the scope closes; requests in flight are answered before. A busy
 * port is replaced by a free one.
 */
export async function serveWebhooks(options: WebhookFaceOptions): Promise<WebhookFace> {
  const { host, port, tls, routes, scope, logger } = options;
  const app = createHttp({ logger, tls, bodyLimitBytes: BODY_LIMIT, requestTimeoutMs: 10_000 });
  app.get("/ready", async () => ({ ready: true }));
  await routes(app);
  const bound = await listenHttp(app, { host, port, fallbackToFreePort: true });
  scope.defer(() => app.close());
  return {
    port: bound.port,
    updateTls: ({ keyPem, certPem }) =>
      (app.server as unknown as Server).setSecureContext({ key: keyPem, cert: certPem, minVersion: "TLSv1.2" }),
  };
}
