import { afterEach, describe, expect, it } from "vitest";
import { parseProxyHeader } from "../listener/proxy-header.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import { response } from "../router/testing/wire.ts";
import { chainSpec, clientTls, listenerSpec, serverTls, tcpSpec } from "../worker/testing/data-path-rig.ts";
import { Fixtures, identity, manager, WEB } from "../worker/testing/fixtures.ts";
import { proxyLine } from "./proxy-line.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

const route = (sourceAddress: string, destinationAddress: string) => ({
  sourceAddress,
  sourcePort: 40_000,
  destinationAddress,
  destinationPort: 443,
});

describe("the header", () => {
  it.each([
    [1, route("192.0.2.1", "198.51.100.2")],
    [2, route("192.0.2.1", "198.51.100.2")],
    [1, route("2001:db8::1", "::ffff:1.2.3.4")],
    [2, route("2001:db8:0:0:1:0:0:1", "2001:db8:0:0:0:0:0:2")],
  ] as const)("of version %s says what a reader finds", (version, client) => {
    const bytes = proxyLine(version, client, undefined);
    expect(parseProxyHeader(bytes)).toEqual({ kind: "header", version, length: bytes.length, route: client });
  });

  it.each([
    ["2001:db8::1", "2001:db8:0:0:0:0:0:1"],
    ["::", "0:0:0:0:0:0:0:0"],
    ["fe80::1%eth0", "fe80:0:0:0:0:0:0:1"],
    ["::ffff:192.0.2.1", "0:0:0:0:0:ffff:c000:201"],
  ])("writes %s in binary", (address, expected) => {
    const read = parseProxyHeader(proxyLine(2, route(address, "::1"), undefined));
    expect(read).toMatchObject({ route: { sourceAddress: expected } });
  });

  it("speaks for itself without a client, and of nothing when addresses are of two kinds", () => {
    const own = route("127.0.0.1", "127.0.0.2");
    expect(proxyLine(1, undefined, own).toString()).toBe("PROXY TCP4 127.0.0.1 127.0.0.2 40000 443\r\n");
    expect(proxyLine(2, undefined, own).toString("hex")).toBe("0d0a0d0a000d0a515549540a20000000");
    const mixed = route("192.0.2.1", "::1");
    expect(proxyLine(1, mixed, undefined).toString()).toBe("PROXY UNKNOWN\r\n");
    expect(proxyLine(2, mixed, undefined).toString("hex")).toBe("0d0a0d0a000d0a515549540a20000000");
  });
});

describe("a cluster whose connections begin with a PROXY line", () => {
  it("tells a TCP client's addresses before its bytes", async () => {
    const origin = await fixtures.origin();
    const proxy = fixtures.rig();
    await proxy.apply({
      clusters: [clusterSpec("far", [origin.port], { transport: { kind: "raw", proxyLine: 1 } })],
      listeners: [listenerSpec("tcp", 9000, { bindToPort: true, chains: [chainSpec(tcpSpec("far"))] })],
    });
    const client = await proxy.dial(9000);
    client.send("hello");
    const { localAddress, localPort } = client.socket;
    const expected = `PROXY TCP4 ${localAddress} ${proxy.address} ${localPort} 9000\r\nhello`;
    const server = await origin.connection(0);
    expect(await server.until((text) => text.length >= expected.length)).toBe(expected);
  });

  it.each([1, 2] as const)("does so with version %s before a TLS handshake", async (version) => {
    const echo = await fixtures.origin((peer, message) => peer.send(response("200 OK", `far saw ${message.length}`)));
    const far = fixtures.rig();
    await far.apply({
      secrets: identity(WEB),
      clusters: [clusterSpec("echo", [echo.port])],
      listeners: [
        listenerSpec("in", 9443, {
          bindToPort: true,
          direction: "inbound",
          proxyProtocol: { optional: false, refusedVersions: version === 1 ? [2] : [1] },
          chains: [chainSpec(tcpSpec("echo"), {}, { transport: serverTls() })],
        }),
      ],
    });
    const near = fixtures.rig();
    const spec = clusterSpec("far", [9443], { transport: { ...clientTls(), proxyLine: version } });
    const endpoints = spec.endpoints.map((locality) => ({
      ...locality,
      endpoints: locality.endpoints.map((endpoint) => ({ ...endpoint, address: far.address })),
    }));
    await near.apply({
      secrets: identity(WEB),
      clusters: [{ ...spec, endpoints }],
      listeners: [listenerSpec("tcp", 9000, { bindToPort: true, chains: [chainSpec(tcpSpec("far"))] })],
    });
    const client = await near.dial(9000);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(await client.message()).toContain("far saw");
    const { localAddress, localPort } = client.socket;
    client.socket.end();
    const server = await echo.connection(0);
    server.socket.end();
    await client.untilEnd();
    expect(await far.record()).toMatchObject({
      downstreamRemoteAddress: `${localAddress}:${localPort}`,
      downstreamLocalAddress: `${near.address}:9000`,
    });
  });

  it("keeps the HTTP connections of clients apart, and uses each one's own again", async () => {
    const origin = await fixtures.origin();
    const proxy = fixtures.rig();
    await proxy.apply({
      clusters: [clusterSpec("far", [origin.port], { transport: { kind: "raw", proxyLine: 1 } })],
      listeners: [listenerSpec("http", 9000, { bindToPort: true, chains: [chainSpec(manager("far"))] })],
    });
    const [one, two] = [await proxy.dial(9000), await proxy.dial(9000)];
    const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (const [client, index] of [[one, 0] as const, [two, 1] as const]) {
      client.send(request);
      const server = await origin.connection(index);
      const text = await server.until((received) => received.endsWith("\r\n\r\n"));
      expect(text).toContain(
        `PROXY TCP4 ${client.socket.localAddress} ${proxy.address} ${client.socket.localPort} 9000\r\nGET /`,
      );
      server.text = "";
      server.send(response("200 OK", `${index}`));
      expect(await client.message()).toContain(`${index}`);
    }
    one.send(request);
    const first = await origin.connection(0);
    expect(await first.until((text) => text.endsWith("\r\n\r\n"))).toMatch(/^GET \//);
    first.send(response("200 OK", "again"));
    expect(await one.message()).toContain("again");
    expect(origin.connections).toHaveLength(2);
  });

  it("reports a refused connection as any other", async () => {
    const origin = await fixtures.origin();
    origin.close();
    const proxy = fixtures.rig();
    await proxy.apply({
      secrets: identity(WEB),
      clusters: [clusterSpec("far", [origin.port], { transport: { ...clientTls(), proxyLine: 2 } })],
      listeners: [listenerSpec("tcp", 9000, { bindToPort: true, chains: [chainSpec(tcpSpec("far"))] })],
    });
    await proxy.resetBy(9000);
    expect(await proxy.record()).toMatchObject({ responseFlags: "UF" });
  });
});
