import { createServer, type Server } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterSpec, forwardTo, hostSpec, type Rig, routeSpec, startRig } from "./testing/rig.ts";
import { dialPeer } from "./testing/wire.ts";

const SECOND = "GET /second HTTP/1.1\r\nHost: shop\r\n\r\n";
const framing = fc.constantFrom(
  "Content-Length: 0",
  `Content-Length: ${SECOND.length}`,
  "Content-Length: 5",
  "Content-Length : 5",
  "Content-Length: +5",
  "Content-Length: 5, 5",
  "Content-Length: 05",
  "content-length:\t5",
  "Transfer-Encoding: chunked",
  "transfer-encoding:chunked",
  "Transfer-Encoding : chunked",
  " Transfer-Encoding: chunked",
  "Transfer-Encoding: identity",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding: chunked, identity",
  'Transfer-Encoding: "chunked"',
  "Transfer-Encoding: chunked\x0b",
  "X: y\nTransfer-Encoding: chunked",
  "X: y\rTransfer-Encoding: chunked",
  "Connection: Content-Length",
  "Connection: Transfer-Encoding, Host",
  "Connection: keep-alive",
  "Upgrade: websocket\r\nConnection: Upgrade",
  "Expect: 100-continue",
  "Trailer: Content-Length",
  "TE: chunked",
);
const body = fc.constantFrom(
  "",
  "hello",
  SECOND,
  `0\r\n\r\n${SECOND}`,
  "5\r\nhello\r\n0\r\n\r\n",
  `5\r\nhello\r\n0\r\n\r\n${SECOND}`,
  `5;${"x"}\r\nhello\r\n0\r\nContent-Length: 40\r\n\r\n${SECOND}`,
  `5\nhello\n0\n\n${SECOND}`,
  `${SECOND.length.toString(16)}\r\n${SECOND}\r\n0\r\n\r\n`,
  `0x0\r\n\r\n${SECOND}`,
  `0\r\nX: y\r\n\r\n${SECOND}`,
  `00000000000000000\r\n\r\n${SECOND}`,
);
const message = fc
  .record({
    method: fc.constantFrom("GET", "POST", "PUT"),
    version: fc.constantFrom("1.1", "1.1", "1.1", "1.0"),
    headers: fc.array(framing, { maxLength: 3 }),
    body,
  })
  .map((part) => {
    const headers = part.headers.map((line) => `${line}\r\n`).join("");
    return `${part.method} /first HTTP/${part.version}\r\nHost: shop\r\n${headers}\r\n${part.body}`;
  });

/** Another implementation reads what we forward; it tells each request it understood by its own count. */
let backend: Server;
let proxy: Rig;
let understood: string[] = [];

beforeAll(async () => {
  backend = createServer((request, answer) => {
    const id = `${understood.length}`;
    understood.push(id);
    request.on("error", () => {});
    request.resume();
    request.on("end", () => answer.writeHead(200, { "x-id": id, "content-length": 0 }).end());
  });
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  const address = backend.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  proxy = await startRig({
    hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend"))])],
    clusters: [clusterSpec("backend", [port])],
    spec: { acceptHttp10: true },
  });
});

afterAll(() => {
  proxy.close();
  backend.closeAllConnections();
  backend.close();
});

describe("request smuggling", { timeout: 60_000 }, () => {
  it("client and server agree on the number of requests, whatever their framing", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { minLength: 1, maxLength: 2 }),
        fc.integer({ min: 1, max: 200 }),
        async (parts, cut) => {
          understood = [];
          const peer = await dialPeer(proxy.port);
          const text = parts.join("");
          peer.send(text.slice(0, cut));
          if (cut < text.length) {
            await new Promise((resolve) => setImmediate(resolve));
            peer.send(text.slice(cut));
          }
          peer.socket.end();
          const answers = await peer.untilEnd();
          peer.close();
          const told = [...answers.matchAll(/x-id: (\d+)/g)].map((match) => match[1]);
          // The last request may have been broken off by the client's own fault; none may exist that the client did not send.
          expect(told).toEqual(understood.slice(0, told.length));
          expect(understood.length - told.length).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 300 },
    );
  });
});
