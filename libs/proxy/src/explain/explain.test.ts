import { DEAD_PORTS, manualClock } from "@lateen/test-support";
import type { ForwardSpec } from "@lateen/traffic";
import { afterEach, describe, expect, it } from "vitest";
import type { Exchange, HttpFilterRuntime, LocalReply } from "../chain/spi.ts";
import type { ClusterSpec } from "../config/plan.ts";
import { stage } from "../router/testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, type RigOptions, routeSpec } from "../router/testing/rig.ts";
import { response } from "../router/testing/wire.ts";
import { RecentRequests } from "./recent-requests.ts";
import type { RequestRecord } from "./request-record.ts";

const { client, exchange, origin, rig } = stage(afterEach);

const ORIGIN = "VirtualService shop/cart http[0]";
const GET = "GET /cart?token=secret HTTP/1.1\r\nHost: shop\r\nx-request-id: abc-1\r\n\r\n";

function through(
  ports: readonly number[],
  forward: Partial<ForwardSpec> = {},
  options: Partial<RigOptions> & { readonly cluster?: Partial<ClusterSpec> } = {},
) {
  const route = routeSpec("/cart", forwardTo("backend", forward), { name: "cart", origin: ORIGIN });
  return rig({
    hosts: [hostSpec(["shop"], [route])],
    clusters: [
      clusterSpec("backend", ports, { origin: "/apis/x/y/namespaces/shop/destination-rule/cart", ...options.cluster }),
    ],
    ...options,
  });
}

function only(proxy: Awaited<ReturnType<typeof rig>>): RequestRecord {
  const [record, ...others] = proxy.context.recent.all();
  expect(others).toEqual([]);
  if (record === undefined) throw new Error("no record");
  return record;
}

describe("a request that went well", () => {
  it("leaves no record, unless records of all were asked for", async () => {
    const backend = await origin((peer) => peer.send(response("200 OK", "yes")));
    const proxy = await through([backend.port]);
    await exchange(proxy.port, GET);
    expect(proxy.context.recent.all()).toEqual([]);
    proxy.context.recent.keepAll(60_000);
    await exchange(proxy.port, GET);
    expect(only(proxy)).toMatchObject({
      status: 200,
      details: "via_upstream",
      answeredBy: "upstream",
      route: { name: "cart", origin: ORIGIN },
      forward: { cluster: "backend", attempts: 1, endpoint: `127.0.0.1:${backend.port}`, failures: [] },
    });
  });
});

describe("the record of a request", () => {
  it("that no route takes names table and virtual host, and not the query", async () => {
    const proxy = await through([1]);
    await exchange(proxy.port, GET.replace("/cart", "/other"));
    expect(only(proxy)).toMatchObject({
      requestId: "abc-1",
      method: "GET",
      authority: "shop",
      path: "/other",
      status: 404,
      flags: "NR",
      details: "route_not_found",
      answeredBy: "proxy",
      listener: "test",
      routeTable: "r",
      virtualHost: "shop",
    });
    expect(JSON.stringify(only(proxy))).not.toContain("secret");
  });

  it("is of the path that the client sent, though the route rewrites it", async () => {
    const backend = await origin((peer) => peer.send(response("404 Not Found", "")));
    const rewrite = { prefix: "/inner", regex: undefined, host: undefined };
    const proxy = await through([backend.port], { rewrite });
    await exchange(proxy.port, GET);
    expect(only(proxy)).toMatchObject({ path: "/cart", authority: "shop", status: 404 });
  });

  it("for an unknown authority names no virtual host", async () => {
    const proxy = await through([1]);
    await exchange(proxy.port, GET.replace("Host: shop", "Host: nowhere"));
    expect(only(proxy).virtualHost).toBeUndefined();
  });

  it("to a cluster without endpoints names route, cluster and the object that shapes it", async () => {
    const proxy = await through([]);
    await exchange(proxy.port, GET);
    expect(only(proxy)).toMatchObject({
      status: 503,
      flags: "UH",
      details: "no_healthy_upstream",
      route: { origin: ORIGIN },
      forward: {
        cluster: "backend",
        origin: "/apis/x/y/namespaces/shop/destination-rule/cart",
        exists: true,
        endpoints: 0,
        attempts: 1,
      },
    });
  });

  it("to a cluster that is not there says so", async () => {
    const proxy = await through([1], {}, { clusters: [] });
    await exchange(proxy.port, GET);
    expect(only(proxy)).toMatchObject({ flags: "NC", details: "cluster_not_found", forward: { exists: false } });
  });

  it("tells every attempt and why it came to nothing", async () => {
    const [dead] = DEAD_PORTS;
    const retry = {
      attempts: 1,
      retryOn: ["connect-failure"],
      retriableStatusCodes: [],
      perTryTimeoutMs: 0,
      baseIntervalMs: 1,
      maxIntervalMs: 1,
      avoidPreviousHosts: false,
      hostSelectionMaxAttempts: 1,
    } as const;
    const proxy = await through([dead], { retry });
    await exchange(proxy.port, GET);
    const { forward, flags, details } = only(proxy);
    expect(flags).toBe("URX,UF");
    expect(details).toMatch(/^upstream_reset_before_response_started\{remote_connection_failure/);
    expect(forward).toMatchObject({ attempts: 2, retries: 1, endpoint: `127.0.0.1:${dead}` });
    expect(forward?.failures.map(({ endpoint, outcome }) => [endpoint, outcome])).toEqual([
      [`127.0.0.1:${dead}`, "connectFailure"],
      [`127.0.0.1:${dead}`, "connectFailure"],
    ]);
    expect(forward?.transportFailure).toMatch(/ECONNREFUSED|refused/i);
  });

  it("names the circuit breaker and its limit", async () => {
    const circuitBreakers = { maxConnections: 10, maxPendingRequests: 0, maxRequests: 10, maxRetries: 0 };
    const proxy = await through([DEAD_PORTS[0]], {}, { cluster: { circuitBreakers } });
    await exchange(proxy.port, GET);
    expect(only(proxy)).toMatchObject({
      flags: "UO",
      details: "upstream_reset_before_response_started{overflow}",
      forward: { failures: [{ outcome: "overflow", detail: "max_pending_requests 0" }] },
    });
  });

  it("that ran out of time says how much it had", async () => {
    const clock = manualClock();
    const backend = await origin();
    const proxy = await through([backend.port], { timeoutMs: 500 }, { clock });
    const peer = await client(proxy.port);
    peer.send(GET);
    await (await backend.connection(0)).message();
    clock.advance(600);
    expect(await peer.message()).toMatch(/^HTTP\/1\.1 504 /);
    expect(only(proxy)).toMatchObject({
      flags: "UT",
      details: "response_timeout",
      forward: { timeoutMs: 500, attempts: 1 },
    });
  });

  it("that the upstream refused says that it was the upstream", async () => {
    const backend = await origin((peer) => peer.send(response("403 Forbidden", "no")));
    const proxy = await through([backend.port]);
    await exchange(proxy.port, GET);
    expect(only(proxy)).toMatchObject({ status: 403, answeredBy: "upstream", details: "via_upstream" });
  });

  it("whose client went away says so", async () => {
    const backend = await origin();
    const proxy = await through([backend.port]);
    const peer = await client(proxy.port);
    peer.send(GET);
    const upstream = await backend.connection(0);
    await upstream.message();
    peer.socket.resetAndDestroy();
    await upstream.untilEnd();
    expect(only(proxy)).toMatchObject({ status: 0, flags: "DC", answeredBy: "nobody" });
  });

  it("that a filter answered carries what the filter named", async () => {
    const refused: LocalReply = { status: 403, body: "no", flag: "", details: "d", because: "policy p" };
    const none: LocalReply = { status: 403, body: "no", flag: "", details: "d", candidates: ["a", "b"] };
    const replies = [refused, none];
    const refusing: HttpFilterRuntime = {
      name: "refusing",
      create: () => ({
        onRequestHead(one: Exchange) {
          one.localReply(replies.shift() ?? none);
          return "replied";
        },
      }),
    };
    const spec = { httpFilters: [{ name: "refusing", config: {} }] };
    const proxy = await through([1], {}, { filters: [refusing], spec });
    await exchange(proxy.port, GET);
    await exchange(proxy.port, GET);
    expect(proxy.context.recent.all()).toMatchObject([{ because: "policy p" }, { candidates: ["a", "b"] }]);
  });

  it("that could not be parsed has no id", async () => {
    const proxy = await through([1]);
    await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    expect(only(proxy)).toMatchObject({ requestId: "", status: 400, answeredBy: "proxy" });
  });

  it("keeps little of what a client sends", async () => {
    const proxy = await through([1]);
    const long = "a".repeat(5000);
    await exchange(proxy.port, `GET /${long} HTTP/1.1\r\nHost: shop\r\nx-request-id: ${long}\r\n\r\n`);
    const { path, requestId } = only(proxy);
    expect([path.length, requestId.length]).toEqual([256, 128]);
  });
});

describe("recent requests", () => {
  const record = (at: number) => ({ requestId: String(at), startTimeMs: at }) as RequestRecord;
  const ids = (recent: RecentRequests) => recent.all().map(({ requestId }) => requestId);

  it("are the latest of each kind, in order of time", () => {
    const recent = new RecentRequests(2, () => 0);
    recent.keepAll(1000);
    for (const at of [1, 3, 5]) recent.add(record(at), true);
    for (const at of [2, 4, 6, 8]) recent.add(record(at), false);
    expect(ids(recent)).toEqual(["3", "5", "6", "8"]);
  });

  it("are all kept only until the time is up, ten minutes at most", () => {
    let now = 0;
    const recent = new RecentRequests(2, () => now);
    expect(recent.keepsAll).toBe(false);
    recent.keepAll(3_600_000);
    now = 599_999;
    expect(recent.keepsAll).toBe(true);
    now = 600_000;
    expect(recent.keepsAll).toBe(false);
    recent.keepAll(1000);
    recent.keepAll(0);
    expect(recent.keepsAll).toBe(false);
  });

  it("are none when none are wanted", () => {
    const recent = new RecentRequests(0, () => 0);
    recent.keepAll(1000);
    recent.add(record(1), true);
    recent.add(record(2), false);
    expect([recent.enabled, recent.keepsAll, ids(recent)]).toEqual([false, false, []]);
  });
});
