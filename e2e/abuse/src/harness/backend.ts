import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as the application saw it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly host: string;
  /** Names and values in turn, as they came. */
  readonly raw: readonly string[];
  /** The beginning of it, one character a byte. */
  body: string;
  /** Bytes of all of it. */
  bytes: number;
}

/** An application that keeps what it sees. */
export interface Backend {
  readonly port: number;
  readonly seen: Seen[];
  /** Messages that it could not read: what a proxy forwards must never be one. */
  readonly unreadable: string[];
  close(): void;
}

/** A head that our proxy has written. */
const SOUND = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ \S+ HTTP\/1\.1\r\n/;

export async function startBackend(): Promise<Backend> {
  const seen: Seen[] = [];
  const unreadable: string[] = [];
  const server = createServer({ maxHeaderSize: 128 * 1024 }, (request, response) => {
    const entry = seenOf(request);
    seen.push(entry);
    request.setEncoding("latin1");
    request.on("data", (text: string) => {
      entry.bytes += text.length;
      if (entry.body.length < 10_000) entry.body += text;
    });
    request.on("error", () => {});
    const size = Number(/^\/bytes\/(\d+)/.exec(entry.url)?.[1] ?? 0);
    if (entry.url === "/hang") return;
    request.on("end", () =>
      response.end(size > 0 ? Buffer.alloc(size, "x") : `host=${entry.host} path=${entry.url}\n`),
    );
  });
  server.on("clientError", (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket) => {
    const text = error.rawPacket?.toString("latin1") ?? "";
    // A proxy that closes or resets is well within its rights, and so is any token as method, which node does not know.
    const excused =
      error.code === "HPE_INVALID_EOF_STATE" ||
      (error.code === "HPE_INVALID_METHOD" && SOUND.test(text) && text.includes("\r\nx-request-id: "));
    if (error.code?.startsWith("HPE_") === true && !excused) unreadable.push(`${error.message}: ${text}`);
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
  return { method, url, host: headers.host ?? "", raw: rawHeaders, body: "", bytes: 0 };
}

/** Values of one header, as they came. */
export function valuesOf({ raw }: Seen, name: string): readonly string[] {
  return raw.filter((_, index) => index % 2 === 1 && raw[index - 1]?.toLowerCase() === name);
}
