import { afterEach, describe, expect, it } from "vitest";
import { stage } from "./testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, routeSpec } from "./testing/rig.ts";
import { type Peer, response } from "./testing/wire.ts";

const { client, exchange, forwarding, origin, rig } = stage(afterEach);

const echoLine = (peer: Peer, message: string): void => peer.send(response("200 OK", message.split("\r\n")[0] ?? ""));
const echoAll = (peer: Peer, message: string): void => peer.send(response("200 OK", message));

describe("forwarding", () => {
  it("carries several requests over one connection each side", async () => {
    const backend = await origin(echoLine);
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    for (const path of ["/a", "/b?x=1", "/c"]) {
      peer.send(`GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`);
      const answer = await peer.message();
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(answer).toContain(`\r\n\r\nGET ${path} HTTP/1.1`);
      expect(answer).toMatch(/x-envoy-upstream-service-time: \d+\r\n/);
    }
    expect(backend.connections).toHaveLength(1);
  });

  it("writes what it was told and what it added itself into the access log", async () => {
    const backend = await origin(echoLine);
    const text =
      "%REQ(:METHOD)% %REQ(X-NONE?:PATH)% %REQ(:AUTHORITY)% %REQ(X-A)% %REQ(X-NONE)% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%\n";
    const log = { kind: "file", path: "p", format: { kind: "text", text } } as const;
    const proxy = await forwarding(backend, { spec: { accessLogs: [log] } });
    const peer = await client(proxy.port);
    peer.send("GET /a?b HTTP/1.1\r\nHost: shop\r\nX-a: one\r\n\r\n");
    const [, took] = /x-envoy-upstream-service-time: (\d+)\r\n/.exec(await peer.message()) ?? [];
    expect(proxy.logText()).toBe(`GET /a?b shop one - ${took}\n`);
  });

  it("answers pipelined requests in order", async () => {
    const backend = await origin(echoLine);
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send(["/1", "/2", "/3"].map((path) => `GET ${path} HTTP/1.1\r\nHost: shop\r\n\r\n`).join(""));
    const paths = [await peer.message(), await peer.message(), await peer.message()];
    expect(paths.map((text) => text.slice(text.indexOf("\r\n\r\n") + 4))).toEqual([
      "GET /1 HTTP/1.1",
      "GET /2 HTTP/1.1",
      "GET /3 HTTP/1.1",
    ]);
  });

  it("passes headers on and takes away what belongs to the connection", async () => {
    const backend = await origin(echoAll);
    const proxy = await forwarding(backend);
    const answer = await exchange(
      proxy.port,
      "GET / HTTP/1.1\r\nHost: shop\r\nX-One: a\r\nConnection: keep-alive, X-Two\r\nX-Two: b\r\nKeep-Alive: timeout=5\r\nTE: gzip, trailers\r\nx-one: c\r\n\r\n",
    );
    expect(answer).toContain("X-One: a\r\n");
    expect(answer).toContain("x-one: c\r\n");
    expect(answer).not.toMatch(/x-two|keep-alive|^te:/im);
    expect(answer).toMatch(/x-forwarded-proto: http\r\n/);
    expect(answer).toMatch(/x-request-id: [0-9a-f-]{36}\r\n/);
  });

  it("tells the upstream that the client takes trailers", async () => {
    const backend = await origin(echoAll);
    const proxy = await forwarding(backend);
    const answer = await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\n\r\n");
    expect(answer).toMatch(/^te: trailers\r$/m);
  });

  it.each([
    ["GET", false],
    ["DELETE", false],
    ["OPTIONS", true],
    ["POST", true],
    ["PURGE", true],
  ])("says upstream that a request has no content: %s %s", async (method, said) => {
    const backend = await origin(echoAll);
    const proxy = await forwarding(backend);
    const answer = await exchange(proxy.port, `${method} / HTTP/1.1\r\nHost: shop\r\n\r\n`);
    const [, received = ""] = answer.split("\r\n\r\n");
    expect(/^content-length: 0$/m.test(received.replaceAll("\r", ""))).toBe(said);
  });

  it.each([
    ["PO", false, 400],
    ["get", false, 400],
    ["M-SEARCH", false, 400],
    ["MSEARCH", false, 200],
    ["UNSUBSCRIBE", false, 200],
    ["PO", true, 200],
    ["get", true, 200],
  ])("takes only methods that it knows, or all that could be one: %s, %s", async (method, customMethods, status) => {
    const backend = await origin(echoLine);
    const text = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n";
    const accessLogs = [{ kind: "file", path: "p", format: { kind: "text", text } }] as const;
    const proxy = await forwarding(backend, { spec: { customMethods, accessLogs } });
    const answer = await exchange(proxy.port, `${method} /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    if (status === 200) expect(answer).toContain(`${method} /a HTTP/1.1`);
    else {
      expect(answer).toMatch(/\r\ncontent-type: text\/plain\r\n.*connection: close\r\n\r\nBad Request$/s);
      expect(proxy.logText()).toBe("400 DPE http1.codec_error\n");
    }
  });

  it.each([
    ["GET", "/empty", "0"],
    ["HEAD", "/empty", undefined],
    ["HEAD", "/text", "4"],
  ])("says how long an answer of its own is, where that tells something: %s %s", async (method, path, length) => {
    const direct = (body: string) => ({ kind: "direct", status: 404, body }) as const;
    const routes = [routeSpec("/empty", direct("")), routeSpec("/text", direct("text"))];
    const proxy = await rig({ hosts: [hostSpec(["shop"], routes)], clusters: [] });
    const peer = await client(proxy.port);
    peer.send(`${method} ${path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n`);
    const answer = await peer.untilEnd();
    expect(answer).toMatch(/^HTTP\/1\.1 404 .*\r\n\r\n$/s);
    expect(/content-length: (\d+)\r\n/.exec(answer)?.[1]).toBe(length);
  });

  it.each([
    ["application/sql", 200],
    ["", 400],
  ])("takes a query that says what it is: %j", async (type, status) => {
    const backend = await origin(echoLine);
    const proxy = await forwarding(backend);
    const answer = await exchange(
      proxy.port,
      `QUERY / HTTP/1.1\r\nHost: shop\r\nContent-Type: ${type}\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it("tells the upstream's answer as it is, with date and server of ours where it has none", async () => {
    const backend = await origin((peer) =>
      peer.send("HTTP/1.1 418 Teapot\r\nServer: kettle\r\nX: y\r\ncontent-length: 0\r\n\r\n"),
    );
    for (const [serverHeader, expected] of [
      ["passThrough", "Server: kettle"],
      ["overwrite", "server: lateen-test"],
      ["appendIfAbsent", "Server: kettle"],
    ] as const) {
      const proxy = await forwarding(backend, { spec: { serverHeader } });
      const answer = await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
      expect(answer).toMatch(/^HTTP\/1\.1 418 /);
      expect(answer).toContain("X: y\r\n");
      expect(answer).toContain(expected);
      expect(answer.match(/^server:/gim)).toHaveLength(1);
      expect(answer).toMatch(/\r\ndate: [A-Z][a-z]{2}, /);
    }
  });

  it("tells nothing of its own work where that is not wanted", async () => {
    const backend = await origin(echoAll);
    const proxy = await rig({
      spec: { suppressEnvoyHeaders: true, serverHeader: "passThrough" },
      hosts: [
        hostSpec(
          ["shop"],
          [
            routeSpec("/gone/", forwardTo("nowhere")),
            routeSpec(
              "/",
              forwardTo("backend", { rewrite: { prefix: "/v2/", regex: undefined, host: "inner.example" } }),
            ),
          ],
        ),
      ],
      clusters: [clusterSpec("backend", [backend.port]), clusterSpec("nowhere", [])],
    });
    const answer = await exchange(proxy.port, "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(answer).toContain("GET /v2/a HTTP/1.1\r\nhost: inner.example\r\n");
    const refused = await exchange(proxy.port, "GET /gone/ HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(refused).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer + refused).not.toMatch(/^(server|x-envoy-(original|upstream|overloaded).*):/im);
  });

  it("lets the authority of an absolute target win over Host for matching and forwarding", async () => {
    const backend = await origin(echoAll);
    const proxy = await rig({
      hosts: [hostSpec(["good.example"], [routeSpec("/", forwardTo("backend"))])],
      clusters: [clusterSpec("backend", [backend.port])],
    });
    const answer = await exchange(proxy.port, "GET http://good.example/p?q HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    expect(answer).toContain("GET /p?q HTTP/1.1\r\nhost: good.example\r\n");
    expect(answer).not.toContain("evil");
    const refused = await exchange(proxy.port, "GET http://evil.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n");
    expect(refused).toMatch(/^HTTP\/1\.1 404 /);
  });

  it("gives the root to an absolute target without a path", async () => {
    const backend = await origin(echoLine);
    const proxy = await forwarding(backend);
    expect(await exchange(proxy.port, "GET http://shop HTTP/1.1\r\nHost: shop\r\n\r\n")).toContain("GET / HTTP/1.1");
    expect(await exchange(proxy.port, "GET http://shop?q HTTP/1.1\r\nHost: shop\r\n\r\n")).toContain(
      "GET /?q HTTP/1.1",
    );
  });

  it("forwards the path it judged", async () => {
    const backend = await origin(echoLine);
    const proxy = await forwarding(backend, { spec: { normalizePath: true, mergeSlashes: true } });
    const table: readonly (readonly [string, string])[] = [
      ["/a/../b", "/b"],
      ["//admin", "/admin"],
      ["/a/%2e%2e/b", "/b"],
      ["/a\\b", "/a/b"],
      ["/a/./b/?x=/../y", "/a/b/?x=/../y"],
      ["/%41", "/A"],
    ];
    for (const [sent, expected] of table) {
      const answer = await exchange(proxy.port, `GET ${sent} HTTP/1.1\r\nHost: shop\r\n\r\n`);
      expect(answer, sent).toContain(`GET ${expected} HTTP/1.1`);
    }
  });

  it("refuses or redirects escaped slashes when told to", async () => {
    const backend = await origin(echoLine);
    const reject = await forwarding(backend, { spec: { escapedSlashes: "reject" } });
    expect(await exchange(reject.port, "GET /a%2Fb HTTP/1.1\r\nHost: shop\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    const redirect = await forwarding(backend, { spec: { escapedSlashes: "unescapeRedirect" } });
    const answer = await exchange(redirect.port, "GET /a%2Fb?q HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 307 /);
    expect(answer).toContain("location: /a/b?q\r\n");
    expect(backend.connections).toHaveLength(0);
  });

  it("answers a client that has already half-closed", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    peer.socket.end();
    const upstream = await backend.connection(0);
    await upstream.message();
    upstream.send(response("200 OK", "late"));
    expect(await peer.untilEnd()).toMatch(/late$/);
  });

  it("gives HEAD, 204 and 304 no body, whatever the length says", async () => {
    const backend = await origin((peer, message) => {
      if (message.startsWith("HEAD")) peer.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
      else if (message.includes("/204")) peer.send("HTTP/1.1 204 No Content\r\n\r\n");
      else if (message.includes("/304")) peer.send("HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n");
      else peer.send(response("200 OK", "after"));
    });
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    const heads: string[] = [];
    for (const line of ["HEAD /", "GET /204", "GET /304"]) {
      peer.send(`${line} HTTP/1.1\r\nHost: shop\r\n\r\n`);
      const text = await peer.until((seen) => seen.includes("\r\n\r\n"));
      heads.push(text);
      peer.text = "";
    }
    expect(heads[0]).toContain("content-length: 5");
    expect(heads[1]).not.toContain("content-length");
    expect(heads[2]).toContain("content-length: 7");
    for (const head of heads) expect(head).not.toContain("transfer-encoding");
    peer.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(await peer.message()).toMatch(/after$/);
    expect(backend.connections).toHaveLength(1);
  });

  it("passes interim responses on before the final one", async () => {
    const backend = await origin((peer) =>
      peer.send(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${response("200 OK", "done")}`),
    );
    const proxy = await forwarding(backend);
    const peer = await client(proxy.port);
    peer.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    const text = await peer.until((seen) => seen.endsWith("done"));
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a>\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  });

  it("serves HTTP/1.0 when allowed and says 426 when not", async () => {
    const backend = await origin((peer) =>
      peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    );
    const refusing = await forwarding(backend);
    expect(await exchange(refusing.port, "GET / HTTP/1.0\r\nHost: shop\r\n\r\n")).toMatch(/^HTTP\/1\.1 426 /);
    const proxy = await forwarding(backend, { spec: { acceptHttp10: true } });
    const peer = await client(proxy.port);
    peer.send("GET / HTTP/1.0\r\nHost: shop\r\n\r\n");
    const text = await peer.untilEnd();
    expect(text).toMatch(/\r\n\r\nabc$/);
    expect(text).not.toContain("chunked");
  });

  it("re-frames a response that ends with its connection", async () => {
    const backend = await origin((peer) => {
      peer.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
      peer.socket.end();
    });
    const proxy = await forwarding(backend);
    const answer = await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(answer).toContain("transfer-encoding: chunked");
    expect(answer).toMatch(/\r\n\r\nd\r\nuntil the end\r\n0\r\n\r\n$/);
  });

  it("ends connections with their response while draining", async () => {
    const backend = await origin(echoLine);
    const proxy = await forwarding(backend);
    const busy = await client(proxy.port);
    busy.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    await busy.message();
    const idle = await client(proxy.port);
    idle.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    await idle.message();
    busy.send("POST / HTTP/1.1\r\nHost: shop\r\ncontent-length: 2\r\n\r\na");
    const upstream = await backend.connection(0);
    await Promise.race([
      upstream.until((text) => text.includes("POST")),
      backend.connection(1).then((second) => second.until((text) => text.includes("POST"))),
    ]);
    proxy.manager.drain();
    expect(await idle.untilEnd()).toBe("");
    busy.send("b");
    expect(await busy.untilEnd()).toContain("connection: close\r\n");
  });
});
