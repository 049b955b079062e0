import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
  type ClientHttp2Session,
  connect,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterSpec, HttpConnectionManagerSpec } from "../config/plan.ts";
import { clusterSpec, forwardTo, hostSpec, type Rig, routeSpec, startRig } from "../router/testing/rig.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function http1Backend(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function http2Backend(
  handler: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): Promise<number> {
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    handler(stream, headers);
  });
  server.on("session", (session) => cleanups.push(() => session.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function proxyTo(
  port: number,
  cluster: Partial<ClusterSpec> = {},
  spec: Partial<HttpConnectionManagerSpec> = {},
): Promise<Rig> {
  const rig = await startRig({
    spec,
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
    clusters: [clusterSpec("backend", [port], cluster)],
  });
  cleanups.push(() => rig.close());
  return rig;
}

function client(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  cleanups.push(() => session.destroy());
  return session;
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders;
}

function ask(session: ClientHttp2Session, headers: Record<string, string>, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": "/", ...headers }, { endStream: body === undefined });
    let answer: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on("response", (received) => {
      answer = received;
    });
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("end", () => resolve({ headers: answer, body: Buffer.concat(chunks), trailers }));
    if (body !== undefined) stream.end(body);
  });
}

describe.each(["http1", "http2"] as const)("node's HTTP/2 client to an %s server", (protocol) => {
  /** A server that answers with what it was asked, whichever protocol it speaks. */
  async function echo(): Promise<number> {
    const describeRequest = (headers: IncomingHttpHeaders, method: string, path: string, body: Buffer) =>
      JSON.stringify({ method, path, headers, length: body.length, sum: body.reduce((sum, byte) => sum + byte, 0) });
    if (protocol === "http1") {
      return http1Backend((request, response) => {
        const chunks: Buffer[] = [];
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => {
          response.setHeader("x-served-by", "http1");
          response.end(
            describeRequest(request.headers, request.method ?? "", request.url ?? "", Buffer.concat(chunks)),
          );
        });
      });
    }
    return http2Backend((stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        stream.respond({ ":status": 200, "x-served-by": "http2" });
        stream.end(
          describeRequest(headers, String(headers[":method"]), String(headers[":path"]), Buffer.concat(chunks)),
        );
      });
    });
  }

  it("carries head and body both ways", async () => {
    const proxy = await proxyTo(await echo(), { protocol });
    const session = client(proxy.port);
    const body = Buffer.alloc(300_000, 7);
    const answer = await ask(
      session,
      { ":method": "POST", ":path": "/a?b=c", "x-one": "1", cookie: "a=b", "content-type": "text/plain" },
      body,
    );
    expect(answer.headers[":status"]).toBe(200);
    expect(answer.headers["x-served-by"]).toBe(protocol);
    const seen = JSON.parse(answer.body.toString()) as {
      headers: IncomingHttpHeaders;
      path: string;
      length: number;
      sum: number;
    };
    expect(seen).toMatchObject({ method: "POST", path: "/a?b=c", length: 300_000, sum: 2_100_000 });
    expect(seen.headers["x-one"]).toBe("1");
    expect(seen.headers.cookie).toBe("a=b");
    expect(seen.headers["x-forwarded-proto"]).toBe("http");
    expect(protocol === "http1" ? seen.headers.host : seen.headers[":authority"]).toBe(`127.0.0.1:${proxy.port}`);
  });

  it("takes methods that HTTP/1 clients may not have, and no query without a type", async () => {
    const session = client((await proxyTo(await echo(), { protocol })).port);
    const answer = await ask(session, { ":method": "M-SEARCH" });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ method: "M-SEARCH" });
    const refused = await ask(session, { ":method": "QUERY" }, Buffer.from("select"));
    expect(refused.headers[":status"]).toBe(400);
  });

  it("carries many requests at a time over one connection", async () => {
    const proxy = await proxyTo(await echo(), { protocol });
    const session = client(proxy.port);
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => ask(session, { ":path": `/${i}` }, Buffer.from(`${i}`))),
    );
    const paths = answers.map(({ body }) => (JSON.parse(body.toString()) as { path: string }).path);
    expect(paths).toEqual(Array.from({ length: 60 }, (_, i) => `/${i}`));
  });

  it("answers HEAD without a body", async () => {
    const proxy = await proxyTo(await echo(), { protocol });
    const answer = await ask(client(proxy.port), { ":method": "HEAD" });
    expect([answer.headers[":status"], answer.body.length]).toEqual([200, 0]);
  });

  it("carries a large response to a slow reader whole", async () => {
    const size = 12 * 1024 * 1024;
    const body = Buffer.alloc(size, "0123456789abcdef");
    const port =
      protocol === "http1"
        ? await http1Backend((_, response) => response.end(body))
        : await http2Backend((stream) => {
            stream.respond({ ":status": 200 });
            stream.end(body);
          });
    const proxy = await proxyTo(port, { protocol });
    const session = client(proxy.port);
    const stream = session.request({ ":path": "/" });
    const chunks: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      stream.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (chunks.length % 64 !== 0) return;
        stream.pause();
        setTimeout(() => stream.resume(), 2);
      });
      stream.on("error", reject);
      stream.on("end", resolve);
    });
    expect(Buffer.concat(chunks).equals(body)).toBe(true);
  });
});
