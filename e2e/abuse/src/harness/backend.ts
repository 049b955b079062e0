import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as the application saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly host: string;
  /** Names and values in turn, as they came. */
  readonly raw: readonly string[];
  body: string;
}

/** An application that keeps what it sees. */
export interface Backend {
  readonly port: number;
  readonly seen: Seen[];
  /** Messages that it could not read: what a proxy forwards must never be one. */
  readonly unreadable: string[];
  close(): void;
}

export async function startBackend(): Promise<Backend> {
  const seen: Seen[] = [];
  const unreadable: string[] = [];
  const server = createServer((request, response) => {
    const entry = seenOf(request);
    seen.push(entry);
    request.setEncoding("latin1");
    request.on("data", (text: string) => {
      if (entry.body.length < 10_000) entry.body += text;
    });
    request.on("error", () => {});
    const size = Number(/^\/bytes\/(\d+)/.exec(entry.url)?.[1] ?? 0);
    request.on("end", () =>
      response.end(size > 0 ? Buffer.alloc(size, "x") : `host=${entry.host} path=${entry.url}\n`),
    );
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // A proxy that closes or resets is well within its rights.
    if (error.code?.startsWith("HPE_") === true && error.code !== "HPE_INVALID_EOF_STATE")
      unreadable.push(error.message);
    socket.destroy();
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    unreadable,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function seenOf({ method = "", url = "", headers, rawHeaders }: IncomingMessage): Seen {
  return { method, url, host: headers.host ?? "", raw: rawHeaders, body: "" };
}

/** Values of one header, as they came. */
export function valuesOf({ raw }: Seen, name: string): readonly string[] {
  return raw.filter((_, index) => index % 2 === 1 && raw[index - 1]?.toLowerCase() === name);
}
