import { afterEach, describe, expect, it } from "vitest";
import { stage } from "./testing/fixtures.ts";
import { type Peer, response } from "./testing/wire.ts";

const { client, exchange, forwarding, origin } = stage(afterEach);

describe("request bodies", () => {
  it("keep their length", async () => {
    const backend = await origin((peer, message) => peer.send(response("200 OK", message)));
    const proxy = await forwarding(backend);
    const answer = await exchange(proxy.port, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello");
    expect(answer).toContain("Content-Length: 5\r\n");
    expect(answer).toMatch(/\r\n\r\nhello$/);
  });

  it("are chunked anew, with their trailers", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n");
    const upstream = await backend.connection(0);
    await upstream.until((text) => text.includes("\r\n\r\n"));
    expect(upstream.text).toContain("transfer-encoding: chunked\r\n");
    peer.send("3;ext=1\r\nabc\r\n");
    await upstream.until((text) => text.endsWith("3\r\nabc\r\n"));
    peer.send("0\r\nx-sum: 9\r\n\r\n");
    await upstream.until((text) => text.endsWith("0\r\nx-sum: 9\r\n\r\n"));
    upstream.send(response("200 OK", "ok"));
    expect(await peer.message()).toMatch(/ok$/);
  });

  it("with no bytes at all still end", async () => {
    const backend = await origin((peer) => peer.send(response("200 OK", "ok")));
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    for (let i = 0; i < 2; i++) {
      peer.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
      expect(await peer.message()).toMatch(/ok$/);
    }
    expect(backend.connections).toHaveLength(1);
  });

  it("are asked for with 100-continue, which is not passed on", async () => {
    const backend = await origin((peer, message) => peer.send(response("200 OK", message)));
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    await peer.until((text) => text === "HTTP/1.1 100 Continue\r\n\r\n");
    peer.text = "";
    peer.send("hi");
    const answer = await peer.message();
    expect(answer).toMatch(/\r\n\r\nhi$/);
    expect(answer).not.toMatch(/expect/i);
  });

  it("that are broken off end the upstream's request too", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nabc");
    const upstream = await backend.connection(0);
    await upstream.until((text) => text.endsWith("abc"));
    peer.close();
    await upstream.untilEnd();
    expect(upstream.text).toMatch(/abc$/);
  });

  it("that break their coding are refused before the rest arrives upstream", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    const upstream = await backend.connection(0);
    await upstream.until((text) => text.endsWith("2\r\nab\r\n"));
    peer.send("zz\r\n");
    expect(await peer.untilEnd()).toMatch(/^HTTP\/1\.1 400 /);
    expect(await upstream.untilEnd()).toMatch(/2\r\nab\r\n$/);
  });

  it("larger than any buffer arrive whole while both sides are slow by turns", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    const size = 24 * 1024 * 1024;
    peer.send(`POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: ${size}\r\n\r\n`);
    const chunk = Buffer.alloc(size, "0123456789abcdef");
    peer.socket.write(chunk);
    const upstream = await backend.connection(0);
    upstream.socket.removeAllListeners("data");
    upstream.socket.pause();
    let received = 0;
    let sum = 0;
    // The reader stands still until the proxy has stopped taking bytes from the writer.
    await stopped(peer);
    expect(peer.socket.writableLength).toBeGreaterThan(0);
    await new Promise<void>((resolve) => {
      upstream.socket.on("data", (bytes: Buffer) => {
        received += bytes.length;
        sum += bytes[bytes.length - 1] ?? 0;
        if (received >= size) resolve();
      });
      upstream.socket.resume();
    });
    expect(received).toBeGreaterThanOrEqual(size);
    expect(sum).toBeGreaterThan(0);
    upstream.send(response("200 OK", "got it"));
    expect(await peer.message()).toMatch(/got it$/);
  });
});

describe("response bodies", () => {
  it("arrive byte for byte at a slow reader", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    const size = 24 * 1024 * 1024;
    const body = Buffer.alloc(size);
    for (let i = 0; i < size; i += 4) body.writeUInt32LE(i, i);
    peer.socket.removeAllListeners("data");
    peer.socket.pause();
    peer.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    const upstream = await backend.connection(0);
    await upstream.message();
    upstream.send(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
    upstream.socket.write(body);
    await stopped(upstream);
    const chunks: Buffer[] = [];
    let received = 0;
    await new Promise<void>((resolve) => {
      peer.socket.on("data", (bytes: Buffer) => {
        chunks.push(bytes);
        received += bytes.length;
        if (received > size) resolve();
      });
      peer.socket.resume();
    });
    const whole = Buffer.concat(chunks);
    expect(whole.subarray(whole.indexOf("\r\n\r\n") + 4).equals(body)).toBe(true);
  });

  it("stop the upstream when the client goes away", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    const upstream = await backend.connection(0);
    await upstream.message();
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    await peer.until((text) => text.endsWith("half"));
    peer.close();
    // A FIN alone could be a client that has only finished sending; the next write tells.
    while (!upstream.ended && !upstream.closed) {
      upstream.send("x");
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(proxy.manager.activeExchanges).toBe(0);
  });

  it("cut short by the upstream break the client's connection", async () => {
    const backend = await origin((peer) => {
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
      peer.socket.end();
    });
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(await peer.untilEnd()).toMatch(/content-length: 100\r\n[\s\S]*half$/);
  });

  it("that come before the request is complete end both connections", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\nabc");
    const upstream = await backend.connection(0);
    await upstream.until((text) => text.endsWith("abc"));
    upstream.send(response("413 Content Too Large", "too much"));
    const text = await peer.untilEnd();
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(text).toContain("connection: close\r\n");
    expect(text).toMatch(/too much$/);
    await upstream.untilEnd();
  });
});

/** Resolves once the proxy takes no more bytes from this writer. */
async function stopped(writer: Peer): Promise<void> {
  let before = -1;
  while (writer.socket.writableLength === 0 || writer.socket.writableLength !== before) {
    before = writer.socket.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
