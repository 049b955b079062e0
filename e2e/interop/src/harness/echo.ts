import type { EventEmitter } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import http2, { type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import net, { type Socket } from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { edgeCa } from "./certificates.ts";
import type { Seen, Upstream } from "./upstream.ts";

const HTTP1 = /^[A-Z]+ \S+ HTTP\/1/;
const HTTP2 = "PRI * HTTP/2.0";
const HANDSHAKE = 0x16;

/** Port at which the server speaks first. */
const GREETS = 3306;
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n";
const REFUSED = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/**
 * An application that understands whatever it is spoken to: it tells what it saw of a request in either version of HTTP, also within TLS,
 * and sends other bytes back in upper case behind its name.
 */
export async function startEcho(name: string, host: string, port: number): Promise<Upstream> {
  const answer = answering(name);
  const web = http.createServer(answer);
  // Who keeps a connection never finds it closed just as a request goes out that nobody may repeat.
  web.keepAliveTimeout = 0;
  web.on("upgrade", (request, socket) => {
    const refused = request.headers["x-refuse"] !== undefined;
    socket.on("error", () => {});
    socket.write(refused ? REFUSED : `${SWITCHED}x-pod: ${name}\r\nupgrade: ${request.headers.upgrade}\r\n\r\n`);
    if (refused) return void socket.end();
    socket.on("end", () => socket.end());
    socket.resume();
  });
  const web2 = http2.createServer(answer);
  const { certPem, keyPem } = certificate();
  const secure = tls.createServer({ cert: certPem, key: keyPem, ALPNProtocols: ["http/1.1"] }, (socket) =>
    serve(socket),
  );
  const serve = (socket: Socket): void => {
    socket.on("error", () => {});
    if (port === GREETS) socket.write(`${name} is ready\n`);
    socket.once("data", (first) => {
      socket.pause();
      const text = first.toString("latin1");
      if (first[0] === HANDSHAKE) handOver(secure, socket, first, true);
      else if (text.startsWith(HTTP2)) handOver(web2, socket, first, true);
      else if (HTTP1.test(text)) handOver(web, socket, first);
      else shout(name, socket, first);
    });
  };
  secure.on("tlsClientError", () => {});
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    serve(socket);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  // A gateway may listen at this port of every address.
  server.listen({ host, port, reusePort: true }, () => resolve());
  await promise;
  return {
    async close() {
      const closed = new Promise((done) => server.close(done));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

let issued: ReturnType<typeof edgeCa.issue> | undefined;
function certificate(): ReturnType<typeof edgeCa.issue> {
  issued ??= edgeCa.issue({ dns: ["secure.example", "*.example", "*.example.com", "*.default.svc.cluster.local"] });
  return issued;
}

/** @param wrapped for a server that reads from the socket's handle, where what came first is not any more */
function handOver(server: EventEmitter, socket: Socket, first: Buffer, wrapped = false): void {
  socket.unshift(first);
  server.emit("connection", wrapped ? Duplex.from({ readable: socket, writable: socket }) : socket);
  if (!wrapped) socket.resume();
}

function shout(name: string, socket: Socket, first: Buffer): void {
  const back = (chunk: Buffer) => socket.write(`${name}:${chunk.toString("utf8").toUpperCase()}`);
  back(first);
  socket.on("data", back);
  socket.on("end", () => socket.end());
  socket.resume();
}

type Request = IncomingMessage | Http2ServerRequest;
type Response = (ServerResponse | Http2ServerResponse) & NodeJS.WritableStream;

function answering(pod: string): (request: Request, response: ServerResponse | Http2ServerResponse) => void {
  return (request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(request.headers)) {
        if (!name.startsWith(":")) headers[name] = String(value);
      }
      const authority = request.headers[":authority"];
      if (authority !== undefined) headers.host = String(authority);
      const seen: Seen & { readonly version: string } = {
        pod,
        method: request.method ?? "",
        path: request.url ?? "",
        headers,
        body,
        version: request.httpVersion,
      };
      response.statusCode = 200;
      response.setHeader("content-type", "application/json");
      (response as Response).end(request.method === "HEAD" ? "" : JSON.stringify(seen));
    });
  };
}
