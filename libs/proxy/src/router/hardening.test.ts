import { manualClock } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import { stage } from "./testing/fixtures.ts";
import { type Peer, response } from "./testing/wire.ts";

const { client, exchange, forwarding, origin } = stage(afterEach);

const ok = (peer: Peer): void => peer.send(response("200 OK", "ok"));
const post = (headers: string, body: string): string => `POST / HTTP/1.1\r\nHost: shop\r\n${headers}\r\n\r\n${body}`;
const get = (...headers: readonly string[]): string =>
  `GET / HTTP/1.1\r\n${headers.map((h) => `${h}\r\n`).join("")}\r\n`;

/** Every message here is refused with this status, its connection is closed, and nothing reaches the upstream. */
const REFUSED: readonly (readonly [name: string, status: number, request: string])[] = [
  ["two Host headers", 400, get("Host: a", "Host: b")],
  ["two equal Host headers", 400, get("Host: a", "Host: a")],
  ["no Host", 400, get("X: y")],
  ["an empty Host", 400, get("Host:")],
  ["a Host with a path", 400, get("Host: a/b")],
  ["a Host with userinfo", 400, get("Host: user@a")],
  ["a Host with white space", 400, get("Host: a b")],
  ["a Host with two ports", 400, get("Host: a:1:2")],
  ["a port that is no number", 400, get("Host: a:8x")],
  ["length and chunked", 400, post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n")],
  ["chunked and length", 400, post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n")],
  ["chunked twice", 400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n")],
  ["chunked, chunked", 400, post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n")],
  ["identity and chunked", 400, post("Transfer-Encoding: identity, chunked", "0\r\n\r\n")],
  ["an unknown coding", 400, post("Transfer-Encoding: gzip", "")],
  ["a coding behind a vertical tab", 400, post("Transfer-Encoding: \x0bchunked", "0\r\n\r\n")],
  ["an empty coding", 400, post("Transfer-Encoding:", "0\r\n\r\n")],
  ["chunked in HTTP/1.0", 400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["two lengths", 400, post("Content-Length: 1\r\nContent-Length: 2", "a")],
  ["two equal lengths", 400, post("Content-Length: 1\r\nContent-Length: 1", "a")],
  ["a list of lengths", 400, post("Content-Length: 1, 1", "a")],
  ["a signed length", 400, post("Content-Length: +1", "a")],
  ["a negative length", 400, post("Content-Length: -1", "a")],
  ["a hexadecimal length", 400, post("Content-Length: 0x1", "a")],
  ["a length with a space inside", 400, post("Content-Length: 1 1", "a")],
  ["an empty length", 400, post("Content-Length:", "a")],
  ["a length beyond all sense", 400, post("Content-Length: 99999999999999999999", "a")],
  ["a bare LF between headers", 400, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"],
  ["a bare LF after the request line", 400, "GET / HTTP/1.1\nHost: a\r\n\r\n"],
  ["a bare LF as the empty line", 400, "GET / HTTP/1.1\r\nHost: a\r\n\n"],
  ["a bare CR in a value", 400, get("Host: a", "X: a\rb")],
  ["a NUL in a value", 400, get("Host: a", "X: a\0b")],
  ["a NUL in a name", 400, get("Host: a", "X\0: b")],
  ["a NUL in the target", 400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a control character in a value", 400, get("Host: a", "X: \x01")],
  ["a folded line", 400, get("Host: a", "X: a\r\n b")],
  ["a line that starts with a tab", 400, get("Host: a", "X: a\r\n\tb: c")],
  ["white space before the colon", 400, get("Host: a", "X : y")],
  ["white space before Content-Length's colon", 400, post("Content-Length : 1", "a")],
  ["white space before the first header", 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"],
  ["a header without a colon", 400, get("Host: a", "nonsense")],
  ["a header without a name", 400, get("Host: a", ": y")],
  ["a name that is no token", 400, get("Host: a", "X(y): z")],
  ["a fragment", 400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a fragment in an absolute target", 400, "GET http://a/b#c HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["userinfo in an absolute target", 400, "GET http://user:pw@a/ HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["an absolute target without a host", 400, "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["another scheme", 400, "GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a target that is no path", 400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["an asterisk for GET", 400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["white space in the target", 400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["two spaces before the target", 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a tab before the target", 400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a byte above ASCII in the target", 400, "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a method that is no token", 400, "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n"],
  ["a version of one digit", 400, "GET / HTTP/1\r\nHost: a\r\n\r\n"],
  ["HTTP/0.9", 400, "GET /\r\n"],
  ["HTTP/2.0", 400, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"],
  ["HTTP/1.2", 400, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"],
  ["a version in lower case", 400, "GET / http/1.1\r\nHost: a\r\n\r\n"],
  ["TLS on a plain port", 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
  ["101 headers", 431, get("Host: a", ...Array.from({ length: 100 }, (_, i) => `x-${i}: y`))],
  ["a header of 100 KB", 431, get("Host: a", `X: ${"y".repeat(100_000)}`)],
  ["a target of 100 KB", 431, `GET /${"y".repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
  ["a name of 100 KB", 431, get("Host: a", `${"y".repeat(100_000)}: z`)],
];

describe("malformed heads", () => {
  it.each(REFUSED)("%s: %i, nothing forwarded", async (_, status, request) => {
    const backend = await origin(ok);
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send(request);
    const answer = await peer.untilEnd();
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain("connection: close\r\n");
    expect(answer.split("HTTP/1.1 ")).toHaveLength(2);
    expect(backend.connections).toHaveLength(0);
  });

  it.each(REFUSED.filter(([name]) => !name.includes("100 KB")))("%s, byte by byte", async (_, status, request) => {
    const backend = await origin(ok);
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.socket.setNoDelay(true);
    for (const byte of request.slice(0, 400)) {
      if (peer.ended) break;
      peer.send(byte);
      if (byte === "\n") await new Promise((resolve) => setImmediate(resolve));
    }
    peer.send(request.slice(400));
    expect(await peer.untilEnd()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(backend.connections).toHaveLength(0);
  });

  it("refuse an encoded NUL in the path", async () => {
    const backend = await origin(ok);
    const proxy = await forwarding(backend);
    expect(await exchange(proxy.port, "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    expect(backend.connections).toHaveLength(0);
  });

  it("end the connection: what is smuggled behind them is never read", async () => {
    const backend = await origin(ok);
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send(`${get("Host: a", "Host: b")}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect((await peer.untilEnd()).split("HTTP/1.1 ")).toHaveLength(2);
    expect(backend.connections).toHaveLength(0);
  });
});

/** Broken chunked bodies; the head was fine, so the request may have begun, but its end never reaches the upstream. */
const BROKEN_BODIES: readonly (readonly [name: string, body: string])[] = [
  ["a size that is no number", "z\r\n"],
  ["an empty size", "\r\n"],
  ["a negative size", "-1\r\n"],
  ["a size with 0x", "0x3\r\nabc\r\n"],
  ["a size beyond all sense", "fffffffffffffff\r\n"],
  ["white space before the size", " 3\r\nabc\r\n0\r\n\r\n"],
  ["white space after the size", "3 \r\nabc\r\n0\r\n\r\n"],
  ["a bare LF after the size", "3\nabc\r\n0\r\n\r\n"],
  ["a bare LF in an extension", "3;a\nabc\r\n0\r\n\r\n"],
  ["a bare CR after the size", "3\rabc\r\n0\r\n\r\n"],
  ["data longer than its size", "3\r\nabcd\r\n0\r\n\r\n"],
  ["a bare LF after the data", "3\r\nabc\n0\r\n\r\n"],
  ["an endless extension", `3;${"x".repeat(5000)}\r\nabc\r\n0\r\n\r\n`],
  ["a trailer that frames", "0\r\nContent-Length: 5\r\n\r\n"],
  ["a trailer that routes", "0\r\nHost: evil\r\n\r\n"],
  ["a trailer without a colon", "0\r\nnonsense\r\n\r\n"],
  ["a folded trailer", "0\r\nx: y\r\n z\r\n\r\n"],
  ["endless trailers", `0\r\n${"x: y\r\n".repeat(5000)}\r\n`],
  ["a NUL in a trailer", "0\r\nx: \0\r\n\r\n"],
];

describe("malformed bodies", () => {
  it.each(BROKEN_BODIES)("%s: 400 and closed", async (_, body) => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send(post("Transfer-Encoding: chunked", body));
    expect(await peer.untilEnd()).toMatch(/^HTTP\/1\.1 400 /);
    for (const upstream of backend.connections) expect(upstream.text).not.toMatch(/\r\n\r\n[\s\S]*0\r\n\r\n$/);
  });
});

describe("what is odd but sound", () => {
  it.each([
    ["100 headers", get("Host: a", ...Array.from({ length: 99 }, (_, i) => `x-${i}: y`))],
    ["a header of 50 KB", get("Host: a", `X: ${"y".repeat(50_000)}`)],
    ["white space around a value", get("Host: \t a \t", "X:\t y \t")],
    ["an empty value", get("Host: a", "X:")],
    ["bytes above ASCII in a value", get("Host: a", "X: \xe4\xf6")],
    ["an empty line before the request", `\r\n${get("Host: a")}`],
    ["a method of WebDAV", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["an IPv6 host with a port", get("Host: [::1]:8080")],
    ["a host in capitals", get("Host: SHOP.Example:80")],
    ["chunked in capitals", post("TRANSFER-ENCODING: Chunked", "1\r\na\r\n0\r\n\r\n")],
    ["a length of zeros", post("Content-Length: 0000", "")],
  ])("%s passes", async (_, request) => {
    const backend = await origin(ok);
    const proxy = await forwarding(backend);
    expect(await exchange(proxy.port, request)).toMatch(/^HTTP\/1\.1 200 OK/);
  });
});

/** Responses that cannot be trusted: 502, and their connection is not used again. */
const BAD_RESPONSES: readonly (readonly [name: string, text: string])[] = [
  ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na"],
  ["length and chunked", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["an unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n"],
  ["a bare LF", "HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n"],
  ["a NUL in a header", "HTTP/1.1 200 OK\r\nx: \0\r\ncontent-length: 0\r\n\r\n"],
  ["a folded header", "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n"],
  ["HTTP/2", "HTTP/2 200 OK\r\ncontent-length: 0\r\n\r\n"],
  ["a head of 100 KB", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`],
  ["an interim response with a body", "HTTP/1.1 103 Hm\r\ncontent-length: 2\r\n\r\nab"],
];

describe("malformed responses", () => {
  it.each(BAD_RESPONSES)("%s: 502", async (_, text) => {
    const backend = await origin((peer) => peer.send(text));
    const proxy = await forwarding(backend);
    expect(await exchange(proxy.port, get("Host: a"))).toMatch(/^HTTP\/1\.1 502 /);
  });

  it("bytes behind a response poison its connection only", async () => {
    let answered = 0;
    const backend = await origin((peer) => {
      answered++;
      peer.send(`${response("200 OK", `${answered}`)}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`);
    });
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    for (const expected of ["1", "2"]) {
      peer.send(get("Host: a"));
      expect(await peer.message()).toMatch(new RegExp(`\\r\\n\\r\\n${expected}$`));
    }
    expect(backend.connections).toHaveLength(2);
  });

  it("bytes without a request end the idle connection", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send(get("Host: a"));
    const upstream = await backend.connection(0);
    await upstream.message();
    upstream.send(response("200 OK", "one"));
    await peer.message();
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
    await upstream.untilEnd();
    peer.send(get("Host: a"));
    const next = await backend.connection(1);
    await next.message();
    next.send(response("200 OK", "two"));
    expect(await peer.message()).toMatch(/two$/);
  });
});

describe("slow clients", () => {
  it("get 408 when a head does not come to its end", async () => {
    const clock = manualClock();
    const backend = await origin(ok);
    const proxy = await forwarding(backend, { clock, spec: { idleTimeoutMs: 3_600_000 } });
    const peer = await client(proxy.port);
    peer.send("GET / HTTP/1.1\r\nHost: a\r\n");
    while (proxy.manager.active === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 12; i++) {
      peer.send(`x-${i}: y\r\n`);
      while (!peer.ended && proxy.bytesRead() < peer.socket.bytesWritten)
        await new Promise((resolve) => setImmediate(resolve));
      clock.advance(10_000);
      if (peer.ended) break;
    }
    expect(await peer.untilEnd()).toMatch(/^HTTP\/1\.1 408 /);
  });
});

describe("headers with an underscore in their names", () => {
  const accessLogs = [{ kind: "grpc", logName: "test", cluster: "als" }] as const;
  /** An application that keeps what it was asked. */
  const recorder = async () => {
    const messages: string[] = [];
    const backend = await origin((peer, message) => {
      messages.push(message);
      ok(peer);
    });
    return { backend, messages };
  };
  const request = "GET / HTTP/1.1\r\nHost: a\r\nX_User: eve\r\nX-User: bob\r\nX-Other: a_b\r\n\r\n";

  it("are like others where nothing is said", async () => {
    const { backend, messages } = await recorder();
    const proxy = await forwarding(backend);
    expect(await exchange(proxy.port, request)).toContain("200 OK");
    expect(messages[0]).toContain("X_User: eve");
  });

  it("are taken out, and only they", async () => {
    const { backend, messages } = await recorder();
    const proxy = await forwarding(backend, { spec: { underscores: "drop" } });
    expect(await exchange(proxy.port, request)).toContain("200 OK");
    const [message = ""] = messages;
    expect(message).not.toContain("X_User");
    expect(message).toMatch(/X-User: bob\r\n[\s\S]*X-Other: a_b\r\n/i);
  });

  it("have the request refused and the connection closed", async () => {
    const { backend, messages } = await recorder();
    const proxy = await forwarding(backend, { spec: { underscores: "reject", accessLogs } });
    const peer = await client(proxy.port);
    peer.send("GET / HTTP/1.1\r\nHost: a\r\nX-Other: a_b\r\n\r\n");
    expect(await peer.message()).toContain("200 OK");
    peer.send(
      `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX_User: eve\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n`,
    );
    const answer = await peer.untilEnd();
    expect(answer).toMatch(/^HTTP\/1.1 400 Bad Request\r\n[\s\S]*connection: close[\s\S]*Bad Request$/);
    expect(answer.match(/HTTP\/1.1/g)).toHaveLength(1);
    expect(messages).toHaveLength(1);
    proxy.context.logs.flush();
    const records = proxy.posted.flatMap((message) => (message.type === "records" ? message.records : []));
    expect(records.at(-1)).toMatchObject({
      responseCode: 400,
      responseFlags: "DPE",
      responseDetails: "http1.unexpected_underscore",
    });
  });
});
