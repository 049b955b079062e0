import { afterEach, describe, expect, it } from "vitest";
import { clusterSpec } from "../router/testing/rig.ts";
import { response } from "../router/testing/wire.ts";
import { chainSpec, INSPECT_ALL, listenerSpec, originalDst, tcpSpec } from "../worker/testing/data-path-rig.ts";
import { catchAll, Fixtures, GET, identity, inbound, manager, WEB } from "../worker/testing/fixtures.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

const ECHO = { host: "echo.default.svc.cluster.local", name: "echo", namespace: "default" };
const VIP = "10.96.0.10";

describe("the explicit proxy", () => {
  const absolute = (url: string, extra = ""): string => `GET ${url} HTTP/1.1\r\nHost: ignored\r\n${extra}\r\n`;

  it("decides per request on one client connection", async () => {
    const a = await fixtures.httpOrigin("a");
    const b = await fixtures.httpOrigin("b");
    const proxy = fixtures.sidecar(a);
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

  it("follows changes of names and listeners between requests", async () => {
    const [a, b] = [await fixtures.httpOrigin("a"), await fixtures.httpOrigin("b")];
    const proxy = fixtures.sidecar(a);
    const at = (address: string, cluster: string) =>
      listenerSpec(`${address}_80`, 80, { address, chains: [chainSpec(manager(cluster))] });
    await proxy.apply({
      names: { svc: ["10.96.0.1"] },
      clusters: [clusterSpec("a", [a.port]), clusterSpec("b", [b.port])],
      listeners: [catchAll(), at("10.96.0.1", "a"), at("10.96.0.2", "b")],
    });
    const client = await proxy.dial(15001);
    const ask = async (): Promise<string> => {
      client.send(absolute("http://svc/"));
      return (await client.message()).split("\r\n\r\n")[1]?.slice(0, 1) ?? "";
    };
    expect([await ask(), await ask()]).toEqual(["a", "a"]);
    await proxy.apply({ names: { svc: ["10.96.0.2"] } });
    expect([await ask(), await ask()]).toEqual(["b", "b"]);
    await proxy.apply({ listeners: [at("10.96.0.2", "a")] });
    expect([await ask(), await ask()]).toEqual(["a", "a"]);
  });

  it("asks the system for names outside the mesh, and keeps the body meanwhile", async () => {
    const bodies: string[] = [];
    const outside = await fixtures.origin((peer, message) => {
      bodies.push(message.slice(message.indexOf("\r\n\r\n") + 4));
      peer.send(response("200 OK", "ok"));
    });
    const proxy = fixtures.sidecar(outside, { lookup: async () => ({ addresses: ["127.0.0.1"], ttlMs: undefined }) });
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
    const external = await fixtures.httpOrigin("external");
    const proxy = fixtures.sidecar(external);
    await proxy.apply({
      clusters: [clusterSpec("external", [external.port])],
      listeners: [catchAll(), listenerSpec("0.0.0.0_80", 80, { chains: [chainSpec(manager("external"))] })],
    });
    const client = await proxy.dial(15001);
    client.send(absolute("http://api.external.example/v1"));
    expect(await client.message()).toContain("external: GET /v1");
    client.send(absolute("http://api.external.example:8080/"));
    expect(await client.message()).toMatch(
      /^HTTP\/1\.1 503 [\s\S]*api\.external\.example:8080: the name cannot be resolved/,
    );
  });

  it("says that a name is unknown rather than that its passthrough has no endpoint", async () => {
    const proxy = fixtures.sidecar(await fixtures.httpOrigin("app"));
    const { routes } = manager("PassthroughCluster");
    await proxy.apply({
      clusters: [originalDst("PassthroughCluster", "outbound")],
      routes: "inline" in routes ? [{ ...routes.inline, name: "80" }] : [],
      listeners: [
        catchAll(),
        listenerSpec("0.0.0.0_80", 80, { chains: [chainSpec({ ...manager(""), routes: { rds: "80" } })] }),
      ],
    });
    const client = await proxy.dial(15001);
    client.send(absolute("http://misspelt/"));
    expect(await client.message()).toMatch(/^HTTP\/1\.1 503 [\s\S]*misspelt:80: the name cannot be resolved/);
  });

  const refusals: readonly [string, string, number, RegExp][] = [
    ["a request meant for a server", GET, 400, /HTTP proxy/],
    ["an https target", absolute("https://a/"), 400, /CONNECT/],
    ["a destination outside the registry", absolute("http://192.0.2.1:81/"), 502, /192\.0\.2\.1:81 .*REGISTRY_ONLY/],
    ["CONNECT outside the registry", "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: x\r\n\r\n", 502, /192\.0\.2\.1:443/],
  ];
  it.each(refusals)("refuses %s", async (_name, request, status, body) => {
    const proxy = fixtures.sidecar(await fixtures.httpOrigin("app"));
    await proxy.apply({ clusters: [clusterSpec("BlackHoleCluster", [])], listeners: [catchAll("BlackHoleCluster")] });
    const client = await proxy.dial(15001);
    client.send(request);
    const answer = await client.untilEnd();
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toMatch(body);
  });

  it("refuses to connect to itself", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.sidecar(app);
    await proxy.apply({
      clusters: [originalDst("PassthroughCluster", "outbound"), clusterSpec("BlackHoleCluster", [])],
      listeners: [catchAll(), inbound("PERMISSIVE", "http")],
    });
    for (const port of [15001, 15006]) {
      const client = await proxy.dial(15001);
      client.send(absolute(`http://${proxy.address}:${port}/`));
      expect(await client.message()).toMatch(port === 15001 ? /502 [\s\S]*the proxy itself/ : /^HTTP\/1\.1 503 /);
    }
    const tunnel = await proxy.dial(15001);
    tunnel.send(`CONNECT ${proxy.address}:15001 HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(await tunnel.untilEnd()).toMatch(/^(HTTP\/1\.1 502 |$)/);
  });

  it("judges a call to the own container port as inbound traffic", async () => {
    const app = await fixtures.httpOrigin("app");
    const proxy = fixtures.sidecar(app);
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
    const echo = await fixtures.origin();
    const proxy = fixtures.sidecar(echo, { lookup: async () => ({ addresses: ["127.0.0.1"], ttlMs: undefined }) });
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
    const http = await fixtures.httpOrigin("http");
    const proxy = fixtures.sidecar(http);
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
    const echo = await fixtures.httpOrigin("echo");
    const proxy = fixtures.sidecar(echo, { services: [[ECHO.host, 9000]] });
    await proxy.apply({
      names: { [ECHO.host]: [VIP] },
      clusters: [clusterSpec("echo", [echo.port])],
      listeners: [
        catchAll(),
        listenerSpec(`${VIP}_9000`, 9000, { address: VIP, chains: [chainSpec(tcpSpec("echo"))] }),
      ],
    });
    const client = await proxy.dial(15001);
    client.send(absolute(`http://${proxy.serviceAddress}:9000/`));
    expect(await client.message()).toContain("echo: GET /");
  });
});
