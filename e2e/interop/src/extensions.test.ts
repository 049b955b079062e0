import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Answer, Via } from "./harness/http.ts";
import { InteropMesh, noEnvoy, pods } from "./harness/mesh.ts";
import { responseHeaderModule } from "./harness/wasm-module.ts";

const skip = noEnvoy();
const title = `Envoy runs extensions${skip === undefined ? "" : ` (skipped: ${skip})`}`;
const TYPE = "type.googleapis.com/envoy.extensions.filters";
/** A machine that does other things as well takes its time. */
const TAKES_MS = 30_000;

function envoyFilter(patches: string, more = ""): string {
  return `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: extension, namespace: default }
spec: { ${more} configPatches: [${patches}] }
`;
}

function wasmPlugin(url: string, more = ""): string {
  return `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: { name: plugin, namespace: default }
spec: { selector: { matchLabels: { app: client } }, url: "${url}", match: [{ mode: CLIENT }], ${more} }
`;
}

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: default }
spec: { selector: { istio: ingressgateway }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: default }
spec: { hosts: [shop.example], gateways: [gw], http: [{ route: [{ destination: { host: web, port: { number: 80 } } }] }] }
---`;

describe.skipIf(skip !== undefined)(title, () => {
  let mesh: InteropMesh;
  let folder: string;
  beforeAll(async () => {
    mesh = await InteropMesh.start();
    folder = await mkdtemp(join(tmpdir(), "lateen-wasm-"));
    await writeFile(join(folder, "header.wasm"), responseHeaderModule("x-wasm", "here"));
  });
  afterAll(async () => {
    await mesh?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const apply = async (yaml: string) => {
    await mesh.plane.apply(yaml);
    expect(await mesh.plane.refusals()).toEqual([]);
  };
  /** A request on a connection of its own: one that was there before goes on with what it was accepted with. */
  const get = async (via: Via, host = "web", path = "/"): Promise<Answer> => {
    const { agent: _kept, ...fresh } = via;
    return mesh.ask({ path, headers: { host } }, fresh);
  };
  /** Until the answer is this one: listeners and plugins take effect a moment after they were acknowledged. */
  const becomes = (what: string, via: Via, wanted: (answer: Answer) => boolean, host = "web") =>
    eventually(
      what,
      async () => {
        const answer = await get(via, host);
        if (!wanted(answer)) throw new Error(`${answer.status} ${answer.body.slice(0, 200)}`);
        return answer;
      },
      TAKES_MS,
    );
  const envoy = () => mesh.throughEnvoy("web", 80);
  const own = () => mesh.throughOwn("web", 80);

  it("Lua: a header of every request", async () => {
    const code = "function envoy_on_request(handle) handle:headers():add('x-lua', 'yes') end";
    await apply(
      envoyFilter(
        `{ applyTo: HTTP_FILTER, match: { context: SIDECAR_OUTBOUND, listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.router } } } } }, patch: { operation: INSERT_BEFORE, value: { name: adder, typed_config: { "@type": ${TYPE}.http.lua.v3.Lua, default_source_code: { inline_string: "${code}" } } } } }`,
      ),
    );
    const answer = await becomes("the header is there", envoy(), ({ body }) => body.includes('"x-lua":"yes"'));
    expect(answer.status).toBe(200);
    // Our proxy goes without, and the control plane says so.
    expect((await get(own())).body).not.toContain("x-lua");
    expect((await mesh.plane.warnings()).join("\n")).toMatch(
      /case\.yaml:2:1: spec\.configPatches\[0\]: EnvoyFilter\/default\/extension: withheld from Lateen's sidecars: .*Lua/,
    );
  });

  it("local_ratelimit: of a server's requests", async () => {
    const filled = "{ default_value: { numerator: 100, denominator: HUNDRED } }";
    await apply(
      envoyFilter(
        `{ applyTo: HTTP_FILTER, match: { context: SIDECAR_INBOUND, listener: { portNumber: 9080 } }, patch: { operation: ADD, value: { name: limit, typed_config: { "@type": ${TYPE}.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: limit, token_bucket: { max_tokens: 2, tokens_per_fill: 2, fill_interval: 3600s }, filter_enabled: ${filled}, filter_enforced: ${filled} } } } }`,
        "workloadSelector: { labels: { flavor: envoy } },",
      ),
    );
    const inbound = mesh.inbound("envoy", 9080);
    await becomes("requests are refused", inbound, ({ status }) => status === 429, "client");
    expect((await get(inbound, "client")).status).toBe(429);
  });

  it("a merged cluster and a route that is put first, by Envoy and by our proxy", async () => {
    await apply(
      envoyFilter(
        `{ applyTo: CLUSTER, match: { context: SIDECAR_OUTBOUND, cluster: { service: web.default.svc.cluster.local, portNumber: 80 } }, patch: { operation: MERGE_AND_REPLACE_LIST, value: { circuit_breakers: { thresholds: [{ max_connections: 1, max_pending_requests: 1, max_requests: 1, max_retries: 1 }] } } } }, { applyTo: HTTP_ROUTE, match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: { domainName: web } } }, patch: { operation: INSERT_FIRST, value: { name: teapot, match: { path: /teapot }, direct_response: { status: 418 } } } }`,
      ),
    );
    for (const via of [envoy(), own()]) {
      await eventually(
        "the route is there",
        async () => {
          const { status } = await get(via, "web", "/teapot");
          if (status !== 418) throw new Error(`${status}`);
          return true;
        },
        TAKES_MS,
      );
      expect((await get(via)).status).toBe(200);
    }
    const dump = await mesh.proxies.get(pods.envoy)?.admin("/config_dump?resource=dynamic_active_clusters");
    expect(dump).toContain('"max_requests": 1');
  });

  it("a gateway's listener and routes", async () => {
    await apply(
      GATEWAY +
        envoyFilter(
          `{ applyTo: NETWORK_FILTER, match: { context: GATEWAY, listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } } }, patch: { operation: MERGE, value: { typed_config: { "@type": ${TYPE}.network.http_connection_manager.v3.HttpConnectionManager, server_name: edge } } } }, { applyTo: VIRTUAL_HOST, match: { context: GATEWAY }, patch: { operation: MERGE, value: { response_headers_to_add: [{ header: { key: x-edge, value: "1" } }] } } }`,
          "workloadSelector: { labels: { istio: ingressgateway } },",
        ),
    );
    const edge = mesh.throughGateway("envoy", 80);
    const answer = await becomes(
      "the gateway's name",
      edge,
      ({ headers }) => headers.server === "edge",
      "shop.example",
    );
    expect(answer).toMatchObject({ status: 200, headers: { "x-edge": "1" } });
  });

  it("WebAssembly, by discovery; our proxy refuses what it would have passed", async () => {
    await apply(wasmPlugin(`file://${folder}/header.wasm`));
    const answer = await becomes("the plugin runs", envoy(), ({ headers }) => headers["x-wasm"] === "here");
    expect(answer.status).toBe(200);
    expect((await get(own())).status).toBe(403);
    expect((await mesh.plane.warnings()).join()).toContain(
      "WasmPlugin/default/plugin: withheld from Lateen's sidecars",
    );
    // Where it may fail open, ours goes without.
    await apply(wasmPlugin(`file://${folder}/header.wasm`, "failStrategy: FAIL_OPEN"));
    await becomes("ours goes without", own(), ({ status }) => status === 200);
    expect((await becomes("Envoy runs it", envoy(), ({ headers }) => headers["x-wasm"] === "here")).status).toBe(200);
  });

  it("WebAssembly that is not there: nothing passes, or all does, as its strategy says", async () => {
    const missing = (more: string) => wasmPlugin(`file://${folder}/missing.wasm`, more);
    await mesh.plane.apply("# nothing\n");
    await mesh.plane.apply(missing("").replace("name: plugin", "name: closed"), { synced: false });
    await becomes("nothing passes", envoy(), ({ status }) => status >= 500);
    expect((await mesh.plane.refusals()).join()).toContain("missing.wasm");
    const open = missing("failStrategy: FAIL_OPEN").replace("name: plugin", "name: open");
    await mesh.plane.apply(open, { synced: false });
    await becomes("all passes", envoy(), ({ status }) => status === 200);
    await eventually(
      "it was tried",
      async () => {
        const refusals = (await mesh.plane.refusals()).join();
        if (!refusals.includes("missing.wasm")) throw new Error(refusals);
        return true;
      },
      TAKES_MS,
    );
    expect((await get(envoy())).status).toBe(200);
  });
});
