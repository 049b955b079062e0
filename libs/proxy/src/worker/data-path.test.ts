import { createTestCa } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { NetworkFilterRuntime } from "../chain/spi.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import { response } from "../router/testing/wire.ts";
import { chainSpec, clientTls, listenerSpec, originalDst, tcpSpec } from "./testing/data-path-rig.ts";
import { CLIENT, ca, catchAll, credentials, Fixtures, GET, identity, inbound, WEB } from "./testing/fixtures.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

const ECHO = { host: "echo.default.svc.cluster.local", name: "echo", namespace: "default" };
const VIP = "10.96.0.10";

describe("a bound listener with a TCP chain", () => {
  it("carries bytes both ways, passes half-close on, and counts", async () => {
    const echo = await fixtures.origin();
    const proxy = fixtures.rig();
    await proxy.apply({
      clusters: [clusterSpec("outbound|9000||echo.default.svc.cluster.local", [echo.port])],
      listeners: [
        listenerSpec("tcp", 9000, {
          bindToPort: true,
          chains: [chainSpec(tcpSpec("outbound|9000||echo.default.svc.cluster.local"))],
        }),
      ],
    });
    const client = await proxy.dial(9000);
    client.send("hello");
    const server = await echo.connection(0);
    await server.until((text) => text === "hello");
    client.socket.end();
    await server.untilEnd();
    server.send("good bye");
    server.socket.end();
    expect(await client.untilEnd()).toBe("good bye");
    const record = await proxy.record();
    expect(record).toMatchObject({
      protocol: "tcp",
      bytesReceived: 5,
      bytesSent: 8,
      responseFlags: "-",
      upstreamHost: `127.0.0.1:${echo.port}`,
      downstreamLocalAddress: `${proxy.address}:9000`,
    });
    const labels = {
      reporter: "source",
      source_workload: "web",
      destination_service: "echo.default.svc.cluster.local",
      destination_service_name: "echo",
      request_protocol: "tcp",
      response_flags: "-",
    };
    expect(proxy.metric("istio_tcp_connections_opened_total", labels)).toBe(1);
    expect(proxy.metric("istio_tcp_connections_closed_total", labels)).toBe(1);
    expect(proxy.metric("istio_tcp_received_bytes_total", labels)).toBe(5);
    expect(proxy.metric("istio_tcp_sent_bytes_total", labels)).toBe(8);
  });
});

describe("inbound capture", () => {
  it("hands a container port to virtualInbound, which dials the application", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("PERMISSIVE", "http")],
    });
    const client = await proxy.dial(9080);
    client.send(GET);
    expect(await client.message()).toContain("app: GET /x HTTP/1.1");
  });

  it("serves mutual TLS and plaintext on one port when PERMISSIVE", async () => {
    const seen: string[] = [];
    const app = await fixtures.origin((peer, message) => {
      seen.push(message);
      peer.send(response("200 OK", "ok"));
    });
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("PERMISSIVE", "http")],
    });
    const plain = await proxy.dial(9080);
    plain.send(GET);
    await plain.message();
    const secure = await proxy.dialTls(9080, { ...credentials(CLIENT), ALPNProtocols: ["istio"] });
    expect(secure.tls.alpnProtocol).toBe("istio");
    secure.send(GET);
    await secure.message();
    expect(seen[0]).not.toContain("x-forwarded-client-cert");
    expect(seen[1]).toMatch(
      new RegExp(`x-forwarded-client-cert: By=${WEB};Hash=[0-9a-f]{64};Subject="";URI=${CLIENT}`),
    );
  });

  it("resets plaintext when STRICT, and counts it", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("STRICT", "http")],
    });
    const plain = await proxy.dial(9080);
    plain.send(GET);
    await plain.untilClosed();
    expect(plain.text).toBe("");
    expect(app.connections).toHaveLength(0);
    expect(proxy.metric("envoy_listener_no_filter_chain_match")).toBe(1);
    expect(await proxy.record()).toMatchObject({ responseFlags: "NR", responseDetails: "filter_chain_not_found" });
    const secure = await proxy.dialTls(9080, { ...credentials(CLIENT), ALPNProtocols: ["istio"] });
    secure.send(GET);
    expect(await secure.message()).toContain("app: GET /x");
  });

  const strangers: readonly [string, () => object][] = [
    ["no certificate", () => ({ ca: ca.rootPem })],
    [
      "a certificate of another CA",
      () => {
        const { certPem, keyPem } = createTestCa().issue({ uris: [CLIENT] });
        return { cert: certPem, key: keyPem, ca: ca.rootPem };
      },
    ],
    ["an identity of another trust domain", () => credentials("spiffe://elsewhere/ns/default/sa/web")],
    [
      "two identities at once",
      () => {
        const { certPem, keyPem } = ca.issue({ uris: [CLIENT, WEB] });
        return { cert: certPem, key: keyPem, ca: ca.rootPem };
      },
    ],
  ];
  it.each(strangers)("refuses a client with %s", async (_name, options) => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("STRICT", "http")],
    });
    const outcome = await proxy.dialTls(9080, { ...options(), ALPNProtocols: ["istio"] }).then(
      async (peer) => {
        peer.send(GET);
        await peer.untilClosed();
        return peer.text;
      },
      () => "",
    );
    expect(outcome).toBe("");
    expect(app.connections).toHaveLength(0);
    expect(proxy.metric("envoy_listener_ssl_connection_error")).toBe(1);
    expect((await proxy.record()).responseDetails).toMatch(/^tls_error\{/);
  });

  it("labels TCP metrics with the client's certificate", async () => {
    const app = await fixtures.origin();
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [{ ...originalDst("inbound|9080||", "inbound"), destinationService: ECHO }],
      listeners: [inbound("STRICT", "tcp")],
    });
    const client = await proxy.dialTls(9080, { ...credentials(CLIENT), ALPNProtocols: ["istio"] });
    client.send("abc");
    const server = await app.connection(0);
    await server.until((text) => text === "abc");
    server.socket.end();
    await client.untilEnd();
    client.socket.end();
    const record = await proxy.record();
    expect(record).toMatchObject({ peerPrincipal: CLIENT, reporter: "destination", responseFlags: "-" });
    expect(
      proxy.metric("istio_tcp_received_bytes_total", {
        reporter: "destination",
        source_principal: CLIENT,
        source_workload_namespace: "shop",
        destination_workload: "web",
        destination_service: ECHO.host,
        connection_security_policy: "mutual_tls",
      }),
    ).toBe(3);
  });

  it("answers a network filter's refusal with a closed connection and a record", async () => {
    const deny: NetworkFilterRuntime = {
      name: "deny",
      create: () => ({ onConnection: (peer) => ({ allowed: peer.principal === CLIENT, details: "rbac_denied" }) }),
    };
    const app = await fixtures.origin();
    const proxy = fixtures.sidecar(app, { networkFilters: [deny] });
    const listener = inbound("PERMISSIVE", "tcp");
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [
        {
          ...listener,
          chains: listener.chains.map((chain) => ({ ...chain, networkFilters: [{ name: "deny", config: {} }] })),
        },
      ],
    });
    const plain = await proxy.dial(9080);
    plain.send("x");
    await plain.untilEnd();
    expect(await proxy.record()).toMatchObject({ responseDetails: "rbac_denied", upstreamHost: "" });
    const secure = await proxy.dialTls(9080, { ...credentials(CLIENT), ALPNProtocols: ["istio"] });
    secure.send("y");
    expect(await (await app.connection(0)).until((text) => text !== "")).toBe("y");
  });

  it("refuses connections that arrive at 15006 itself", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      clusters: [originalDst("inbound|9080||", "inbound"), clusterSpec("BlackHoleCluster", [])],
      listeners: [inbound("PERMISSIVE", "http")],
    });
    const client = await proxy.dial(15006);
    client.send(GET);
    await client.untilClosed();
    expect(client.text).toBe("");
    expect((await proxy.record()).responseFlags).toBe("UH");
  });
});

describe("certificates", () => {
  it("uses a new certificate for new handshakes and leaves connections alone", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("STRICT", "http")],
    });
    const options = { ...credentials(CLIENT), ALPNProtocols: ["istio"] };
    const before = await proxy.dialTls(9080, options);
    const serial = before.tls.getPeerX509Certificate()?.serialNumber;
    before.send(GET);
    await before.message();
    await proxy.apply({ secrets: identity(WEB) });
    const after = await proxy.dialTls(9080, options);
    expect(after.tls.getPeerX509Certificate()?.serialNumber).not.toBe(serial);
    before.send(GET);
    expect(await before.message()).toContain("app: GET /x");
  });

  it("keeps the certificate in force when a new one cannot be used", async () => {
    const proxy = fixtures.sidecar(await fixtures.httpOrigin("app"));
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("STRICT", "http")],
    });
    const failures = await proxy.tryApply({
      secrets: [{ kind: "certificate", name: "default", certChainPem: "nonsense", privateKeyPem: "nonsense" }],
    });
    expect(failures).toMatchObject([{ resource: "secret", name: "default" }]);
    const client = await proxy.dialTls(9080, { ...credentials(CLIENT), ALPNProtocols: ["istio"] });
    expect(client.tls.authorized).toBe(true);
  });

  it("resumes sessions without forgetting who the client is", async () => {
    const seen: string[] = [];
    const app = await fixtures.origin((peer, message) => {
      seen.push(/URI=([^\r;]*)/.exec(message)?.[1] ?? "");
      peer.send(response("200 OK", "ok"));
    });
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("STRICT", "http")],
    });
    const options = { ...credentials(CLIENT), ALPNProtocols: ["istio"] };
    const first = await proxy.dialTls(9080, options);
    const session = new Promise<Buffer>((resolve) => first.tls.once("session", resolve));
    first.send(GET);
    await first.message();
    const second = await proxy.dialTls(9080, { ...options, session: await session });
    second.send(GET);
    await second.message();
    expect(second.tls.isSessionReused()).toBe(true);
    expect(seen).toEqual([CLIENT, CLIENT]);
  });
});

describe("mutual TLS between two proxies", () => {
  it("carries TCP to the other side's application and knows the peer on both", async () => {
    const app = await fixtures.origin();
    const server = fixtures.sidecar(app);
    await server.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("STRICT", "tcp")],
    });
    const client = fixtures.sidecar(app, { services: [[ECHO.host, 9000]] });
    const cluster = clusterSpec(`outbound|9000||${ECHO.host}`, [9080], {
      transport: clientTls(),
      destinationService: ECHO,
    });
    const endpoints = cluster.endpoints.map((locality) => ({
      ...locality,
      endpoints: locality.endpoints.map((endpoint) => ({ ...endpoint, address: server.address })),
    }));
    await client.apply({
      secrets: identity(CLIENT),
      names: { [ECHO.host]: [VIP] },
      clusters: [{ ...cluster, endpoints }],
      listeners: [
        catchAll(),
        listenerSpec(`${VIP}_9000`, 9000, { address: VIP, chains: [chainSpec(tcpSpec(cluster.name))] }),
      ],
    });
    const user = await client.dial(9000, client.serviceAddress);
    user.send("ping");
    const peer = await app.connection(0);
    await peer.until((text) => text === "ping");
    peer.send("pong");
    await user.until((text) => text === "pong");
    user.socket.end();
    peer.socket.end();
    expect(await client.record()).toMatchObject({ peerPrincipal: WEB, downstreamLocalAddress: `${VIP}:9000` });
    expect(await server.record()).toMatchObject({ peerPrincipal: CLIENT });
    expect(
      client.metric("istio_tcp_sent_bytes_total", {
        destination_principal: WEB,
        source_principal: WEB,
        destination_service: ECHO.host,
        connection_security_policy: "unknown",
      }),
    ).toBe(4);
  });
});
