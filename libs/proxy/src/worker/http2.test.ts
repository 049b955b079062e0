import { connect, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterSpec } from "../config/plan.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import type { Origin } from "../router/testing/wire.ts";
import { chainSpec, clientTls, INSPECT_ALL, listenerSpec, originalDst, serverTls } from "./testing/data-path-rig.ts";
import { CLIENT, ca, credentials, Fixtures, identity, manager, WEB } from "./testing/fixtures.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

/** Answers with the protocol and the fields it saw. */
async function http2App(): Promise<number> {
  const server = createServer();
  server.on("stream", (stream, headers) => {
    stream.respond({ ":status": 200, "x-forwarded-client-cert": String(headers["x-forwarded-client-cert"] ?? "") });
    stream.end(`${headers[":method"]} ${headers[":path"]} to ${headers[":authority"]}`);
  });
  server.on("session", (session) => fixtures.defer(() => session.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  fixtures.defer(() => server.close());
  return (server.address() as AddressInfo).port;
}

interface Answer {
  readonly status: number;
  readonly certificate: string;
  readonly body: string;
  readonly alpn: string | undefined;
}

function ask(url: string, options: object = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connect(url, { checkServerIdentity: () => undefined, ...options });
    session.on("error", reject);
    fixtures.defer(() => session.destroy());
    const stream = session.request({ ":path": "/pets", ":authority": "shop" });
    let status = 0;
    let certificate = "";
    let body = "";
    stream.on("response", (headers) => {
      status = Number(headers[":status"]);
      certificate = String(headers["x-forwarded-client-cert"]);
    });
    stream.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    stream.on("error", reject);
    stream.on("end", () => resolve({ status, certificate, body, alpn: session.alpnProtocol }));
  });
}

/** A sidecar that takes HTTP on port 9080, over mutual TLS alone, and speaks to its application what its client speaks. */
async function serverSide(appPort: number) {
  const app = { port: appPort } as Origin;
  const proxy = fixtures.sidecar(app);
  await proxy.apply({
    secrets: identity(WEB),
    clusters: [{ ...originalDst("inbound|9080||", "inbound"), protocol: "downstream" }],
    listeners: [
      listenerSpec("virtualInbound", 15006, {
        bindToPort: true,
        direction: "inbound",
        inspectors: INSPECT_ALL,
        chains: [
          chainSpec(
            manager("inbound|9080||"),
            { destinationPort: 9080, transportProtocol: "tls" },
            { transport: serverTls({ alpn: ["h2", "http/1.1", "istio"] }) },
          ),
        ],
      }),
    ],
  });
  return proxy;
}

describe("HTTP/2 over mutual TLS", () => {
  it("is chosen by ALPN on the way in", async () => {
    const proxy = await serverSide(await http2App());
    const answer = await ask(`https://${proxy.address}:9080`, { ...credentials(CLIENT), ALPNProtocols: ["h2"] });
    expect(answer).toMatchObject({ status: 200, body: "GET /pets to shop", alpn: "h2" });
    expect(answer.certificate).toContain(`URI=${CLIENT}`);
  });

  it.each<[string, Partial<ClusterSpec>, readonly string[]]>([
    ["a cluster that is HTTP/2", { protocol: "http2" }, ["istio-h2", "istio", "h2"]],
    ["a cluster that follows its clients", { protocol: "downstream" }, ["istio-http/1.1", "istio", "h2", "http/1.1"]],
    ["a cluster that asks by ALPN", { protocol: "auto" }, []],
  ])("goes from sidecar to sidecar: %s", async (_title, protocol, alpn) => {
    const server = await serverSide(await http2App());
    const client = fixtures.rig();
    const cluster = clusterSpec("outbound", [9080], { transport: clientTls({ alpn: [...alpn] }), ...protocol });
    const endpoints = cluster.endpoints.map((locality) => ({
      ...locality,
      endpoints: locality.endpoints.map((endpoint) => ({ ...endpoint, address: server.address })),
    }));
    await client.apply({
      secrets: identity(CLIENT),
      clusters: [{ ...cluster, endpoints }],
      listeners: [listenerSpec("http", 8000, { bindToPort: true, chains: [chainSpec(manager("outbound"))] })],
    });
    const answer = await ask(`http://${client.address}:8000`);
    expect(answer).toMatchObject({ status: 200, body: "GET /pets to shop" });
    expect(answer.certificate).toContain(`URI=${CLIENT}`);
  });
});

it.each([
  ["reject", "the stream is reset"],
  ["drop", 'GET /pets {"x-user":"bob"}'],
  [undefined, 'GET /pets {"x_user":"eve","x-user":"bob"}'],
] as const)("headers with an underscore in their names: %s", async (underscores, expected) => {
  const server = createServer();
  server.on("stream", (stream, headers) => {
    const seen = Object.entries(headers).filter(([name]) => /^x.user$/.test(name));
    stream.respond({ ":status": 200 });
    stream.end(`${headers[":method"]} ${headers[":path"]} ${JSON.stringify(Object.fromEntries(seen))}`);
  });
  server.on("session", (session) => fixtures.defer(() => session.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  fixtures.defer(() => server.close());
  const proxy = fixtures.rig();
  const spec = { ...manager("app"), ...(underscores === undefined ? {} : { underscores }) };
  await proxy.apply({
    clusters: [clusterSpec("app", [(server.address() as AddressInfo).port], { protocol: "http2" })],
    listeners: [listenerSpec("http", 8000, { bindToPort: true, chains: [chainSpec(spec)] })],
  });
  const session = connect(`http://${proxy.address}:8000`);
  fixtures.defer(() => session.destroy());
  const answer = (headers: Record<string, string>) =>
    new Promise<string>((resolve) => {
      const stream = session.request({ ":path": "/pets", ":authority": "shop", ...headers });
      let body = "";
      stream.on("data", (chunk: Buffer) => {
        body += chunk.toString();
      });
      stream.on("error", () => resolve("the stream is reset"));
      stream.on("end", () => resolve(body));
    });
  expect(await answer({ x_user: "eve", "x-user": "bob" })).toBe(expected);
  // Other streams of the connection are not hurt.
  expect(await answer({ "x-user": "bob" })).toBe('GET /pets {"x-user":"bob"}');
});

it("a client certificate of another authority gets no HTTP/2 either", async () => {
  const proxy = await serverSide(await http2App());
  const { ca: ours } = { ca: ca.rootPem };
  await expect(ask(`https://${proxy.address}:9080`, { ca: ours, ALPNProtocols: ["h2"] })).rejects.toBeDefined();
});
