import http from "node:http";
import http2 from "node:http2";
import type net from "node:net";

/** What an upstream does with a request: a verb and its numbers, in `x-do`. Without one it answers at once. */
type Act = (times: number, attempt: number) => Fate;

type Fate =
  | { readonly kind: "answer"; readonly status: number; readonly headers?: Headers; readonly trailers?: Headers }
  /** The connection (HTTP/1) or stream (HTTP/2, with this code) is reset before an answer. */
  | { readonly kind: "reset"; readonly code: number }
  /** A part of an answer, and then the same. */
  | { readonly kind: "cut" }
  | { readonly kind: "silence" };
type Headers = Readonly<Record<string, string>>;

const OK: Fate = { kind: "answer", status: 200 };
const failing =
  (fate: Fate): Act =>
  (times, attempt) =>
    attempt <= times ? fate : OK;
const grpc = (trailers: Headers): Fate => ({
  kind: "answer",
  status: 200,
  headers: { "content-type": "application/grpc" },
  trailers,
});

/** `x-do: VERB[=NUMBER]`; failures come in the first so many attempts of a request. */
const ACTS: Readonly<Record<string, Act>> = {
  "500": failing({ kind: "answer", status: 500 }),
  "502": failing({ kind: "answer", status: 502 }),
  "504": failing({ kind: "answer", status: 504 }),
  "404": failing({ kind: "answer", status: 404 }),
  "503": failing({ kind: "answer", status: 503 }),
  "409": failing({ kind: "answer", status: 409 }),
  "429": failing({ kind: "answer", status: 429, headers: { "x-envoy-ratelimited": "true" } }),
  "503-retriable": failing({ kind: "answer", status: 503, headers: { "x-again": "yes" } }),
  reset: failing({ kind: "reset", code: http2.constants.NGHTTP2_INTERNAL_ERROR }),
  refuse: failing({ kind: "reset", code: http2.constants.NGHTTP2_REFUSED_STREAM }),
  cut: failing({ kind: "cut" }),
  silence: failing({ kind: "silence" }),
  trailers: () => ({ ...OK, trailers: { "x-sum": "13" } }) as Fate,
  grpc: (status) => grpc({ "grpc-status": String(status), "grpc-message": "said" }),
  "grpc-fail": (times, attempt) => grpc({ "grpc-status": attempt <= times ? "14" : "0" }),
  "grpc-only": (status) => ({
    kind: "answer",
    status: 200,
    headers: { "content-type": "application/grpc", "grpc-status": String(status) },
  }),
  "grpc-only-fail": (times, attempt) => ({
    kind: "answer",
    status: 200,
    headers: { "content-type": "application/grpc", "grpc-status": attempt <= times ? "14" : "0" },
  }),
};

/** An application that does to each request what the request tells; attempts are counted by `x-key`. */
export interface Scripted {
  /** Attempts by key, over all endpoints. */
  readonly attempts: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

interface Told {
  readonly method: string;
  readonly path: string;
  readonly version: string;
  readonly headers: Headers;
  readonly body: string;
  readonly trailers: Headers;
}

/** Endpoints on ports of 127.0.0.1, of HTTP/1 and of cleartext HTTP/2. */
export async function startScripted(ports: { readonly http1: readonly number[]; readonly http2: readonly number[] }) {
  const attempts = new Map<string, number>();
  const fateOf = (headers: http.IncomingHttpHeaders): Fate => {
    const key = String(headers["x-key"] ?? "");
    const attempt = (attempts.get(key) ?? 0) + 1;
    attempts.set(key, attempt);
    const [verb = "", count = "1"] = String(headers["x-do"] ?? "").split("=");
    return (ACTS[verb] ?? (() => OK))(Number(count), attempt);
  };
  const servers: (http.Server | http2.Http2Server)[] = [];
  const sockets = new Set<net.Socket>();
  const start = async (server: http.Server | http2.Http2Server, port: number) => {
    server.on("connection", (socket: net.Socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => sockets.delete(socket));
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
    await promise;
    servers.push(server);
  };
  for (const port of ports.http1) await start(http1Server(port, fateOf), port);
  for (const port of ports.http2) await start(http2Server(port, fateOf), port);
  const close = async () => {
    const closed = servers.map((server) => new Promise((done) => server.close(done)));
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
  };
  return { attempts, close };
}

const textOf = (port: number, told: Told) => JSON.stringify({ pod: `at-${port}`, ...told });

function http1Server(port: number, fateOf: (headers: http.IncomingHttpHeaders) => Fate): http.Server {
  const server = http.createServer((request, response) => {
    const fate = fateOf(request.headers);
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString("latin1");
    });
    request.on("error", () => {});
    request.on("end", () => {
      const told = textOf(port, {
        method: request.method ?? "",
        path: request.url ?? "",
        version: request.httpVersion,
        headers: texts(request.headers),
        body,
        trailers: texts(request.trailers),
      });
      switch (fate.kind) {
        case "silence":
          return;
        case "reset":
          return void request.socket.resetAndDestroy();
        case "cut":
          response.writeHead(200, { "content-length": "1000" });
          return void response.write("a part", () => request.socket.destroy());
        case "answer":
          response.writeHead(fate.status, { "content-type": "application/json", ...fate.headers });
          if (fate.trailers !== undefined) {
            response.write(told);
            response.addTrailers(fate.trailers);
            return void response.end();
          }
          return void response.end(told);
      }
    });
  });
  server.on("upgrade", (request: http.IncomingMessage, socket: net.Socket) => {
    socket.on("error", () => {});
    const wanted = String(request.headers["x-do"] ?? "");
    if (wanted === "refuse-upgrade") {
      socket.end("HTTP/1.1 400 Bad Request\r\nx-why: no\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
      return;
    }
    if (wanted === "ignore-upgrade") {
      socket.end("HTTP/1.1 200 OK\r\nx-why: plain\r\ncontent-length: 5\r\nconnection: close\r\n\r\nplain");
      return;
    }
    const name = request.headers.upgrade;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: ${name}\r\nconnection: upgrade\r\nx-up: yes\r\n\r\n`);
    socket.on("data", (chunk: Buffer) => socket.write(`${chunk.toString("latin1").toUpperCase()}`));
    socket.on("end", () => socket.end());
  });
  return server;
}

function http2Server(port: number, fateOf: (headers: http.IncomingHttpHeaders) => Fate): http2.Http2Server {
  const server = http2.createServer();
  server.on("stream", (stream, { ":method": method = "", ":path": path = "", ...headers }) => {
    const fate = fateOf(headers);
    let body = "";
    let trailers: Headers = {};
    stream.on("error", () => {});
    stream.on("data", (chunk: Buffer) => {
      body += chunk.toString("latin1");
    });
    stream.on("trailers", (found) => {
      trailers = texts(found);
    });
    stream.on("end", () => {
      const told = textOf(port, {
        method,
        path,
        version: "2",
        headers: texts(headers),
        body,
        trailers,
      });
      switch (fate.kind) {
        case "silence":
          return;
        case "reset":
          return void stream.close(fate.code);
        case "cut":
          stream.respond({ ":status": 200 });
          return void stream.write("a part", () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
        case "answer": {
          const bodiless = fate.headers?.["grpc-status"] !== undefined;
          const head = { ":status": fate.status, "content-type": "application/json", ...fate.headers };
          if (bodiless) return void stream.respond(head, { endStream: true });
          stream.respond(head, { waitForTrailers: fate.trailers !== undefined });
          if (fate.trailers !== undefined) stream.once("wantTrailers", () => stream.sendTrailers({ ...fate.trailers }));
          return void stream.end(told);
        }
      }
    });
  });
  return server;
}

/** Header values as texts; pseudo-headers and what carries a connection's framing are left out. */
export function texts(headers: http.IncomingHttpHeaders | NodeJS.Dict<string>): Headers {
  return Object.fromEntries(
    Object.entries(headers)
      .map(([name, value]) => [name, String(value)])
      .sort(([a = ""], [b = ""]) => (a < b ? -1 : 1)),
  );
}
