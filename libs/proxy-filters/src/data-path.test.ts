import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { RBAC_Action } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import { FilterConfig } from "@lateen/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy";
import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { JwtAuthentication } from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import { RBAC } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { Config } from "@lateen/proto/istio/peer_metadata/peer_metadata";
import { NO_HEADER_EDITS, type RouteSpec } from "@lateen/traffic";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { httpFilters } from "./index.ts";
import { startDataPath, type TestDataPath } from "./testing/data-path.ts";
import { testIssuer } from "./testing/tokens.ts";

const decode = (name: string, bytes: Uint8Array) => ({
  name,
  config: httpFilters.find((filter) => filter.name === name)?.decodeConfig(bytes),
});
const fault = (message: Parameters<typeof HTTPFault.fromPartial>[0]) =>
  HTTPFault.encode(HTTPFault.fromPartial(message)).finish();
const headers = [{ methodSpecifier: { $case: "istioHeaders", value: {} } }] as const;
const FILTERS = [
  decode("istio.peer_metadata", Config.encode(Config.fromPartial({ downstreamDiscovery: [...headers] })).finish()),
  decode(
    "envoy.filters.http.rbac",
    RBAC.encode(
      RBAC.fromPartial({
        rules: {
          action: RBAC_Action.DENY,
          policies: {
            "ns[shop]-policy[no-admin]-rule[0]": {
              permissions: [
                {
                  rule: {
                    $case: "urlPath",
                    value: { rule: { $case: "path", value: { matchPattern: { $case: "prefix", value: "/admin" } } } },
                  },
                },
              ],
              principals: [{ identifier: { $case: "any", value: true } }],
            },
          },
        },
      }),
    ).finish(),
  ),
  decode("envoy.filters.http.fault", fault({})),
  decode(
    "envoy.filters.http.jwt_authn",
    JwtAuthentication.encode(
      JwtAuthentication.fromPartial({
        providers: {
          a: {
            jwksSourceSpecifier: {
              $case: "remoteJwks",
              value: {
                httpUri: {
                  uri: "http://keys.test/jwks",
                  httpUpstreamType: { $case: "cluster", value: "app" },
                  timeout: { seconds: 60n, nanos: 0 },
                },
              },
            },
          },
        },
        rules: [
          {
            match: { pathSpecifier: { $case: "prefix", value: "/members" } },
            requirementType: { $case: "requires", value: { requiresType: { $case: "providerName", value: "a" } } },
          },
        ],
      }),
    ).finish(),
  ),
  decode(
    "envoy.filters.http.dynamic_forward_proxy",
    FilterConfig.encode(
      FilterConfig.fromPartial({
        implementationSpecifier: { $case: "dnsCacheConfig", value: { name: "hosts" } },
      }),
    ).finish(),
  ),
  decode("istio.stats", new Uint8Array(0)),
];
const issuer = testIssuer();
/** Status and body for a host of the client's choice. */
function ask(base: string, path: string, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request(`${base}${path}`, { headers: { host }, setHost: false, agent: false }, (response) => {
      let body = "";
      response.on("data", (bytes: Buffer) => (body += bytes.toString()));
      response.on("end", () => resolve(`${response.statusCode} ${body}`));
    });
    asking.on("error", reject);
    asking.end();
  });
}

const FAULT_OF_ROUTE = decode(
  "envoy.filters.http.fault",
  fault({
    delay: {
      faultDelaySecifier: { $case: "fixedDelay", value: { seconds: 0n, nanos: 60_000_000 } },
      percentage: { numerator: 100, denominator: 0 },
    },
    abort: { errorType: { $case: "httpStatus", value: 418 }, percentage: { numerator: 100, denominator: 0 } },
  }),
).config;

function route(prefix: string, filterConfig: RouteSpec["filterConfig"], cluster = "app"): RouteSpec {
  return {
    name: "default",
    match: { path: { kind: "prefix", value: prefix, ignoreCase: false }, headers: [], query: [], fraction: 1 },
    action: {
      kind: "forward",
      clusters: [
        {
          cluster,
          weight: 1,
          requestHeaders: NO_HEADER_EDITS,
          responseHeaders: NO_HEADER_EDITS,
          hostRewrite: undefined,
        },
      ],
      timeoutMs: 0,
      idleTimeoutMs: undefined,
      retry: undefined,
      rewrite: { prefix: undefined, regex: undefined, host: undefined },
      mirrors: [],
      upgrades: [],
      clusterNotFoundStatus: 503,
    },
    requestHeaders: NO_HEADER_EDITS,
    responseHeaders: NO_HEADER_EDITS,
    filterConfig,
    origin: undefined,
    decorator: undefined,
  };
}

describe("filters in a data path", () => {
  const app = createServer((request, response) =>
    response.end(request.headers.host === "keys.test" ? issuer.jwks : JSON.stringify(request.headers)),
  );
  let path: TestDataPath;

  beforeAll(async () => {
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
    path = await startDataPath((app.address() as AddressInfo).port, FILTERS, {
      name: "r",
      virtualHosts: [
        {
          name: "v",
          domains: ["*"],
          routes: [
            route("/slow", { "envoy.filters.http.fault": FAULT_OF_ROUTE }),
            route("/wild", {}, "hosts of requests"),
            route("/", {}),
          ],
          requestHeaders: NO_HEADER_EDITS,
          responseHeaders: NO_HEADER_EDITS,
          includeAttemptCount: false,
          requireTls: false,
          filterConfig: {},
        },
      ],
      ignorePortInHostMatching: false,
      requestHeaders: NO_HEADER_EDITS,
      responseHeaders: NO_HEADER_EDITS,
      maxDirectResponseBytes: 4096,
    });
    // A thread has to load everything first.
  }, 60_000);
  afterAll(async () => {
    await path.stop();
    app.closeAllConnections();
    app.close();
  });
  const counted = (labels: Record<string, string>) => path.value("istio_requests_total", labels);

  it("let a request through, without the metadata that it must not carry", async () => {
    const response = await fetch(`${path.base}/ok`, {
      headers: { "x-envoy-peer-metadata": "a", "x-envoy-peer-metadata-id": "b" },
    });
    expect(response.status).toBe(200);
    const seen = Object.keys((await response.json()) as object);
    expect(seen.filter((name) => name.includes("metadata"))).toEqual([]);
    await expect
      .poll(() => counted({ response_code: "200", destination_service: "reviews.shop.svc.cluster.local" }))
      .toBe(1);
  });

  it("find the host that each request is for", async () => {
    const host = `localhost:${(app.address() as AddressInfo).port}`;
    expect(await ask(path.base, "/wild", host)).toContain(`"host":"${host}"`);
    expect(await ask(path.base, "/wild", "no such host")).toMatch(/^400 /);
    expect(await ask(path.base, "/wild", "nobody.invalid")).toBe("503 DNS resolution failure");
    // This proxy itself.
    expect(await ask(path.base, "/wild", path.base.slice("http://".length))).toBe("503 no healthy upstream");
  });

  it("judge tokens by keys that they fetch", async () => {
    for (const [token, status] of [
      [issuer.token({ sub: "alice" }), 200],
      [testIssuer().token({ sub: "alice" }), 401],
    ] as const) {
      const response = await fetch(`${path.base}/members`, { headers: { authorization: `Bearer ${token}` } });
      expect(response.status).toBe(status);
    }
  });

  it("deny, also a path that only becomes the denied one when it is normalised", async () => {
    for (const target of ["/admin", "/x/../admin/users"]) {
      const response = await fetch(`${path.base}${target}`);
      expect([response.status, await response.text()]).toEqual([403, "RBAC: access denied"]);
    }
    await expect.poll(() => counted({ response_code: "403", response_flags: "-" })).toBe(2);
  });

  it("delay, then abort, with Envoy's flags", async () => {
    const begin = performance.now();
    const response = await fetch(`${path.base}/slow`);
    expect([response.status, await response.text()]).toEqual([418, "fault filter abort"]);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(50);
    await expect.poll(() => counted({ response_code: "418", response_flags: "DI,FI" })).toBe(1);
  });

  it("tell gRPC clients in their own terms", async () => {
    const response = await fetch(`${path.base}/admin`, {
      method: "POST",
      headers: { "content-type": "application/grpc" },
    });
    expect([response.status, response.headers.get("grpc-status")]).toEqual([200, "7"]);
    await expect.poll(() => counted({ request_protocol: "grpc", grpc_response_status: "7" })).toBe(1);
  });
});
