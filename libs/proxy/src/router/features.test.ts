import { manualClock } from "@lateen/test-support";
import { NO_HEADER_EDITS } from "@lateen/traffic";
import { afterEach, describe, expect, it } from "vitest";
import { stage } from "./testing/fixtures.ts";
import { clusterSpec, forwardTo, hostSpec, routeSpec } from "./testing/rig.ts";
import { type Peer, response } from "./testing/wire.ts";

const { client, exchange, forwarding, origin, rig } = stage(afterEach);

const echo = (peer: Peer, message: string): void => peer.send(response("200 OK", message));

describe("routes that answer themselves", () => {
  it("redirect with scheme, host and path", async () => {
    const proxy = await rig({
      hosts: [
        hostSpec(
          ["shop"],
          [
            routeSpec("/old", {
              kind: "redirect",
              status: 308,
              scheme: "https",
              host: "new.example",
              port: 8443,
              path: "/fresh",
              prefixRewrite: undefined,
              stripQuery: false,
            }),
          ],
        ),
        hostSpec(["tls"], [], { requireTls: true }),
      ],
    });
    const answer = await exchange(proxy.port, "GET /old?q=1 HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 308 /);
    expect(answer).toContain("location: https://new.example:8443/fresh?q=1\r\n");
    expect(answer).toContain("content-length: 0\r\n");
    const tls = await exchange(proxy.port, "GET /a?b HTTP/1.1\r\nHost: tls\r\n\r\n");
    expect(tls).toMatch(/^HTTP\/1\.1 301 /);
    expect(tls).toContain("location: https://tls/a?b\r\n");
  });

  it("end the connection after a 400, as Envoy does", async () => {
    const hosts = [hostSpec(["shop"], [routeSpec("/", { kind: "direct", status: 400, body: "" })])];
    const proxy = await rig({ hosts });
    const answer = await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(answer).toContain("connection: close\r\n");
  });

  it("give a fixed response, and only its head to HEAD", async () => {
    const proxy = await rig({
      hosts: [
        hostSpec(
          ["shop"],
          [
            routeSpec(
              "/",
              { kind: "direct", status: 502, body: "nö" },
              { responseHeaders: { set: [{ name: "x-why", value: "%ROUTE_NAME%" }], append: [], remove: [] } },
            ),
          ],
        ),
      ],
    });
    const answer = await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(Buffer.from(answer, "latin1").toString("utf8")).toMatch(/content-length: 3\r\n[\s\S]*nö$/);
    expect(answer).toContain("x-why: route /\r\n");
    const peer = await client(proxy.port);
    peer.send("HEAD / HTTP/1.1\r\nHost: shop\r\n\r\nGET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    const text = await peer.until((seen) => seen.split("HTTP/1.1 502").length === 3 && seen.endsWith("n\xc3\xb6"));
    expect(text.split("n\xc3\xb6")).toHaveLength(2);
  });
});

describe("rewrites and header edits", () => {
  it("replace prefix and authority and tell what they were", async () => {
    const backend = await origin(echo);
    const proxy = await rig({
      hosts: [
        hostSpec(
          ["shop"],
          [
            routeSpec(
              "/api/",
              forwardTo("backend", { rewrite: { prefix: "/v2/", regex: undefined, host: "inner.example" } }),
            ),
          ],
        ),
      ],
      clusters: [clusterSpec("backend", [backend.port])],
    });
    const answer = await exchange(proxy.port, "GET /api/items?id=1 HTTP/1.1\r\nHost: shop\r\n\r\n");
    expect(answer).toContain("GET /v2/items?id=1 HTTP/1.1\r\nhost: inner.example\r\n");
    expect(answer).toContain("x-envoy-original-path: /api/items?id=1\r\n");
    expect(answer).toContain("x-envoy-original-host: shop\r\n");
    expect(answer).not.toContain("Host: shop");
  });

  it("set, append and remove on both ways", async () => {
    const backend = await origin((peer, message) =>
      peer.send(response("200 OK", message, "x-secret: 1", "x-kept: 2", "x-set: upstream")),
    );
    const proxy = await rig({
      hosts: [
        hostSpec(
          ["*"],
          [
            routeSpec("/", forwardTo("backend"), {
              requestHeaders: {
                set: [
                  { name: "x-set", value: "%REQ(x-one)%-%PROTOCOL%" },
                  { name: "content-length", value: "9" },
                ],
                append: [{ name: "x-one", value: "two" }],
                remove: ["x-gone", "host"],
              },
              responseHeaders: { set: [{ name: "x-set", value: "ours" }], append: [], remove: ["x-secret"] },
            }),
          ],
        ),
      ],
      clusters: [clusterSpec("backend", [backend.port])],
    });
    const answer = await exchange(
      proxy.port,
      "GET / HTTP/1.1\r\nHost: shop\r\nX-One: one\r\nX-Set: theirs\r\nX-Gone: 1\r\n\r\n",
    );
    const [head = "", request = ""] = [
      answer.slice(0, answer.indexOf("\r\n\r\n")),
      answer.slice(answer.indexOf("\r\n\r\n")),
    ];
    expect(request).toContain("x-set: one-HTTP/1.1\r\n");
    expect(request).toContain("X-One: one\r\n");
    expect(request).toContain("x-one: two\r\n");
    expect(request).not.toMatch(/x-gone|theirs|content-length/i);
    expect(request).toContain("Host: shop\r\n");
    expect(head).toContain("x-set: ours");
    expect(head).toContain("x-kept: 2");
    expect(head).not.toMatch(/x-secret|x-set: upstream/);
  });
});

describe("weights", () => {
  it("split requests between clusters", async () => {
    const one = await origin((peer) => peer.send(response("200 OK", "one")));
    const two = await origin((peer) => peer.send(response("200 OK", "two")));
    const clusters = [
      { cluster: "one", weight: 1 },
      { cluster: "two", weight: 3 },
    ].map((entry) => ({
      ...entry,
      requestHeaders: NO_HEADER_EDITS,
      responseHeaders: NO_HEADER_EDITS,
      hostRewrite: undefined,
    }));
    const proxy = await rig({
      hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("one", { clusters }))])],
      clusters: [clusterSpec("one", [one.port]), clusterSpec("two", [two.port])],
    });
    const peer = await client(proxy.port);
    const counts = { one: 0, two: 0 };
    for (let i = 0; i < 200; i++) {
      peer.send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
      counts[(await peer.message()).endsWith("one") ? "one" : "two"]++;
    }
    expect(counts.two).toBeGreaterThan(120);
    expect(counts.one).toBeGreaterThan(25);
  });
});

describe("mirrors", () => {
  it("get a copy with a shadow authority and cannot disturb the original", async () => {
    const backend = await origin(echo);
    const shadow = await origin();
    const proxy = await rig({
      hosts: [
        hostSpec(["*"], [routeSpec("/", forwardTo("backend", { mirrors: [{ cluster: "shadow", fraction: 1 }] }))]),
      ],
      clusters: [clusterSpec("backend", [backend.port]), clusterSpec("shadow", [shadow.port])],
    });
    const answer = await exchange(
      proxy.port,
      "POST /p HTTP/1.1\r\nHost: shop:80\r\nX-Forwarded-For: 10.9.9.9\r\nContent-Length: 3\r\n\r\nabc",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain("Host: shop:80\r\n");
    const copy = await (await shadow.connection(0)).message();
    expect(copy).toContain("POST /p HTTP/1.1\r\nhost: shop-shadow:80\r\n");
    expect(copy).toMatch(/\r\n\r\nabc$/);
    // It says that it comes from the proxy, and after whom.
    expect(copy).toContain("\r\nx-envoy-internal: true\r\nx-forwarded-for: 10.9.9.9,127.0.0.1\r\n");
    expect(copy.match(/x-forwarded-for/gi)).toHaveLength(1);
    (await shadow.connection(0)).close();
    expect(await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("upgrades", () => {
  const UPGRADE = "GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

  it("turn both connections into a tunnel", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend, { spec: { upgrades: ["websocket"] } });
    const peer = await client(proxy.port);
    peer.send(UPGRADE);
    const upstream = await backend.connection(0);
    const request = await upstream.message();
    expect(request).toContain("connection: upgrade\r\nupgrade: websocket\r\n");
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    const head = await peer.until((text) => text.endsWith("hello"));
    expect(head).toMatch(
      /^HTTP\/1\.1 101 Switching Protocols\r\n[\s\S]*connection: upgrade\r\nupgrade: websocket\r\n/i,
    );
    peer.send("\x81ping");
    await upstream.until((text) => text === "\x81ping");
    upstream.socket.end("bye");
    expect(await peer.untilEnd()).toMatch(/bye$/);
    peer.send("last");
    await upstream.until((text) => text.endsWith("last"));
    peer.socket.end();
    await upstream.untilEnd();
  });

  it("outlive the route's timeout, but not silence", async () => {
    const clock = manualClock();
    const backend = await origin();
    const proxy = await rig({
      hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend", { timeoutMs: 1000, upgrades: ["websocket"] }))])],
      clusters: [clusterSpec("backend", [backend.port])],
      spec: { streamIdleTimeoutMs: 10_000 },
      clock,
    });
    const peer = await client(proxy.port);
    peer.send(UPGRADE);
    const upstream = await backend.connection(0);
    await upstream.message();
    upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    await peer.until((text) => text.endsWith("\r\n\r\n"));
    clock.advance(9000);
    peer.send("x");
    await upstream.until((text) => text === "x");
    clock.advance(9000);
    expect(peer.ended).toBe(false);
    clock.advance(2000);
    await peer.untilEnd();
    await upstream.untilEnd();
  });

  it("send nothing before the upstream has agreed, and close when it has not", async () => {
    const backend = await origin();
    const proxy = await forwarding(backend, { spec: { upgrades: ["websocket"] } });
    const peer = await client(proxy.port);
    peer.send(`${UPGRADE}GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n`);
    const upstream = await backend.connection(0);
    await upstream.message();
    expect(upstream.text).toBe("");
    upstream.send(response("401 Unauthorized", "no"));
    expect(await peer.untilEnd()).toMatch(/^HTTP\/1\.1 401 [\s\S]*no$/);
    expect(upstream.text).toBe("");
    expect(backend.connections).toHaveLength(1);
  });

  it("are refused where they are not allowed, and h2c is not passed on", async () => {
    const backend = await origin(echo);
    const proxy = await forwarding(backend);
    expect(await exchange(proxy.port, UPGRADE)).toMatch(/^HTTP\/1\.1 403 /);
    const plain = await exchange(
      proxy.port,
      "GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    );
    expect(plain).toMatch(/^HTTP\/1\.1 200 /);
    expect(plain).not.toMatch(/upgrade|http2-settings/i);
    expect(await exchange(proxy.port, "CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n")).toMatch(
      /^HTTP\/1\.1 404 /,
    );
  });

  it("are not taken from an upstream that was not asked", async () => {
    const backend = await origin((peer) =>
      peer.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
    );
    const proxy = await forwarding(backend);
    expect(await exchange(proxy.port, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n")).toMatch(/^HTTP\/1\.1 502 /);
  });
});

describe("addresses and identities", () => {
  it.each([
    ["an edge, whatever the client says of it", { useRemoteAddress: true }, "X-Forwarded-Port: 7\r\n", undefined],
    ["an edge behind a trusted proxy", { useRemoteAddress: true, xffTrustedHops: 1 }, "X-Forwarded-Port: 7\r\n", "7"],
    ["others, where nobody did", {}, "", undefined],
    ["others, unless somebody did", {}, "X-Forwarded-Port: 7\r\n", "7"],
  ] as const)("the port is told by %s", async (_title, spec, line, expected) => {
    const backend = await origin(echo);
    const proxy = await forwarding(backend, { role: "gateway", spec: { ...spec, forwardedPort: true } });
    const answer = await exchange(proxy.port, `GET / HTTP/1.1\r\nHost: shop\r\n${line}\r\n`);
    expect(answer.match(/x-forwarded-port: \d+/gi)?.map((found) => found.toLowerCase())).toEqual([
      `x-forwarded-port: ${expected ?? proxy.port}`,
    ]);
  });

  it.each([
    ["", "shop:80"],
    ["X-Forwarded-Host: a\r\n", "a,shop:80"],
    ["X-Forwarded-Host: a, shop:80\r\n", "a, shop:80"],
  ])("the host that was asked for is told where it is replaced (%j)", async (line, expected) => {
    const backend = await origin(echo);
    const rewrite = { host: "other", prefix: undefined, regex: undefined };
    const proxy = await rig({
      hosts: [hostSpec(["*"], [routeSpec("/", forwardTo("backend", { rewrite, forwardedHost: true }))])],
      clusters: [clusterSpec("backend", [backend.port])],
    });
    const answer = await exchange(proxy.port, `GET / HTTP/1.1\r\nHost: shop:80\r\n${line}\r\n`);
    expect(answer).toMatch(/\r\nhost: other\r\n/i);
    expect(answer.match(/x-forwarded-host: [^\r]*/gi)?.map((found) => found.toLowerCase())).toEqual([
      `x-forwarded-host: ${expected}`,
    ]);
  });

  it("an edge trusts no client's word about itself", async () => {
    const backend = await origin(echo);
    const proxy = await forwarding(backend, { role: "gateway", spec: { useRemoteAddress: true } });
    const answer = await exchange(
      proxy.port,
      "GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\n" +
        "X-Request-Id: mine\r\nX-Envoy-Original-Path: /admin\r\nX-Envoy-Peer-Metadata: x\r\nX-Envoy-Internal: true\r\n" +
        "X-Forwarded-Client-Cert: URI=spiffe://evil\r\nX-Envoy-External-Address: 9.9.9.9\r\n\r\n",
    );
    expect(answer).toContain("x-forwarded-for: 1.2.3.4,5.6.7.8,127.0.0.1\r\n");
    expect(answer).toContain("x-forwarded-proto: http\r\n");
    expect(answer).toContain("x-envoy-external-address: 127.0.0.1\r\n");
    expect(answer).not.toMatch(/mine|\/admin|peer-metadata|internal|evil|9\.9\.9\.9/);
    expect(answer).toMatch(/x-request-id: [0-9a-f-]{36}/);
  });

  it("the certificate of a peer is told, whatever was claimed before", async () => {
    const backend = await origin(echo);
    const peer = {
      principal: "spiffe://cluster.local/ns/a/sa/b",
      uris: ["spiffe://cluster.local/ns/a/sa/b,By=evil"],
      dns: [],
      subject: 'CN="x"',
      hash: "ab12",
      pem: "",
    };
    const proxy = await forwarding(backend, {
      direction: "inbound",
      info: { secure: true, peer, localUris: ["spiffe://cluster.local/ns/default/sa/web"] },
      spec: {
        forwardClientCert: "sanitizeSet",
        setClientCertDetails: { subject: true, uri: true, dns: true, cert: false },
      },
    });
    const answer = await exchange(
      proxy.port,
      "GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-Client-Cert: URI=spiffe://evil\r\n\r\n",
    );
    expect(answer).toContain(
      'x-forwarded-client-cert: By=spiffe://cluster.local/ns/default/sa/web;Hash=ab12;Subject="CN=\\"x\\"";URI=spiffe://cluster.local/ns/a/sa/b%2CBy%3Devil\r\n',
    );
    expect(answer).toContain("x-forwarded-proto: https\r\n");
  });
});
