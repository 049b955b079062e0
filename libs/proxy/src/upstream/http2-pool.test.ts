import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import type { ClusterSpec } from "../config/plan.ts";
import { stage } from "../router/testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, type Rig, routeSpec } from "../router/testing/rig.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});
const scene = stage(afterEach);

interface Server {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
  readonly streams: ServerHttp2Stream[];
}

/** @param answer given the number of the stream; default: answers with the number of its connection. */
async function serverOf(
  settings: { readonly maxConcurrentStreams?: number } = {},
  answer?: (stream: ServerHttp2Stream, index: number) => void,
): Promise<Server> {
  const server = createServer({ settings });
  const sessions: ServerHttp2Session[] = [];
  const streams: ServerHttp2Stream[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
    closers.push(() => session.destroy());
  });
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    streams.push(stream);
    if (answer !== undefined) {
      answer(stream, streams.length - 1);
      return;
    }
    stream.respond({ ":status": 200 });
    stream.end(`connection ${sessions.indexOf(stream.session as ServerHttp2Session)}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  return { port: (server.address() as AddressInfo).port, sessions, streams };
}

const proxyTo = (port: number, cluster: Partial<ClusterSpec> = {}): Promise<Rig> =>
  scene.rig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
    clusters: [clusterSpec("backend", [port], { protocol: "http2", ...cluster })],
  });

const get = (proxy: Rig): Promise<string> => scene.exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
const post = (proxy: Rig): Promise<string> =>
  scene.exchange(proxy.port, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");

it("requests of many HTTP/1 connections share one of HTTP/2", async () => {
  const server = await serverOf();
  const proxy = await proxyTo(server.port);
  const answers = await Promise.all(Array.from({ length: 20 }, () => get(proxy)));
  for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*connection 0/);
  expect(proxy.cluster("backend").connections).toBe(1);
});

it("more requests than a cluster allows on a connection get another", async () => {
  const held: ServerHttp2Stream[] = [];
  const server = await serverOf({}, (stream) => {
    held.push(stream);
    if (held.length < 6) return;
    for (const one of held) {
      one.respond({ ":status": 200 });
      one.end();
    }
  });
  const proxy = await proxyTo(server.port, { http2: { maxConcurrentStreams: 2 } });
  await get(await proxyTo((await serverOf()).port));
  const first = Array.from({ length: 6 }, () => get(proxy));
  for (const answer of await Promise.all(first)) expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  expect(server.sessions.length).toBeGreaterThan(1);
});

it("after GOAWAY new requests use a new connection, and those under way end", async () => {
  const held: ServerHttp2Stream[] = [];
  const server = await serverOf({}, (stream, index) => {
    if (index === 0) {
      held.push(stream);
      stream.session?.goaway(0, stream.id ?? 0);
      return;
    }
    stream.respond({ ":status": 200 });
    stream.end("later");
  });
  const proxy = await proxyTo(server.port);
  const underWay = get(proxy);
  while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let answered = ""; server.sessions.length < 2; ) {
    answered = await get(proxy);
    expect(answered).toContain("later");
  }
  held[0]?.respond({ ":status": 200 });
  held[0]?.end("at last");
  expect(await underWay).toContain("at last");
});

it("what the server refused to begin goes once more, a POST too", async () => {
  const server = await serverOf({}, (stream, index) => {
    if (index === 1) {
      stream.close(7);
      return;
    }
    stream.respond({ ":status": 200 });
    stream.end("done");
  });
  const proxy = await proxyTo(server.port);
  expect(await get(proxy)).toContain("done");
  expect(await post(proxy)).toContain("done");
  expect(server.streams).toHaveLength(3);
});

it("a reset of the server is 503, and a POST is not repeated", async () => {
  const server = await serverOf({}, (stream) => stream.close(2));
  const proxy = await proxyTo(server.port);
  expect(await post(proxy)).toMatch(/^HTTP\/1\.1 503 [\s\S]*reset reason: remote reset$/);
  expect(server.streams).toHaveLength(1);
});

it("everybody who waits for a connection that fails is told", async () => {
  const proxy = await proxyTo(1);
  const answers = await Promise.all(Array.from({ length: 5 }, () => get(proxy)));
  for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(proxy.cluster("backend")).toMatchObject({ pendingRequests: 0, activeRequests: 0, connections: 0 });
});

it("asks an idle server whether it is still there, and keeps the connection when it answers", async () => {
  const server = await serverOf();
  const proxy = await proxyTo(server.port, {
    http2: { maxConcurrentStreams: undefined, keepAlive: { intervalMs: 20, timeoutMs: 60_000 } },
  });
  expect(await get(proxy)).toContain("connection 0");
  const pings = Promise.withResolvers<void>();
  let count = 0;
  server.sessions[0]?.on("ping", () => {
    if (++count === 3) pings.resolve();
  });
  await pings.promise;
  expect(await get(proxy)).toContain("connection 0");
});

it("gives up a connection whose server leaves a PING without answer", async () => {
  const held: Socket[] = [];
  // Settings and their acknowledgement, and then silence.
  const server = createTcpServer((socket) => {
    held.push(socket);
    socket.on("error", () => {});
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]));
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of held) socket.destroy();
    server.close();
  });
  const proxy = await proxyTo((server.address() as AddressInfo).port, {
    http2: { maxConcurrentStreams: undefined, keepAlive: { intervalMs: 20, timeoutMs: 20 } },
  });
  expect(await get(proxy)).toMatch(/^HTTP\/1\.1 503/);
});
