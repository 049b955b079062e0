import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filterCases, LISTENER_PORT } from "./cases/filter-cases.ts";
import { type AuthzServers, startAuthz } from "./harness/authz-server.ts";
import { ask } from "./harness/http.ts";
import { program } from "./harness/programs.ts";
import { type RateLimitServer, startRateLimits } from "./harness/rls-server.ts";
import { StandAlone, staticCluster } from "./harness/stand-alone.ts";
import { startHttp, type Upstream } from "./harness/upstream.ts";
import { verdict } from "./harness/verdict.ts";

const envoy = program("envoy");
const title = `filters act as Envoy's do${envoy.path === undefined ? ` (skipped: no Envoy: ${envoy.reason})` : ""}`;
const APP_PORT = 21_900;
/** Nobody listens here. */
const CLOSED_PORT = 21_901;

describe.skipIf(envoy.path === undefined)(title, () => {
  let proxies: StandAlone;
  let application: Upstream;
  let authz: AuthzServers;
  let limits: RateLimitServer;

  beforeAll(async () => {
    application = await startHttp("app", "127.0.0.1", APP_PORT);
    authz = await startAuthz();
    limits = await startRateLimits();
    const listeners = filterCases.map(({ filters, virtualHost, more }, index) => ({
      port: LISTENER_PORT + index,
      httpFilters: filters,
      virtualHost,
      ...(more === undefined ? {} : { more }),
    }));
    proxies = await StandAlone.start(listeners, [
      staticCluster("app", [APP_PORT]),
      staticCluster("authz-grpc", [authz.grpcPort], { http2: true }),
      staticCluster("authz-http", [authz.httpPort]),
      staticCluster("rls", [limits.port], { http2: true }),
      staticCluster("closed", [CLOSED_PORT], { http2: true }),
    ]);
  });
  afterAll(async () => {
    await proxies?.stop();
    await application?.close();
    await authz?.close();
    limits?.close();
  });

  it.each(filterCases.map((one, index) => ({ ...one, port: LISTENER_PORT + index })))(
    "$name",
    async ({ port, asks }) => {
      for (const request of asks) {
        const [theirs, ours] = await Promise.all(
          (["envoy", "own"] as const).map(async (flavor) =>
            verdict(await ask(request, proxies.via(flavor, port)), false),
          ),
        );
        expect({ request, ...ours }, JSON.stringify(request).slice(0, 200)).toEqual({ request, ...theirs });
      }
    },
  );
});
