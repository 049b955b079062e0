import { LateenError } from "@lateen/kernel";
import type { FastifyPluginAsync } from "fastify";
import { badQuery } from "./errors.ts";
import type { Pilot } from "./pilot.ts";

interface DumpQuery {
  readonly proxyID?: string;
}
interface WaitQuery {
  readonly revision?: string;
  readonly timeoutMs?: string;
}

const VERSION = "0.1.0";
const DEFAULT_WAIT_MS = 30_000;
const MAX_WAIT_MS = 600_000;

/**
 * Pilot's HTTP face. Who may ask is the owner's business: all but `/ready` and `/version` shows configuration.
 * `GET /ready`, `/version`, `/debug/syncz`, `/debug/config_dump?proxyID=`, `/debug/endpointz`, `/debug/registryz`, `/debug/statusz`,
 * `/debug/wait?revision=&timeoutMs=`. An error is `{error: {code, message, hint}}` with 400 or, for an unknown proxy, 404.
 */
export function pilotRoutes(pilot: Pilot): FastifyPluginAsync {
  return async (app) => {
    app.setErrorHandler((error, _request, reply) => {
      if (!(error instanceof LateenError)) throw error;
      const { code, message, hint } = error;
      return reply.code(code === "LTN3502" ? 404 : 400).send({ error: { code, message, hint } });
    });
    app.get("/ready", (_request, reply) =>
      reply.code(pilot.ready ? 200 : 503).send({ ready: pilot.ready, missing: pilot.missing }),
    );
    app.get("/version", async () => ({ version: VERSION }));
    app.get("/debug/syncz", async () => pilot.status());
    app.get<{ Querystring: DumpQuery }>("/debug/config_dump", async ({ query }) => {
      if (!query.proxyID) throw badQuery("proxyID", "?proxyID=POD.NAMESPACE");
      return pilot.debug.configDump(query.proxyID);
    });
    app.get("/debug/endpointz", async () => pilot.debug.endpoints());
    app.get("/debug/statusz", async () => ({ statuses: pilot.debug.statuses() }));
    app.get("/debug/registryz", async () => pilot.debug.services());
    app.get<{ Querystring: WaitQuery }>("/debug/wait", async ({ query }) => {
      const revision = wholeNumber("revision", query.revision, Number.MAX_SAFE_INTEGER);
      const timeoutMs =
        query.timeoutMs === undefined ? DEFAULT_WAIT_MS : wholeNumber("timeoutMs", query.timeoutMs, MAX_WAIT_MS);
      const outcome = await pilot.waitSynced(revision, timeoutMs);
      return { revision: pilot.status().revision, ...outcome };
    });
  };
}

function wholeNumber(name: string, text: string | undefined, most: number): number {
  const value = text === undefined || text === "" ? Number.NaN : Number(text);
  if (!Number.isSafeInteger(value) || value < 0 || value > most) {
    throw badQuery(name, `a whole number from 0 to ${most}`);
  }
  return value;
}
