import http from "node:http";
import net from "node:net";

/** What a workload saw of a request. */
export interface Seen {
  readonly pod: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Upstream {
  close(): Promise<void>;
}

/**
 * An application that tells what it saw. `x-want-status` chooses the status of its answer, `x-want-header` a header `name=value`.
 */
export async function startHttp(pod: string, host: string, port: number): Promise<Upstream> {
  const server = http.createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value);
      const seen: Seen = { pod, method: request.method ?? "", path: request.url ?? "", headers, body };
      const [name, value] = (headers["x-want-header"] ?? "").split("=");
      response.writeHead(Number(headers["x-want-status"] ?? 200), {
        "content-type": "application/json",
        ...(name && value !== undefined ? { [name]: value } : {}),
      });
      response.end(request.method === "HEAD" ? undefined : JSON.stringify(seen));
    });
  });
  return listening(server, host, port);
}

/** An application that greets with its name and sends back what it gets, in upper case. */
export function startTcp(pod: string, host: string, port: number): Promise<Upstream> {
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => socket.write(`${pod}:${chunk.toString("utf8").toUpperCase()}`));
  });
  return listening(server, host, port);
}

async function listening(server: http.Server | net.Server, host: string, port: number): Promise<Upstream> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port }, () => resolve());
  await promise;
  return {
    async close() {
      const closed = new Promise((done) => server.close(done));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
