import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** A server on a free port of 127.0.0.1. */
export interface Backend {
  readonly port: number;
  close(): Promise<void>;
}

/** Binds a server and forgets its connections when it is closed. */
export async function listen(server: Server): Promise<Backend> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = async () => {
    const closed = new Promise((done) => server.close(done));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return { port: (server.address() as AddressInfo).port, close };
}

/**
 * The page of `/socket`: it opens a WebSocket to where it came from and shows what came back. A browser takes a page for loaded when all its
 * images are; this one's comes when the result is shown.
 */
const PAGE = `<!doctype html><title>waiting</title><p id="result">waiting</p><script>
const socket = new WebSocket("ws://" + location.host + "/echo");
socket.onopen = () => socket.send("from a browser");
const show = (text) => { document.getElementById("result").textContent = text; fetch("/shown"); };
socket.onmessage = ({ data }) => show("came back: " + data);
socket.onerror = () => show("failed");
</script><img src="/until-shown">`;

/**
 * An application that sends bodies back (`/back`), answers without a body (`/nothing`: 204), with trailers (`/trailers`), with so many bytes
 * (`/bytes/N`), serves a page with a WebSocket (`/socket`), and echoes WebSocket messages.
 */
export function startApplication(): Promise<Backend> {
  const waiting: ServerResponse[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    if (path === "/until-shown") return void waiting.push(response);
    if (path === "/shown") for (const one of waiting.splice(0)) one.writeHead(204).end();
    if (path === "/shown" || path === "/nothing") return void response.writeHead(204).end();
    if (path === "/socket") return void response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    if (path.startsWith("/bytes/")) return void response.end(Buffer.alloc(Number(path.slice(7)), "x"));
    if (path === "/trailers") {
      response.writeHead(200, { trailer: "x-sum" });
      response.write("with trailers");
      response.addTrailers({ "x-sum": "13" });
      return void response.end();
    }
    response.writeHead(200, { "x-method": request.method, "x-version": request.httpVersion });
    request.pipe(response);
  });
  server.on("upgrade", echoMessages);
  return listen(server);
}

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** RFC 6455 as far as short text messages need it. */
function echoMessages(request: IncomingMessage, socket: Socket): void {
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${GUID}`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  );
  socket.on("data", (frame: Buffer) => {
    if ((frame.readUInt8(0) & 0x0f) !== 1) return void socket.end();
    const length = frame.readUInt8(1) & 0x7f;
    const mask = frame.subarray(2, 6);
    const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
    socket.write(Buffer.concat([Buffer.from([0x81, length]), text]));
  });
}

/** What happened to orders: how often each was committed. */
export interface Commits {
  readonly backend: Backend;
  readonly counts: ReadonlyMap<string, number>;
}

/**
 * An application that commits every POST that it has read whole, and whose connections break: before an answer, within one, after one, or at
 * once, by turns of chance.
 * @param chance in [0,1)
 */
export async function startCommits(chance: () => number): Promise<Commits> {
  const counts = new Map<string, number>();
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    request.resume();
    request.on("end", () => {
      const id = String(request.headers["x-order"]);
      counts.set(id, (counts.get(id) ?? 0) + 1);
      const fate = chance();
      if (fate < 0.03) return void request.socket.resetAndDestroy();
      if (fate < 0.06) {
        response.writeHead(200, { "content-length": "100" });
        return void response.write("a part", () => request.socket.resetAndDestroy());
      }
      response.end("committed", () => {
        if (fate < 0.12) request.socket.resetAndDestroy();
        else if (fate < 0.16) request.socket.end();
      });
    });
  });
  server.on("connection", (socket: Socket) => {
    if (chance() < 0.1) socket.resetAndDestroy();
  });
  return { backend: await listen(server), counts };
}
