import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import type { ListenerSpec } from "../config/plan.ts";
import { clusterSpec } from "../router/testing/rig.ts";
import { chainSpec, INSPECT_ALL, listenerSpec, tcpSpec } from "../worker/testing/data-path-rig.ts";
import { Fixtures } from "../worker/testing/fixtures.ts";
import { parseProxyHeader } from "./proxy-header.ts";

const fixtures = new Fixtures();
afterEach(() => fixtures.close());

const V2 = "0d0a0d0a000d0a515549540a";
const hex = (...parts: readonly string[]): Buffer => Buffer.from(parts.join(""), "hex");
const route = (sourceAddress: string, sourcePort: number, destinationAddress: string, destinationPort: number) => ({
  sourceAddress,
  sourcePort,
  destinationAddress,
  destinationPort,
});

describe("parseProxyHeader", () => {
  it.each<[string, Buffer, ReturnType<typeof parseProxyHeader>]>([
    [
      "TCP4",
      Buffer.from("PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\nGET"),
      { kind: "header", version: 1, length: 46, route: route("203.0.113.7", 5000, "198.51.100.1", 443) },
    ],
    [
      "TCP6",
      Buffer.from("PROXY TCP6 2001:db8::7 ::1 1 2\r\n"),
      { kind: "header", version: 1, length: 32, route: route("2001:db8::7", 1, "::1", 2) },
    ],
    ["UNKNOWN", Buffer.from("PROXY UNKNOWN ffff\r\n"), { kind: "header", version: 1, length: 20, route: undefined }],
    ["a wrong family", Buffer.from("PROXY TCP4 ::1 ::1 1 2\r\n"), { kind: "bad" }],
    ["a port out of range", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"), { kind: "bad" }],
    ["a line without end", Buffer.from(`PROXY TCP4 ${"1".repeat(120)}`), { kind: "bad" }],
    ["something else", Buffer.from("GET / HTTP/1.1\r\n"), { kind: "absent" }],
    [
      "version 2, IPv4, with an extension",
      hex(V2, "21", "11", "0010", "cb007107", "c6336401", "1388", "01bb", "04000100"),
      { kind: "header", version: 2, length: 32, route: route("203.0.113.7", 5000, "198.51.100.1", 443) },
    ],
    [
      "version 2, IPv6",
      hex(V2, "21", "21", "0024", "20010db8000000000000000000000007", "0".repeat(31), "1", "0001", "0002"),
      { kind: "header", version: 2, length: 52, route: route("2001:db8:0:0:0:0:0:7", 1, "0:0:0:0:0:0:0:1", 2) },
    ],
    ["version 2, LOCAL", hex(V2, "20", "00", "0000"), { kind: "header", version: 2, length: 16, route: undefined }],
    ["version 2 for datagrams", hex(V2, "21", "12", "0000"), { kind: "bad" }],
    ["version 2, too short for its family", hex(V2, "21", "11", "0004", "00000000"), { kind: "bad" }],
    ["version 3", hex(V2, "31", "11", "0000"), { kind: "bad" }],
  ])("%s", (_name, bytes, expected) => {
    expect(parseProxyHeader(bytes)).toEqual(expected);
    if (expected.kind !== "header") return;
    for (let end = 1; end < expected.length; end++) {
      expect(parseProxyHeader(bytes.subarray(0, end))).toEqual({ kind: "incomplete" });
    }
  });

  it("never throws", () => {
    const starts = fc.constantFrom(Buffer.alloc(0), Buffer.from("PROXY "), hex(V2));
    fc.assert(
      fc.property(starts, fc.uint8Array({ maxLength: 200 }), (start, bytes) => {
        const found = parseProxyHeader(Buffer.concat([start, bytes]));
        if (found.kind === "header") expect(found.length).toBeLessThanOrEqual(start.length + bytes.length);
      }),
    );
  });
});

describe("a listener behind a load balancer", () => {
  /** Clients of 203.0.113.0/24 to one origin, all others to another. */
  async function listening(proxyProtocol: NonNullable<ListenerSpec["proxyProtocol"]>) {
    const known = await fixtures.origin();
    const other = await fixtures.origin();
    const proxy = fixtures.rig({});
    await proxy.apply({
      clusters: [clusterSpec("known", [known.port]), clusterSpec("other", [other.port])],
      listeners: [
        listenerSpec("l", 7000, {
          bindToPort: true,
          proxyProtocol,
          inspectors: { ...INSPECT_ALL, tls: false, http: false },
          chains: [chainSpec(tcpSpec("known"), { sourcePrefixes: ["203.0.113.0/24"] })],
          defaultChain: chainSpec(tcpSpec("other")),
        }),
      ],
    });
    return { known, other, proxy };
  }

  it("sees who the balancer speaks for, and passes on what follows", async () => {
    const { known, proxy } = await listening({ optional: false, refusedVersions: [] });
    const client = await proxy.dial(7000);
    client.send("PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\nhello");
    expect(await (await known.connection(0)).until((text) => text !== "")).toBe("hello");
  });

  it("takes a connection without a header only where that is allowed", async () => {
    const { other, proxy } = await listening({ optional: true, refusedVersions: [1] });
    const client = await proxy.dial(7000);
    client.send("hello");
    expect(await (await other.connection(0)).until((text) => text !== "")).toBe("hello");
    const refused = await proxy.dial(7000);
    refused.send("PROXY TCP4 203.0.113.7 198.51.100.1 5000 443\r\nhello");
    await refused.untilEnd();
  });

  it("closes a connection that must have a header and has none", async () => {
    const { proxy } = await listening({ optional: false, refusedVersions: [] });
    const client = await proxy.dial(7000);
    client.send("hello");
    await client.untilEnd();
  });
});
