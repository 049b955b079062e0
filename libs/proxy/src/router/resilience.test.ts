import { DEAD_PORTS, manualClock } from "@lateen/test-support";
import type { ForwardSpec, RetrySpec } from "@lateen/traffic";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterSpec } from "../config/plan.ts";
import { stage } from "./testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, type Rig, type RigOptions, routeSpec } from "./testing/rig.ts";
import { type Origin, response } from "./testing/wire.ts";

const { client, exchange, origin, rig } = stage(afterEach);

const GET = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";

const RETRY: RetrySpec = {
  attempts: 2,
  retryOn: ["5xx"],
  retriableStatusCodes: [],
  perTryTimeoutMs: 0,
  baseIntervalMs: 1,
  maxIntervalMs: 1,
  avoidPreviousHosts: true,
  hostSelectionMaxAttempts: 5,
};

function through(
  ports: readonly number[],
  forward: Partial<ForwardSpec>,
  options: Partial<RigOptions> & { readonly cluster?: Partial<ClusterSpec> } = {},
): Promise<Rig> {
  return rig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend", forward))], { includeAttemptCount: true })],
    clusters: [clusterSpec("backend", ports, options.cluster)],
    ...options,
  });
}

describe("retries", () => {
  it("try again until an attempt succeeds, each with its number", async () => {
    const seen: string[] = [];
    const backend = await origin((peer, message) => {
      seen.push(message);
      peer.send(seen.length < 3 ? response("503 Service Unavailable", "no") : response("200 OK", "yes"));
    });
    const proxy = await through([backend.port], { retry: RETRY });
    const answer = await exchange(proxy.port, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbody");
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(seen).toHaveLength(3);
    seen.forEach((message, i) => {
      expect(message).toContain(`x-envoy-attempt-count: ${i + 1}\r\n`);
      expect(message).toMatch(/\r\n\r\nbody$/);
    });
  });

  it("pass the last answer on when attempts run out, with URX", async () => {
    const backend = await origin((peer) => peer.send(response("503 Service Unavailable", "no")));
    const proxy = await through([backend.port], { retry: RETRY }, { spec: { accessLogs: [FLAGS] } });
    const answer = await exchange(proxy.port, GET);
    expect(answer).toMatch(/^HTTP\/1\.1 503 [\s\S]*no$/);
    expect(proxy.logText()).toBe("503 URX via_upstream\n");
  });

  it("leave what is not covered alone", async () => {
    let requests = 0;
    const backend = await origin((peer) => {
      requests++;
      peer.send(response("404 Not Found", ""));
    });
    const proxy = await through([backend.port], { retry: RETRY });
    expect(await exchange(proxy.port, GET)).toMatch(/^HTTP\/1\.1 404 /);
    expect(requests).toBe(1);
  });

  it("go to another endpoint after a refused connection", async () => {
    const backend = await origin((peer) => peer.send(response("200 OK", "alive")));
    const proxy = await through([DEAD_PORTS[0], backend.port], {
      retry: { ...RETRY, retryOn: ["connect-failure"] },
    });
    for (let i = 0; i < 4; i++) expect(await exchange(proxy.port, GET)).toMatch(/alive$/);
  });

  it("stop when a body is too large to be kept", async () => {
    let requests = 0;
    const backend = await origin();
    const proxy = await through([backend.port], { retry: RETRY });
    const peer = await client(proxy.port);
    const size = 2 * 1024 * 1024;
    peer.send(`POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: ${size}\r\n\r\n`);
    peer.socket.write(Buffer.alloc(size, 97));
    const upstream = await backend.connection(0);
    await upstream.message();
    requests++;
    upstream.send(response("503 Service Unavailable", "no"));
    expect(await peer.message()).toMatch(/^HTTP\/1\.1 503 /);
    expect(requests).toBe(1);
    expect(backend.connections).toHaveLength(1);
  });

  it("are bounded by the cluster's circuit breaker", async () => {
    const backend = await origin((peer) => peer.send(response("503 Service Unavailable", "no")));
    const circuitBreakers = { maxConnections: 10, maxPendingRequests: 10, maxRequests: 10, maxRetries: 0 };
    const proxy = await through([backend.port], { retry: RETRY }, { cluster: { circuitBreakers } });
    expect(await exchange(proxy.port, GET)).toMatch(/^HTTP\/1\.1 503 /);
    expect(backend.connections).toHaveLength(1);
  });

  it("may be steered by headers of this workload, never by those of others", async () => {
    for (const [direction, expected] of [
      ["outbound", 3],
      ["inbound", 1],
    ] as const) {
      const seen: string[] = [];
      const backend = await origin((peer, message) => {
        seen.push(message);
        peer.send(response("500 Oops", ""));
      });
      const proxy = await through([backend.port], {}, { direction });
      await exchange(
        proxy.port,
        "GET / HTTP/1.1\r\nHost: shop\r\nx-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 2\r\n\r\n",
      );
      expect(seen).toHaveLength(expected);
      expect(seen[0]).not.toMatch(/x-envoy-retry-on|x-envoy-max-retries/);
    }
  });
});

describe("connections the server closes just as they are used", () => {
  it("cost an idempotent request nothing", async () => {
    const backend = await origin();
    const proxy = await through([backend.port], {});
    const peer = await client(proxy.port);
    peer.send(GET);
    const first = await backend.connection(0);
    await first.message();
    first.send(response("200 OK", "one"));
    await peer.message();
    peer.send(GET);
    await first.message();
    first.close();
    const second = await backend.connection(1);
    await second.message();
    second.send(response("200 OK", "two"));
    expect(await peer.message()).toMatch(/two$/);
  });

  it("fail a POST, which may have been acted on", async () => {
    const backend = await origin();
    const proxy = await through([backend.port], {}, { spec: { accessLogs: [FLAGS] } });
    const peer = await client(proxy.port);
    peer.send(GET);
    const first = await backend.connection(0);
    await first.message();
    first.send(response("200 OK", "one"));
    await peer.message();
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");
    await first.message();
    first.close();
    const answer = await peer.message();
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toMatch(
      /upstream connect error or disconnect\/reset before headers\. reset reason: connection termination/,
    );
    expect(backend.connections).toHaveLength(1);
    expect(proxy.logText()).toContain("503 UC upstream_reset_before_response_started{connection_termination");
  });
});

const FLAGS = {
  kind: "file",
  path: "/dev/stdout",
  format: { kind: "text", text: "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n" },
} as const;

describe("what the proxy answers itself", () => {
  it("503 UF when nobody listens", async () => {
    const proxy = await through([DEAD_PORTS[0]], {}, { spec: { accessLogs: [FLAGS], serverHeader: "overwrite" } });
    const answer = await exchange(proxy.port, GET);
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toMatch(/before headers. reset reason: remote connection failure$/);
    expect(answer).toContain("content-type: text/plain\r\n");
    expect(answer).toContain("server: lateen-test\r\n");
    expect(proxy.logText()).toMatch(/^503 UF upstream_reset_before_response_started\{remote_connection_failure\|/);
  });

  it("503 UC when the upstream resets the connection, with nothing about the transport", async () => {
    const backend = await origin();
    const proxy = await through([backend.port], {}, { spec: { accessLogs: [FLAGS] } });
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");
    const connection = await backend.connection(0);
    await connection.message();
    connection.socket.resetAndDestroy();
    expect(await peer.message()).toMatch(/before headers\. reset reason: connection termination$/);
    expect(proxy.logText()).toBe("503 UC upstream_reset_before_response_started{connection_termination}\n");
  });

  it("nothing any more when a response breaks off; the log has UPE", async () => {
    const backend = await origin();
    const proxy = await through([backend.port], {}, { spec: { accessLogs: [FLAGS] } });
    const peer = await client(proxy.port);
    peer.send(GET);
    const connection = await backend.connection(0);
    await connection.message();
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive");
    connection.close();
    await peer.untilEnd();
    expect(proxy.logText()).toBe("200 UPE upstream_reset_after_response_started{protocol_error}\n");
  });

  it("400 DPE when a request's body cannot be parsed", async () => {
    const backend = await origin();
    const proxy = await through([backend.port], {}, { spec: { accessLogs: [FLAGS] } });
    expect(
      await exchange(proxy.port, "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ).toMatch(/^HTTP\/1\.1 400 /);
    expect(proxy.logText()).toBe("400 DPE http1.codec_error\n");
  });

  it("a gRPC status whose message is encoded no more than it must be", async () => {
    const proxy = await through([DEAD_PORTS[0]], {});
    const grpc = "POST /s/m HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    expect(await exchange(proxy.port, grpc)).toContain(
      "grpc-message: upstream connect error or disconnect/reset before headers. reset reason: remote connection failure\r\n",
    );
  });

  it("503 UH without endpoints, 503 NC without the cluster, 404 NR without a route", async () => {
    const proxy = await rig({
      hosts: [hostSpec(["shop"], [routeSpec("/empty", forwardTo("empty")), routeSpec("/gone", forwardTo("gone"))])],
      clusters: [clusterSpec("empty", [])],
      spec: { accessLogs: [FLAGS] },
    });
    const empty = await exchange(proxy.port, "GET /empty HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(empty).toMatch(/^HTTP\/1\.1 503 [\s\S]*no healthy upstream$/);
    expect(await exchange(proxy.port, "GET /gone HTTP/1.1\r\nHost: shop\r\n\r\n")).toMatch(/^HTTP\/1\.1 503 /);
    expect(await exchange(proxy.port, "GET /other HTTP/1.1\r\nHost: shop\r\n\r\n")).toMatch(/^HTTP\/1\.1 404 /);
    expect(await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: unknown\r\n\r\n")).toMatch(/^HTTP\/1\.1 404 /);
    expect(proxy.logText()).toBe(
      "503 UH no_healthy_upstream\n503 NC cluster_not_found\n404 NR route_not_found\n404 NR route_not_found\n",
    );
  });

  it("503 UO when a circuit breaker is open", async () => {
    const backend = await origin();
    const circuitBreakers = { maxConnections: 10, maxPendingRequests: 10, maxRequests: 1, maxRetries: 0 };
    const proxy = await through([backend.port], {}, { cluster: { circuitBreakers }, spec: { accessLogs: [FLAGS] } });
    const first = await client(proxy.port);
    first.send(GET);
    const upstream = await backend.connection(0);
    await upstream.message();
    const answer = await exchange(proxy.port, GET);
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain("x-envoy-overloaded: true\r\n");
    expect(answer).toContain("reset reason: overflow");
    upstream.send(response("200 OK", "first"));
    expect(await first.message()).toMatch(/first$/);
    expect(await exchangeOver(proxy.port, backend)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("502 UPE for a response that is not HTTP", async () => {
    const backend = await origin((peer) => peer.send("NONSENSE\r\n\r\n"));
    const proxy = await through([backend.port], {}, { spec: { accessLogs: [FLAGS] } });
    expect(await exchange(proxy.port, GET)).toMatch(/^HTTP\/1\.1 502 /);
    expect(proxy.logText()).toMatch(/^502 UPE /);
  });

  it("200 with grpc-status to gRPC clients", async () => {
    const proxy = await through([], {});
    const answer = await exchange(
      proxy.port,
      "POST /s/m HTTP/1.1\r\nHost: shop\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain("grpc-status: 14\r\n");
    expect(answer).toContain("grpc-message: no healthy upstream\r\n");
    expect(answer).toContain("content-length: 0\r\n");
  });
});

async function exchangeOver(port: number, backend: Origin): Promise<string> {
  const peer = await client(port);
  peer.send(GET);
  const upstream = await backend.connection(0);
  await upstream.message();
  upstream.send(response("200 OK", "again"));
  return peer.message();
}

describe("timeouts", () => {
  it("504 UT when the route's time is over, counted from the end of the request", async () => {
    const clock = manualClock();
    const backend = await origin();
    const proxy = await through([backend.port], { timeoutMs: 1000 }, { clock, spec: { accessLogs: [FLAGS] } });
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\na");
    const upstream = await backend.connection(0);
    await upstream.until((text) => text.endsWith("a"));
    expect(upstream.text).toContain("x-envoy-expected-rq-timeout-ms: 1000\r\n");
    clock.advance(5000);
    peer.send("b");
    await upstream.until((text) => text.endsWith("ab"));
    clock.advance(999);
    expect(peer.text).toBe("");
    clock.advance(20);
    const answer = await peer.message();
    expect(answer).toMatch(/^HTTP\/1\.1 504 [\s\S]*upstream request timeout$/);
    await upstream.untilEnd();
    expect(proxy.logText()).toBe("504 UT response_timeout\n");
  });

  it("tells the next attempt how much of the route's time is left", async () => {
    const clock = manualClock();
    const backend = await origin();
    const retry: RetrySpec = { ...RETRY, attempts: 1, perTryTimeoutMs: 600 };
    const proxy = await through([backend.port], { timeoutMs: 1000, retry }, { clock, random: () => 0 });
    const peer = await client(proxy.port);
    peer.send(GET);
    expect(await (await backend.connection(0)).message()).toContain("x-envoy-expected-rq-timeout-ms: 600\r\n");
    clock.advance(620);
    clock.advance(20);
    const left = /expected-rq-timeout-ms: (\d+)/.exec(await (await backend.connection(1)).message())?.[1];
    expect(Number(left)).toBeGreaterThan(300);
    expect(Number(left)).toBeLessThanOrEqual(400);
  });

  it("per try: the next attempt gets its own time", async () => {
    const clock = manualClock();
    const backend = await origin();
    const retry: RetrySpec = { ...RETRY, attempts: 1, perTryTimeoutMs: 100 };
    const proxy = await through([backend.port], { retry }, { clock, spec: { accessLogs: [FLAGS] }, random: () => 0 });
    const peer = await client(proxy.port);
    peer.send(GET);
    await (await backend.connection(0)).message();
    clock.advance(120);
    clock.advance(20);
    await (await backend.connection(1)).message();
    clock.advance(120);
    expect(await peer.message()).toMatch(/^HTTP\/1\.1 504 /);
    expect(proxy.logText()).toMatch(/^504 (URX,UT|UT,URX) upstream_per_try_timeout\n$/);
  });

  it("408 when a request does not get complete in time", async () => {
    const clock = manualClock();
    const backend = await origin();
    const proxy = await through([backend.port], {}, { clock, spec: { requestTimeoutMs: 500 } });
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\na");
    await (await backend.connection(0)).until((text) => text.endsWith("a"));
    clock.advance(510);
    expect(await peer.untilEnd()).toMatch(/^HTTP\/1\.1 408 [\s\S]*request timeout$/);
  });

  it("SI when nothing moves, counted from the last byte", async () => {
    const clock = manualClock();
    const backend = await origin();
    const proxy = await through(
      [backend.port],
      {},
      {
        clock,
        spec: { streamIdleTimeoutMs: 1000, accessLogs: [FLAGS] },
      },
    );
    const peer = await client(proxy.port);
    peer.send(GET);
    const upstream = await backend.connection(0);
    await upstream.message();
    clock.advance(900);
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab");
    await peer.until((text) => text.endsWith("ab"));
    clock.advance(900);
    expect(peer.ended).toBe(false);
    clock.advance(300);
    await peer.untilEnd();
    expect(proxy.logText()).toBe("200 SI stream_idle_timeout\n");
  });

  it("a connection between requests is closed after its idle time", async () => {
    const clock = manualClock();
    const backend = await origin((peer) => peer.send(response("200 OK", "")));
    const proxy = await through([backend.port], {}, { clock, spec: { idleTimeoutMs: 1000 } });
    const peer = await client(proxy.port);
    peer.send(GET);
    await peer.message();
    clock.advance(1100);
    expect(await peer.untilEnd()).toBe("");
  });

  it("a connect that leads nowhere is given up", async () => {
    const clock = manualClock();
    // TEST-NET-1 is never answered.
    const spec = clusterSpec("backend", [80], { connectTimeoutMs: 250 });
    const unreachable = spec.endpoints.map((locality) => ({
      ...locality,
      endpoints: locality.endpoints.map((endpoint) => ({ ...endpoint, address: "192.0.2.1" })),
    }));
    const proxy = await rig({
      hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
      clusters: [{ ...spec, endpoints: unreachable }],
      clock,
    });
    const peer = await client(proxy.port);
    peer.send(GET);
    while (proxy.manager.activeExchanges === 0) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(300);
    const answer = await peer.message();
    expect(answer).toMatch(/reset reason: (connection timeout|remote connection failure)/);
  });
});

describe("outlier detection", () => {
  it("takes an endpoint out after consecutive failures and lets it back in", async () => {
    const clock = manualClock();
    const bad = await origin((peer) => peer.send(response("500 Oops", "bad")));
    const good = await origin((peer) => peer.send(response("200 OK", "good")));
    const proxy = await through(
      [bad.port, good.port],
      {},
      {
        clock,
        cluster: {
          panicPercent: 0,
          outlier: {
            consecutive5xx: 2,
            consecutiveGatewayFailure: 0,
            splitExternalLocalOriginErrors: false,
            consecutiveLocalOriginFailure: 0,
            intervalMs: 1000,
            baseEjectionMs: 5000,
            maxEjectionPercent: 100,
          },
        },
      },
    );
    for (let i = 0; i < 4; i++) await exchange(proxy.port, GET);
    for (let i = 0; i < 4; i++) expect(await exchange(proxy.port, GET)).toMatch(/good$/);
    clock.advance(5100);
    const answers = [await exchange(proxy.port, GET), await exchange(proxy.port, GET)];
    expect(answers.filter((answer) => answer.endsWith("bad"))).toHaveLength(1);
  });
});
