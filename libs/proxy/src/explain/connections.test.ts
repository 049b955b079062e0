import { createTestCa, DEAD_PORTS, manualClock } from "@lateen/test-support";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterSpec, FilterChainSpec, ListenerSpec, TcpProxySpec } from "../config/plan.ts";
import { clusterSpec, managerSpec } from "../router/testing/rig.ts";
import {
  chainSpec,
  clientTls,
  type DataPathRig,
  type DataPathRigOptions,
  INSPECT_ALL,
  listenerSpec,
  serverTls,
  tcpSpec,
} from "../worker/testing/data-path-rig.ts";
import { CLIENT, ca, Fixtures, identity, WEB } from "../worker/testing/fixtures.ts";
import { BrokenConnections } from "./broken-connections.ts";
import type { ConnectionRecord } from "./connection-record.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

const PORT = 9000;
const DESTINATION = "/apis/networking.istio.io/v1alpha3/namespaces/shop/destination-rule/app";
const RULE = "PeerAuthentication shop/strict mtls";

interface Setup {
  readonly clusters?: readonly ClusterSpec[];
  readonly tcp?: Partial<TcpProxySpec>;
  readonly chain?: Partial<FilterChainSpec>;
  readonly listener?: Partial<ListenerSpec>;
  readonly options?: DataPathRigOptions;
}

async function proxied({ clusters = [], tcp, chain, listener, options }: Setup): Promise<DataPathRig> {
  const proxy = fixtures.rig(options);
  const own = chainSpec(tcpSpec("app", tcp), {}, { name: "own", ...chain });
  await proxy.apply({
    clusters,
    secrets: identity(WEB),
    listeners: [listenerSpec("tcp", PORT, { bindToPort: true, chains: [own], ...listener })],
  });
  return proxy;
}

const all = (proxy: DataPathRig) => proxy.dataPath.inspect("connections") as readonly ConnectionRecord[];

/** The one record, once the connection is in the access log. */
async function only(proxy: DataPathRig): Promise<ConnectionRecord> {
  await proxy.record();
  const [record, ...others] = all(proxy);
  expect(others).toEqual([]);
  if (record === undefined) throw new Error("no record");
  return record;
}

/** A cluster that an object shapes. */
const app = (ports: readonly number[], more: Partial<ClusterSpec> = {}) =>
  clusterSpec("app", ports, { origin: DESTINATION, ...more });

describe("a connection that goes well", () => {
  it("leaves no record", async () => {
    const backend = await fixtures.origin();
    const proxy = await proxied({ clusters: [app([backend.port])] });
    const client = await proxy.dial(PORT);
    const server = await backend.connection(0);
    client.close();
    server.close();
    await proxy.record();
    expect(all(proxy)).toEqual([]);
  });
});

describe("the record of a connection without an upstream", () => {
  const BREAKERS = { maxConnections: 0, maxPendingRequests: 1, maxRequests: 1, maxRetries: 1 };
  const cases: readonly [string, Setup, string, object][] = [
    ["no cluster", {}, "NC", { cluster: "app", exists: false }],
    ["no endpoint", { clusters: [app([])] }, "UH", { exists: true, endpoints: 0, origin: DESTINATION }],
    [
      "nobody listening",
      { clusters: [app([DEAD_PORTS[0]])] },
      "UF",
      { outcome: "connectFailure", failure: "delayed connect error: Connection refused", attempts: 1 },
    ],
    [
      "nobody listening at any attempt",
      { clusters: [app([...DEAD_PORTS])], tcp: { maxConnectAttempts: 2 } },
      "UF,URX",
      { outcome: "connectFailure", attempts: 2 },
    ],
    [
      "an open breaker",
      { clusters: [app([DEAD_PORTS[0]], { circuitBreakers: BREAKERS })] },
      "UO",
      { maxConnections: 0 },
    ],
  ];
  it.each(cases)("%s", async (_, setup, flags, upstream) => {
    const proxy = await proxied(setup);
    await proxy.resetBy(PORT);
    const record = await only(proxy);
    expect(record).toMatchObject({ kind: "upstream", flags, listener: "tcp", chain: "own", times: 1, upstream });
    expect(record.destination).toBe(`${proxy.address}:${PORT}`);
    expect(record.client.port).toBeGreaterThan(0);
  });

  it("an endpoint that does not finish the handshake in time", async () => {
    const clock = manualClock();
    const silent = await fixtures.origin();
    const cluster = app([silent.port], { transport: clientTls(), connectTimeoutMs: 700 });
    const proxy = await proxied({ clusters: [cluster], options: { clock } });
    const gone = (await proxy.dial(PORT)).untilEnd().catch(() => undefined);
    await silent.connection(0);
    clock.advance(800);
    await gone;
    await clock.advanceAsync(200);
    const upstream = { outcome: "connectTimeout", connectTimeoutMs: 700, tls: true };
    expect(await only(proxy)).toMatchObject({ kind: "upstream", flags: "UF", upstream });
  });

  it("an endpoint that does not speak TLS", async () => {
    const plain = await fixtures.origin((peer) => peer.send("no TLS here\r\n"));
    const proxy = await proxied({ clusters: [app([plain.port], { transport: clientTls() })] });
    void plain.connection(0).then((peer) => peer.send("220 no TLS here\r\n"));
    await proxy.resetBy(PORT);
    const record = await only(proxy);
    expect(record).toMatchObject({ kind: "upstream", flags: "UF", upstream: { outcome: "tlsFailure", tls: true } });
    expect(record.upstream?.failure).toMatch(/^TLS_error: ./);
  });

  it("an endpoint that breaks the connection", async () => {
    const backend = await fixtures.origin();
    const proxy = await proxied({ clusters: [app([backend.port])] });
    const client = await proxy.dial(PORT);
    const server = await backend.connection(0);
    server.send("x");
    await client.until((text) => text === "x");
    server.socket.resetAndDestroy();
    expect(await only(proxy)).toMatchObject({ kind: "upstream", details: "upstream connection was reset" });
  });
});

describe("the record of a connection that was served", () => {
  it.each([
    ["idle", { idleTimeoutMs: 1000 }, "", "idle_timeout"],
    ["too old", { maxDurationMs: 1000 }, "DT", "max_duration_timeout"],
  ])("and was %s", async (_, tcp, flags, details) => {
    const clock = manualClock();
    const backend = await fixtures.origin();
    const proxy = await proxied({ clusters: [app([backend.port])], tcp, options: { clock } });
    const client = await proxy.dial(PORT);
    const server = await backend.connection(0);
    server.send("x");
    await client.until((text) => text === "x");
    const gone = client.untilEnd().catch(() => undefined);
    clock.advance(1100);
    await gone;
    await clock.advanceAsync(200);
    const record = await only(proxy);
    expect(record).toMatchObject({ kind: "timeout", flags, details, bytesSent: 1 });
    expect(record.upstream).toMatchObject({ cluster: "app", endpoint: `127.0.0.1:${backend.port}` });
  });
});

describe("the record of a connection that no chain takes", () => {
  const strict = (more: Partial<ListenerSpec> = {}): Setup => ({
    listener: {
      direction: "inbound",
      inspectors: INSPECT_ALL,
      chains: [
        chainSpec(tcpSpec("app"), { destinationPort: PORT, transportProtocol: "tls" }, { transport: serverTls() }),
      ],
      peerAuthentication: { ports: {}, others: RULE },
      ...more,
    },
  });

  it("plain text to mutual TLS names the object that demands it", async () => {
    const proxy = await proxied(strict());
    const reset = proxy.dial(PORT).then((client) => {
      client.send("hello");
      return client.untilEnd().catch(() => undefined);
    });
    const record = await only(proxy);
    await reset;
    expect(record).toMatchObject({
      ...{ kind: "noChain", flags: "NR", details: "filter_chain_not_found", because: RULE },
      offered: { tls: false, serverName: "" },
      wanted: [{ transport: "tls", serverNames: [] }],
    });
  });

  it("names the object of the port before that of the workload", async () => {
    const ofPort = "PeerAuthentication shop/strict portLevelMtls[9000]";
    const proxy = await proxied(strict({ peerAuthentication: { ports: { [PORT]: ofPort }, others: RULE } }));
    (await proxy.dial(PORT)).send("hello");
    expect((await only(proxy)).because).toBe(ofPort);
  });

  it("TLS for a name that is not served tells both", async () => {
    const named = chainSpec(tcpSpec("app"), { serverNames: ["a.example.com"], transportProtocol: "tls" });
    const proxy = await proxied({ listener: { inspectors: INSPECT_ALL, chains: [named] } });
    await expect(proxy.dialTls(PORT, { servername: "b.example.com", rejectUnauthorized: false })).rejects.toThrow();
    expect(await only(proxy)).toMatchObject({
      ...{ kind: "noChain", offered: { tls: true, serverName: "b.example.com" } },
      wanted: [{ transport: "tls", serverNames: ["a.example.com"] }],
    });
  });
});

describe("the record of a handshake that failed", () => {
  const setup: Setup = {
    chain: { transport: serverTls() },
    listener: { peerAuthentication: { ports: {}, others: RULE } },
  };
  const pair = (authority: ReturnType<typeof createTestCa>) => {
    const { certPem, keyPem } = authority.issue({ uris: [CLIENT] });
    return { key: keyPem, cert: certPem };
  };

  it("for want of a client certificate", async () => {
    const proxy = await proxied(setup);
    await proxy.dialTls(PORT, { rejectUnauthorized: false }).then(
      (client) => client.untilEnd().catch(() => undefined),
      () => undefined,
    );
    const record = await only(proxy);
    expect(record).toMatchObject({ kind: "handshake", chain: "own", because: RULE, offered: { tls: true } });
    expect(record.details).toContain("peer_did_not_return_a_certificate");
  });

  it("for a certificate of an unknown authority", async () => {
    const proxy = await proxied(setup);
    const stranger = pair(createTestCa());
    await proxy.dialTls(PORT, { ...stranger, rejectUnauthorized: false }).then(
      (client) => client.untilEnd().catch(() => undefined),
      () => undefined,
    );
    const record = await only(proxy);
    expect(record.kind).toBe("handshake");
    expect(record.details).toMatch(/certificate_verify_failed/);
  });

  it("because the client does not know our authority", async () => {
    const proxy = await proxied(setup);
    await expect(proxy.dialTls(PORT, { ...pair(ca), ca: createTestCa().rootPem })).rejects.toThrow();
    expect((await only(proxy)).kind).toBe("handshake");
  });

  it("because the client speaks plain text", async () => {
    const proxy = await proxied(setup);
    (await proxy.dial(PORT)).send("GET / HTTP/1.1\r\n\r\n");
    expect((await only(proxy)).details).toBe("tls_error{the_client_does_not_speak_TLS}");
  });
});

describe("the record of a connection that a network filter refused", () => {
  const refusing = (verdict: object) => ({
    networkFilters: [
      { name: "no", create: () => ({ onConnection: () => ({ allowed: false, details: "d", ...verdict }) }) },
    ],
  });
  const chain = { networkFilters: [{ name: "no", config: {} }] };

  it("carries the policy, and for bytes the log line its id", async () => {
    const proxy = await proxied({ chain, options: refusing({ because: "policy p" }) });
    const client = await proxy.dial(PORT);
    await client.untilEnd();
    expect(await only(proxy)).toMatchObject({ kind: "policy", details: "d", because: "policy p", connectionId: 1 });
  });

  it("before HTTP is recorded, too", async () => {
    const proxy = await proxied({
      chain: { ...chain, terminal: managerSpec() },
      options: refusing({ candidates: ["a", "b"] }),
    });
    await proxy.resetBy(PORT);
    expect(all(proxy)).toMatchObject([{ kind: "policy", candidates: ["a", "b"], listener: "tcp" }]);
  });
});

describe("broken connections", () => {
  const cause = (connectionId: number, more: object = {}) => ({
    ...({ kind: "handshake", connectionId, startTimeMs: connectionId, listener: "l", chain: "c" } as const),
    ...{ clientAddress: "10.0.0.1", destination: "10.0.0.2:80", flags: "", details: "d", cluster: "" },
    ...more,
  });
  let made = 0;
  const detail = () => {
    made++;
    return {} as never;
  };

  it("of one client for one reason are one record with a bounded number of ids", () => {
    const broken = new BrokenConnections(256);
    made = 0;
    for (let id = 1; id <= 10_000; id++) broken.add(cause(id), detail);
    const [record, ...others] = broken.all();
    expect([others, made]).toEqual([[], 1]);
    expect(record).toMatchObject({ connectionId: 10_000, times: 10_000, startTimeMs: 10_000 });
    expect(record?.earlierIds).toEqual(Array.from({ length: 15 }, (_, index) => 9_999 - index));
  });

  it("that anybody can bring about push out neither refusals by policy nor failures of upstreams", () => {
    const broken = new BrokenConnections(256);
    broken.add(cause(1, { kind: "policy" }), detail);
    broken.add(cause(2, { kind: "upstream" }), detail);
    for (let id = 3; id < 1000; id++) broken.add(cause(id, { clientAddress: `10.0.0.${id}` }), detail);
    const ids = broken.all().map(({ connectionId }) => connectionId);
    expect(ids).toHaveLength(2 + 64);
    expect(ids.slice(0, 3)).toEqual([1, 2, 936]);
  });

  it("that keep happening stay before those that do not", () => {
    const broken = new BrokenConnections(2);
    for (const [id, client] of [
      [1, "a"],
      [2, "b"],
      [3, "a"],
      [4, "c"],
    ] as const) {
      broken.add(cause(id, { clientAddress: client }), detail);
    }
    expect(broken.all().map(({ connectionId, times }) => [connectionId, times])).toEqual([
      [3, 2],
      [4, 1],
    ]);
  });

  it("are none when none are wanted", () => {
    const broken = new BrokenConnections(0);
    broken.add(cause(1), detail);
    expect([broken.enabled, broken.all()]).toEqual([false, []]);
  });
});
