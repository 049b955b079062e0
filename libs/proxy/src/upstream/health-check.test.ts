import { createServer, type Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { HealthCheckSpec } from "../config/plan.ts";
import { stage } from "../router/testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, routeSpec } from "../router/testing/rig.ts";
import { type Origin, type Peer, response } from "../router/testing/wire.ts";

const { exchange, origin, rig } = stage(afterEach);
const servers: Http2Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const GET = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
/** Generous to slow machines: what is waited for is the change. */
const PATIENCE = { timeout: 20_000, interval: 5 };
const TIMING = {
  timeoutMs: 5000,
  intervalMs: 10,
  noTrafficMs: 10,
  unhealthyMs: 10,
  unhealthyEdgeMs: 10,
  healthyEdgeMs: 10,
  initialJitterMs: 0,
  jitterMs: 0,
  jitterPercent: 0,
  unhealthyThreshold: 2,
  healthyThreshold: 2,
};
const HTTP: HealthCheckSpec["ask"] = {
  kind: "http",
  method: "GET",
  host: "shop",
  path: "/healthz",
  headers: [["x-check", "1"]],
  http2: false,
  expected: [[200, 201]],
  retriable: [[503, 504]],
};

/** A proxy in front of these ports, all of one cluster; panic is off. */
async function proxyOf(ports: readonly number[], check: Partial<HealthCheckSpec>, protocol?: "http2") {
  const healthCheck: HealthCheckSpec = { ...TIMING, ask: HTTP, ...check };
  const more = { healthCheck, panicPercent: 0, ...(protocol === undefined ? {} : { protocol }) };
  const proxy = await rig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("app"))])],
    clusters: [clusterSpec("app", ports, more)],
  });
  const health = () => [...proxy.cluster("app").endpoints].map((endpoint) => endpoint.healthy);
  return { proxy, health };
}

/** An application that says how it is when asked; everything else it answers with its name. */
async function application(name: string, state: { status: number }): Promise<Origin & { asked: string[] }> {
  const asked: string[] = [];
  const made = await origin((peer: Peer, message: string) => {
    if (!message.startsWith("GET /healthz")) peer.send(response("200 OK", name));
    else {
      asked.push(message);
      peer.send(response(`${state.status} X`, ""));
    }
  });
  return Object.assign(made, { asked });
}

describe("active health checks", () => {
  it("over HTTP: endpoints are used once they are well, and no more when they say that they are ill", async () => {
    const [one, two] = [{ status: 200 }, { status: 404 }];
    const [a, b] = [await application("a", one), await application("b", two)];
    const { proxy, health } = await proxyOf([a.port, b.port], {});
    expect(health()).toEqual([false, false]);
    await expect.poll(health, PATIENCE).toEqual([true, false]);
    for (let i = 0; i < 4; i++) expect(await exchange(proxy.port, GET)).toMatch(/\r\n\r\na$/);
    expect(a.asked[0]).toMatch(/^GET \/healthz HTTP\/1.1\r\nhost: shop\r\nuser-agent: Envoy\/HC\r\nx-check: 1\r\n/);
    two.status = 200;
    await expect.poll(health, PATIENCE).toEqual([true, true]);
    one.status = 404;
    await expect.poll(health, PATIENCE).toEqual([false, true]);
    for (let i = 0; i < 4; i++) expect(await exchange(proxy.port, GET)).toMatch(/\r\n\r\nb$/);
    two.status = 404;
    await expect.poll(health, PATIENCE).toEqual([false, false]);
    expect(await exchange(proxy.port, GET)).toMatch(/^HTTP\/1.1 503 [\s\S]*no healthy upstream$/);
  });

  it("the first good answer counts at once, later it takes the threshold; checks are no load of the cluster", async () => {
    const state = { status: 200 };
    const app = await application("a", state);
    const { proxy, health } = await proxyOf([app.port], { healthyThreshold: 3, unhealthyThreshold: 3 });
    await expect.poll(health, PATIENCE).toEqual([true]);
    expect(app.asked).toHaveLength(1);
    state.status = 503;
    await expect.poll(health, PATIENCE).toEqual([false]);
    const failures = app.asked.length - 1;
    expect(failures).toBeGreaterThanOrEqual(3);
    state.status = 200;
    const before = app.asked.length;
    await expect.poll(health, PATIENCE).toEqual([true]);
    expect(app.asked.length - before).toBeGreaterThanOrEqual(3);
    expect(proxy.cluster("app").activeRequests).toBe(0);
  });

  it("an application that does not answer in time is ill, one that is gone as well", async () => {
    const silent = await origin();
    const gone = await origin();
    const { port } = gone;
    gone.close();
    const well = await application("c", { status: 200 });
    const { health } = await proxyOf([silent.port, port, well.port], { timeoutMs: 200, unhealthyThreshold: 1 });
    await expect.poll(health, PATIENCE).toEqual([false, false, true]);
    await expect.poll(() => silent.connections.length, PATIENCE).toBeGreaterThan(1);
    expect(health()).toEqual([false, false, true]);
  });

  it.each([
    ["a connection is enough", [], [], true],
    ["the answer has the parts in order", ["PONG", "OK"], ["+PO", "NG then OK"], true],
    ["the answer has them in another order", ["OK", "PONG"], ["+PO", "NG then OK"], false],
  ])("over TCP: %s", async (_title, receive, answers, expected) => {
    let asked = 0;
    const app = await origin((peer) => {
      asked++;
      for (const answer of answers) peer.send(answer);
    });
    const send = Buffer.from(receive.length === 0 ? "" : "GET PING\r\n\r\n");
    const ask = { kind: "tcp", send, receive: receive.map((text) => Buffer.from(text)) } as const;
    const { health } = await proxyOf([app.port], { ask, timeoutMs: expected ? 5000 : 100 });
    if (expected) await expect.poll(health, PATIENCE).toEqual([true]);
    else {
      await expect.poll(() => asked, PATIENCE).toBeGreaterThan(2);
      expect(health()).toEqual([false]);
    }
  });

  it("over gRPC: SERVING is well, everything else is not", async () => {
    const state = { status: 1, asked: "" };
    const server = createServer();
    servers.push(server);
    server.on("stream", (stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on("error", () => {});
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        state.asked = `${headers[":path"]} ${headers[":authority"]} ${Buffer.concat(chunks).toString("latin1").slice(7)}`;
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(Buffer.from([0, 0, 0, 0, 2, 8, state.status]));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const ask = { kind: "grpc", service: "shop.Cart", authority: "cart" } as const;
    const { health } = await proxyOf([port], { ask }, "http2");
    await expect.poll(health, PATIENCE).toEqual([true]);
    expect(state.asked).toBe("/grpc.health.v1.Health/Check cart shop.Cart");
    state.status = 2;
    await expect.poll(health, PATIENCE).toEqual([false]);
    state.status = 1;
    await expect.poll(health, PATIENCE).toEqual([true]);
  });
});
