import net from "node:net";
import tls from "node:tls";
import type { Via } from "./http.ts";
import { steadyBody } from "./verdict.ts";

/** How long an answer may take that ends with the connection. */
const OVER_MS = 15_000;

/** What a client that writes bytes got back: the status line, the headers that do not vary, and the rest. */
export interface WireAnswer {
  /** `closed` when the connection ended without an answer, `open` when it stayed open and silent. */
  readonly heads: readonly string[];
  readonly body: string;
}

/** The same workload behind either proxy. */
const SAME = /client-(envoy|own)/;
const VOLATILE = /^(date|x-envoy-upstream-service-time|x-request-id|connection|keep-alive|transfer-encoding)$/;

/** What a client sends, and as whom. */
export interface WireAsk {
  readonly send: string;
  /** What a TLS client presents. */
  readonly certificate?: { readonly certPem: string; readonly keyPem: string };
  /** The connection is over when this came back; default: when the other end closes. */
  readonly until?: string;
}

/** Writes the text and reads until the other end closes. */
export function exchange(via: Via, { send, certificate, until }: WireAsk): Promise<WireAnswer> {
  const { promise, resolve } = Promise.withResolvers<WireAnswer>();
  const at = { host: via.host, port: via.port, ...(via.from === undefined ? {} : { localAddress: via.from }) };
  const socket =
    via.tls === undefined
      ? net.connect(at)
      : tls.connect({
          ...at,
          servername: via.tls.serverName,
          ALPNProtocols: [...via.tls.alpn],
          rejectUnauthorized: false,
          ...(certificate === undefined ? {} : { cert: certificate.certPem, key: certificate.keyPem }),
          ...(via.tls.identity === undefined
            ? {}
            : { cert: via.tls.identity.certChainPem, key: via.tls.identity.privateKeyPem }),
        });
  let got = "";
  let over = false;
  const end = (silent: boolean) => {
    if (over) return;
    over = true;
    clearTimeout(limit);
    socket.destroy();
    resolve(answerOf(got, silent));
  };
  const limit = setTimeout(() => end(true), OVER_MS);
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    got += chunk;
    if (until !== undefined && got.includes(until)) end(false);
  });
  socket.on("end", () => end(false));
  socket.on("close", () => end(false));
  socket.on("error", () => end(false));
  socket.write(send, "latin1");
  return promise;
}

function answerOf(text: string, silent: boolean): WireAnswer {
  if (text === "") return { heads: [silent ? "open" : "closed"], body: "" };
  const heads: string[] = [];
  let chunked = false;
  let rest = text;
  // An interim answer is followed by another.
  for (;;) {
    const end = rest.indexOf("\r\n\r\n");
    if (!rest.startsWith("HTTP/1.") || end < 0) break;
    const [status = "", ...fields] = rest.slice(0, end).split("\r\n");
    chunked = fields.some((line) => /^transfer-encoding: *chunked$/i.test(line));
    const kept = fields.map(field).filter((line) => line !== undefined);
    heads.push([status, ...kept.sort()].join("\n"));
    rest = rest.slice(end + 4);
    if (!/^HTTP\/1\.1 1\d\d/.test(status) || status.includes(" 101 ")) break;
  }
  return {
    heads: silent ? [...heads, "open"] : heads,
    body: steadyBody((chunked && rest !== "" ? dechunked(rest) : rest).replace(SAME, "client")),
  };
}

function field(line: string): string | undefined {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon).toLowerCase();
  return VOLATILE.test(name) ? undefined : `${name}:${line.slice(colon + 1)}`;
}

/** The content of a chunked body; what is not one stays as it is. A body that ends early is told by `…`. */
function dechunked(body: string): string {
  let [rest, content] = [body, ""];
  for (;;) {
    const [line] = /^[0-9a-f]+\r\n/i.exec(rest) ?? [];
    if (line === undefined) return `${content}…${rest}`;
    const size = Number.parseInt(line, 16);
    rest = rest.slice(line.length);
    if (size === 0) return rest === "\r\n" ? content : `${content}\n${rest}`;
    content += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
}
