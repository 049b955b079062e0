import { LateenError } from "@lateen/kernel";
import type { FastifyInstance, FastifyPluginAsync } from "fastify";
import { badQuery } from "./errors.ts";
import type { Pilot } from "./pilot.ts";

interface DumpQuery {
  readonly proxyID?: string;
}
interface PushQuery {
  readonly push?: string;
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
 * `/debug/wait?revision=&timeoutMs=`, and what `/debug/list` lists; `POST /debug/force_disconnect?proxyID=`. An error is `{error: {code, message, hint}}` with 400 or, for an unknown proxy, 404.
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
    app.get<{ Querystring: DumpQuery }>("/debug/config_dump", async ({ query }) =>
      pilot.debug.configDump(proxyOf(query)),
    );
    registerDebug(app, pilot);
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

/** What the debug pages of Istio's names show. */
const PAGES: Readonly<Record<string, readonly [text: string, show: (pilot: Pilot) => unknown]>> = {
  networkz: ["networks of the mesh and how the others get there", ({ debug }) => debug.meshConfig().networks ?? []],
  connections: [
    "open streams, by number",
    ({ debug }) => clientsOf(debug.streams().map(({ watches: _, ...line }) => line)),
  ],
  configz: ["configuration as it was taken over, without secrets", ({ debug }) => debug.config()],
  sidecarz: ["Sidecars", ({ debug }) => debug.config(new Set(["Sidecar"]))],
  authorizationz: [
    "who may do what",
    ({ debug }) => debug.config(new Set(["AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication"])),
  ],
  telemetryz: ["Telemetry", ({ debug }) => debug.config(new Set(["Telemetry"]))],
  endpointShardz: ["endpoints by host, namespace and where they are known from", ({ debug }) => debug.shards()],
  instancesz: ["which endpoints connected proxies are", ({ debug }) => debug.instances()],
  clusterz: ["clusters whose services are known", ({ debug }) => debug.clusters()],
  pushcontext: [
    "what the last push was made of",
    (pilot) => {
      const { revision, registryVersion, warnings } = pilot.status();
      const objects = countsOf(pilot.debug.config().map(({ kind }) => kind));
      return { revision, ...(registryVersion === undefined ? {} : { registryVersion }), objects, warnings };
    },
  ],
  resourcesz: ["objects by kind", ({ debug }) => countsOf(debug.config().map(({ kind }) => kind))],
  mesh: ["mesh configuration in force", ({ debug }) => debug.meshConfig()],
  cachez: ["work of the compiler", ({ debug }) => debug.compiler() ?? {}],
  push_status: ["what could not be taken over as it was written", (pilot) => pilot.status().warnings],
};
/** Pages that need a query, or that are not under `PAGES` for another reason. */
const OTHERS: Readonly<Record<string, string>> = {
  adsz: "open streams and what they watch; ?push=true: everybody is sent what they do not have",
  syncz: "proxies and what they run",
  registryz: "services",
  endpointz: "services and where they run",
  statusz: "status of Gateway API objects and Ingress",
  "config_dump?proxyID=POD.NAMESPACE": "what a proxy should run, as Envoy shows it",
  "edsz?proxyID=POD.NAMESPACE": "endpoints that a proxy should know",
  "ecdsz?proxyID=POD.NAMESPACE": "extensions that a proxy should run",
  "ndsz?proxyID=POD.NAMESPACE": "names that a proxy should know",
  "wait?revision=N&timeoutMs=N": "waits until all proxies run a revision",
  "force_disconnect?proxyID=POD.NAMESPACE": "POST: ends the streams of a proxy, which then comes again",
};

function registerDebug(app: FastifyInstance, pilot: Pilot): void {
  for (const [name, [, show]] of Object.entries(PAGES)) app.get(`/debug/${name}`, async () => show(pilot));
  const list = {
    ...OTHERS,
    ...Object.fromEntries(Object.entries(PAGES).map(([name, [text]]) => [name, text])),
  };
  app.get("/debug", async () => list);
  app.get("/debug/list", async () => Object.keys(list).sort());
  app.get<{ Querystring: PushQuery }>("/debug/adsz", async ({ query }) =>
    query.push === "true" ? { pushed: pilot.pushAll() } : clientsOf(pilot.debug.streams()),
  );
  app.get<{ Querystring: DumpQuery }>("/debug/edsz", async ({ query }) =>
    pilot.debug.resources(proxyOf(query), "endpoints"),
  );
  app.get<{ Querystring: DumpQuery }>("/debug/ecdsz", async ({ query }) => pilot.debug.extensions(proxyOf(query)));
  app.get<{ Querystring: DumpQuery }>("/debug/ndsz", async ({ query }) =>
    pilot.debug.resources(proxyOf(query), "names"),
  );
  app.post<{ Querystring: DumpQuery }>("/debug/force_disconnect", async ({ query }) => {
    pilot.debug.disconnect(proxyOf(query));
    return { disconnected: query.proxyID };
  });
}

function clientsOf<T>(clients: readonly T[]): { readonly totalClients: number; readonly clients: readonly T[] } {
  return { totalClients: clients.length, clients };
}

function countsOf(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function proxyOf({ proxyID }: DumpQuery): string {
  if (!proxyID) throw badQuery("proxyID", "?proxyID=POD.NAMESPACE");
  return proxyID;
}

function wholeNumber(name: string, text: string | undefined, most: number): number {
  const value = text === undefined || text === "" ? Number.NaN : Number(text);
  if (!Number.isSafeInteger(value) || value < 0 || value > most) {
    throw badQuery(name, `a whole number from 0 to ${most}`);
  }
  return value;
}
