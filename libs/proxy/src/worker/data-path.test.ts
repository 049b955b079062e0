import { createTestCa } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { NetworkFilterRuntime } from "../chain/spi.ts";
import type { ListenerSpec, SecretSpec } from "../config/plan.ts";
import { clusterSpec, forwardTo, hostSpec, managerSpec, routeSpec, tableSpec } from "../router/testing/rig.ts";
import { Origin, type Peer, response } from "../router/testing/wire.ts";
import {
  chainSpec,
  clientTls,
  DataPathRig,
  type DataPathRigOptions,
  INSPECT_ALL,
  listenerSpec,
  loopbackAddress,
  originalDst,
  serverTls,
  tcpSpec,
} from "./testing/data-path-rig.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function rig(options: DataPathRigOptions = {}): DataPathRig {
  const made = new DataPathRig(options);
  closers.push(() => made.close());
  return made;
}

async function origin(answer?: (peer: Peer, message: string) => void): Promise<Origin> {
  const started = await Origin.start(answer);
  closers.push(() => started.close());
  return started;
}

/** Answers with the name and the request line. */
async function httpOrigin(name: string): Promise<Origin> {
  return origin((peer, message) => peer.send(response("200 OK", `${name}: ${message.split("\r\n")[0]}`)));
}

const ca = createTestCa();
const WEB = "spiffe://cluster.local/ns/default/sa/web";
const CLIENT = "spiffe://cluster.local/ns/shop/sa/client";

function identity(uri: string, name = "default"): readonly SecretSpec[] {
  const { certPem, keyPem } = ca.issue({ uris: [uri] });
  return [
    { kind: "certificate", name, certChainPem: certPem, privateKeyPem: keyPem },
    { kind: "trust", name: "ROOTCA", bundlePem: ca.rootPem },
  ];
}

function credentials(uri: string) {
  const { certPem, keyPem } = ca.issue({ uris: [uri] });
  return { cert: certPem, key: keyPem, ca: ca.rootPem };
}

function manager(cluster: string) {
  const table = tableSpec([hostSpec(["*"], [routeSpec("/", forwardTo(cluster))])]);
  return managerSpec({
    routes: { inline: table },
    forwardClientCert: "appendForward",
    setClientCertDetails: { subject: true, uri: true, dns: true, cert: false },
  });
}

/** Two listeners that catch what no other takes, as Istio's control planes send them. */
function catchAll(cluster = "PassthroughCluster"): ListenerSpec {
  return listenerSpec("virtualOutbound", 15001, {
    bindToPort: true,
    useOriginalDst: true,
    chains: [chainSpec(tcpSpec("BlackHoleCluster"), { destinationPort: 15001 }), chainSpec(tcpSpec(cluster))],
  });
}

describe("a bound listener with a TCP chain", () => {
  it("carries bytes both ways, passes half-close on, and counts", async () => {
    const echo = await origin();
    const proxy = rig();
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


/** A sidecar with one captured container port, the explicit proxy, and whatever the test adds. */
function sidecar(app: Origin, options: DataPathRigOptions & { readonly services?: readonly [host: string, port: number][] } = {}) {
  const serviceAddress = loopbackAddress();
  const proxy = rig({
    ...options,
    bootstrap: (address) => ({
      capture: {
        mode: "proxy-env",
        address,
        inbound: [{ containerPort: 9080, appAddress: "127.0.0.1", appPort: app.port }],
        explicitProxy: { address, port: 15001 },
        services: (options.services ?? []).map(([host, port]) => ({
          address: serviceAddress,
          port,
          host,
          destinationPort: port,
        })),
      },
      ...options.bootstrap?.(address),
    }),
  });
  return Object.assign(proxy, { serviceAddress });
}

/** virtualInbound for port 9080 in the given mode. */
function inbound(mode: "PERMISSIVE" | "STRICT", protocol: "http" | "tcp"): ListenerSpec {
  const cluster = "inbound|9080||";
  const terminal = protocol === "http" ? manager(cluster) : tcpSpec(cluster);
  const chains = [
    chainSpec(tcpSpec("BlackHoleCluster"), { destinationPort: 15006 }),
    chainSpec(
      terminal,
      { destinationPort: 9080, transportProtocol: "tls", ...(mode === "STRICT" ? {} : { applicationProtocols: ["istio"] }) },
      { transport: serverTls() },
    ),
    ...(mode === "STRICT" ? [] : [chainSpec(terminal, { destinationPort: 9080, transportProtocol: "raw_buffer" })]),
  ];
  return listenerSpec("virtualInbound", 15006, {
    bindToPort: true,
    direction: "inbound",
    inspectors: INSPECT_ALL,
    chains,
  });
}

const GET = "GET /x HTTP/1.1\r\nHost: shop\r\n\r\n";

describe("inbound capture", () => {
  it("hands a container port to virtualInbound, which dials the application", async () => {
    const app = await httpOrigin("app");
    const proxy = sidecar(app);
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
    const app = await origin((peer, message) => {
      seen.push(message);
      peer.send(response("200 OK", "ok"));
    });
    const proxy = sidecar(app);
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
    const app = await httpOrigin("app");
    const proxy = sidecar(app);
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
    const secure = await proxy.dialTls(9080, { ...credentials(CLIENT), ALPNProtocols: ["istio"] });
    secure.send(GET);
    expect(await secure.message()).toContain("app: GET /x");
  });

  const strangers: readonly [string, () => object][] = [
    ["no certificate", () => ({ ca: ca.rootPem })],
    ["a certificate of another CA", () => {
      const { certPem, keyPem } = createTestCa().issue({ uris: [CLIENT] });
      return { cert: certPem, key: keyPem, ca: ca.rootPem };
    }],
    ["an identity of another trust domain", () => credentials("spiffe://elsewhere/ns/default/sa/web")],
    ["two identities at once", () => {
      const { certPem, keyPem } = ca.issue({ uris: [CLIENT, WEB] });
      return { cert: certPem, key: keyPem, ca: ca.rootPem };
    }],
  ];
  it.each(strangers)("refuses a client with %s", async (_name, options) => {
    const app = await httpOrigin("app");
    const proxy = sidecar(app);
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
  });

  it("labels TCP metrics with the client's certificate", async () => {
    const app = await origin();
    const proxy = sidecar(app);
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
    const app = await origin();
    const proxy = sidecar(app, { networkFilters: [deny] });
    const listener = inbound("PERMISSIVE", "tcp");
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [
        { ...listener, chains: listener.chains.map((chain) => ({ ...chain, networkFilters: [{ name: "deny", config: {} }] })) },
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
    const app = await httpOrigin("app");
    const proxy = sidecar(app);
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

const ECHO = { host: "echo.default.svc.cluster.local", name: "echo", namespace: "default" };
const VIP = "10.96.0.10";

describe("certificates", () => {
  it("uses a new certificate for new handshakes and leaves connections alone", async () => {
    const app = await httpOrigin("app");
    const proxy = sidecar(app);
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
    const proxy = sidecar(await httpOrigin("app"));
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
    const app = await origin((peer, message) => {
      seen.push(/URI=([^\r;]*)/.exec(message)?.[1] ?? "");
      peer.send(response("200 OK", "ok"));
    });
    const proxy = sidecar(app);
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
    const app = await origin();
    const server = sidecar(app);
    await server.apply({
      secrets: identity(WEB),
      clusters: [originalDst("inbound|9080||", "inbound")],
      listeners: [inbound("STRICT", "tcp")],
    });
    const client = sidecar(app, { services: [[ECHO.host, 9000]] });
    const cluster = clusterSpec(`outbound|9000||${ECHO.host}`, [9080], { transport: clientTls(), destinationService: ECHO });
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

describe("the explicit proxy", () => {
  const absolute = (url: string, extra = ""): string => `GET ${url} HTTP/1.1\r\nHost: ignored\r\n${extra}\r\n`;

  it("decides per request on one client connection", async () => {
    const a = await httpOrigin("a");
    const b = await httpOrigin("b");
    const proxy = sidecar(a);
    await proxy.apply({
      names: { a: [VIP], "b.default.svc.cluster.local": [VIP] },
      clusters: [clusterSpec("a", [a.port]), clusterSpec("b", [b.port])],
      listeners: [
        catchAll(),
        listenerSpec("0.0.0.0_80", 80, { chains: [chainSpec(manager("a"))] }),
        listenerSpec("0.0.0.0_8000", 8000, { chains: [chainSpec(manager("b"))] }),
      ],
    });
    const client = await proxy.dial(15001);
    client.send(absolute("http://a/one") + absolute("http://B.default.svc.cluster.local.:8000/two"));
    expect(await client.message()).toContain("a: GET /one HTTP/1.1");
    expect(await client.message()).toContain("b: GET /two HTTP/1.1");
    client.send(absolute("http://a/three"));
    expect(await client.message()).toContain("a: GET /three HTTP/1.1");
  });

  it("asks the system for names outside the mesh, and keeps the body meanwhile", async () => {
    const bodies: string[] = [];
    const outside = await origin((peer, message) => {
      bodies.push(message.slice(message.indexOf("\r\n\r\n") + 4));
      peer.send(response("200 OK", "ok"));
    });
    const proxy = sidecar(outside, { lookup: async () => ["127.0.0.1"] });
    await proxy.apply({
      clusters: [originalDst("PassthroughCluster", "outbound")],
      listeners: [catchAll()],
    });
    const client = await proxy.dial(15001);
    const head = `POST http://outside.example:${outside.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n`;
    client.send(`${head}body`);
    expect(await client.message()).toContain("200 OK");
    client.send(`${head}next`);
    expect(await client.message()).toContain("200 OK");
    expect(bodies).toEqual(["body", "next"]);
  });

  it("lets a listener on any address judge a name that nobody can resolve", async () => {
    const external = await httpOrigin("external");
    const proxy = sidecar(external);
    await proxy.apply({
      clusters: [clusterSpec("external", [external.port])],
      listeners: [catchAll(), listenerSpec("0.0.0.0_80", 80, { chains: [chainSpec(manager("external"))] })],
    });
    const client = await proxy.dial(15001);
    client.send(absolute("http://api.external.example/v1"));
    expect(await client.message()).toContain("external: GET /v1");
    client.send(absolute("http://api.external.example:8080/"));
    expect(await client.message()).toMatch(/^HTTP\/1\.1 503 [^]*api\.external\.example:8080: the name cannot be resolved/);
  });

  const refusals: readonly [string, string, number, RegExp][] = [
    ["a request meant for a server", GET, 400, /HTTP proxy/],
    ["an https target", absolute("https://a/"), 400, /CONNECT/],
    ["a destination outside the registry", absolute("http://192.0.2.1:81/"), 502, /192\.0\.2\.1:81 .*REGISTRY_ONLY/],
    ["CONNECT outside the registry", "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: x\r\n\r\n", 502, /192\.0\.2\.1:443/],
  ];
  it.each(refusals)("refuses %s", async (_name, request, status, body) => {
    const proxy = sidecar(await httpOrigin("app"));
    await proxy.apply({ clusters: [clusterSpec("BlackHoleCluster", [])], listeners: [catchAll("BlackHoleCluster")] });
    const client = await proxy.dial(15001);
    client.send(request);
    const answer = await client.untilEnd();
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(body);
  });

  it("refuses to connect to itself", async () => {
    const app = await httpOrigin("app");
    const proxy = sidecar(app);
    await proxy.apply({
      clusters: [originalDst("PassthroughCluster", "outbound"), clusterSpec("BlackHoleCluster", [])],
      listeners: [catchAll(), inbound("PERMISSIVE", "http")],
    });
    for (const port of [15001, 15006]) {
      const client = await proxy.dial(15001);
      client.send(absolute(`http://${proxy.address}:${port}/`));
      expect(await client.message()).toMatch(/^HTTP\/1\.1 50[23] /);
    }
    const tunnel = await proxy.dial(15001);
    tunnel.send(`CONNECT ${proxy.address}:15001 HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(await tunnel.untilEnd()).toMatch(/^(HTTP\/1\.1 502 |$)/);
  });

  it("judges a call to the own container port as inbound traffic", async () => {
    const app = await httpOrigin("app");
    const proxy = sidecar(app);
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [originalDst("PassthroughCluster", "outbound"), originalDst("inbound|9080||", "inbound")],
      listeners: [catchAll(), inbound("STRICT", "http")],
    });
    const client = await proxy.dial(15001);
    client.send(absolute(`http://${proxy.address}:9080/`));
    expect(await client.message()).toMatch(/^HTTP\/1\.1 503 /);
    expect(app.connections).toHaveLength(0);
  });

  it("tunnels CONNECT as a connection of its own, early bytes included", async () => {
    const echo = await origin();
    const proxy = sidecar(echo, { lookup: async () => ["127.0.0.1"] });
    await proxy.apply({
      clusters: [originalDst("PassthroughCluster", "outbound")],
      listeners: [catchAll()],
    });
    for (const [index, host] of ["127.0.0.1", "named.example"].entries()) {
      const client = await proxy.dial(15001);
      client.send(`CONNECT ${host}:${echo.port} HTTP/1.1\r\nHost: x\r\n\r\nearly`);
      await client.until((text) => text.startsWith("HTTP/1.1 200 "));
      const server = await echo.connection(index);
      await server.until((text) => text === "early");
      client.send(" late");
      await server.until((text) => text === "early late");
      server.send("answer");
      await client.until((text) => text.endsWith("\r\n\r\nanswer"));
    }
  });

  it("inspects what comes through a tunnel", async () => {
    const http = await httpOrigin("http");
    const proxy = sidecar(http);
    await proxy.apply({
      names: { svc: [VIP] },
      clusters: [clusterSpec("http", [http.port]), clusterSpec("tcp", [1])],
      listeners: [
        catchAll(),
        listenerSpec(`${VIP}_7000`, 7000, {
          address: VIP,
          inspectors: INSPECT_ALL,
          chains: [
            chainSpec(manager("http"), { transportProtocol: "raw_buffer", applicationProtocols: ["http/1.1"] }),
            chainSpec(tcpSpec("tcp")),
          ],
        }),
      ],
    });
    const client = await proxy.dial(15001);
    client.send("CONNECT svc:7000 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(await client.message()).toMatch(/^HTTP\/1\.1 200 /);
    client.send(GET);
    expect(await client.message()).toContain("http: GET /x");
  });

  it("sends a service's stand-in address where the service is", async () => {
    const echo = await httpOrigin("echo");
    const proxy = sidecar(echo, { services: [[ECHO.host, 9000]] });
    await proxy.apply({
      names: { [ECHO.host]: [VIP] },
      clusters: [clusterSpec("echo", [echo.port])],
      listeners: [catchAll(), listenerSpec(`${VIP}_9000`, 9000, { address: VIP, chains: [chainSpec(tcpSpec("echo"))] })],
    });
    const client = await proxy.dial(15001);
    client.send(absolute(`http://${proxy.serviceAddress}:9000/`));
    expect(await client.message()).toContain("echo: GET /");
  });
});
