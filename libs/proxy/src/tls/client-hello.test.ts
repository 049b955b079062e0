import { createServer } from "node:net";
import { type ConnectionOptions, connect } from "node:tls";
import { describe, expect, it } from "vitest";
import { parseClientHello } from "./client-hello.ts";

/** The first bytes a real TLS client sends. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const bytes = Promise.withResolvers<Buffer>();
  const server = createServer((socket) => {
    socket.once("data", (data) => {
      bytes.resolve(data);
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const client = connect({ host: "127.0.0.1", port, ...options });
  client.on("error", () => {});
  const hello = await bytes.promise;
  client.destroy();
  server.close();
  return hello;
}

/** The same handshake in records of `size` bytes. */
function resplit(hello: Buffer, size: number): Buffer {
  const handshake = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < handshake.length; at += size) {
    const part = handshake.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

describe("parseClientHello", () => {
  it("reads SNI in lower case and ALPN in order", async () => {
    const hello = await helloOf({ servername: "Shop.Example", ALPNProtocols: ["istio-http/1.1", "istio", "http/1.1"] });
    expect(parseClientHello(hello)).toEqual({
      serverName: "shop.example",
      alpn: ["istio-http/1.1", "istio", "http/1.1"],
    });
  });

  it("reads a client that says neither, and TLS 1.2", async () => {
    const hello = await helloOf({ maxVersion: "TLSv1.2" });
    expect(parseClientHello(hello)).toEqual({ serverName: "", alpn: [] });
  });

  it("waits for every byte but the last, whatever the records", async () => {
    const whole = await helloOf({ servername: "a.example", ALPNProtocols: ["h2"] });
    for (const bytes of [whole, resplit(whole, 100), resplit(whole, 1)]) {
      for (let length = 0; length < bytes.length; length += bytes.length > 2000 ? 37 : 1) {
        expect(parseClientHello(bytes.subarray(0, length))).toBe("incomplete");
      }
      expect(parseClientHello(bytes)).toEqual({ serverName: "a.example", alpn: ["h2"] });
    }
  });

  it.each([
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["SSLv2-like", Buffer.from([0x80, 0x2e, 1, 0, 2])],
    ["another TLS major version", Buffer.from([22, 4, 0])],
    ["an empty record", Buffer.from([22, 3, 1, 0, 0])],
    ["a record larger than any ClientHello", Buffer.from([22, 3, 1, 0xff, 0xff, 1])],
    ["a handshake that starts with something else", Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
    ["a ClientHello without content", Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0])],
    ["a ClientHello that claims to be huge", Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0, 0])],
  ])("takes %s for no TLS", (_name, bytes) => {
    expect(parseClientHello(bytes)).toBe("not-tls");
  });

  it("takes extensions that overrun for no TLS", async () => {
    const hello = Buffer.from(await helloOf({ servername: "a.example" }));
    const at = hello.indexOf("a.example");
    hello[at - 1] = 200;
    expect(parseClientHello(hello)).toBe("not-tls");
  });

  it("costs little for a client that sends records of one byte, byte by byte", async () => {
    const hello = resplit(await helloOf({ servername: `${"a".repeat(60)}.example` }), 1);
    const start = performance.now();
    for (let end = 1; end < hello.length; end++) expect(parseClientHello(hello.subarray(0, end))).toBe("incomplete");
    expect(parseClientHello(hello)).toMatchObject({ serverName: `${"a".repeat(60)}.example` });
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
