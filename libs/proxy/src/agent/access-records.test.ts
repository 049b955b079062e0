import { Scope } from "@lateen/kernel";
import { StreamAccessLogsMessage } from "@lateen/proto/envoy/service/accesslog/v3/als";
import { manualClock } from "@lateen/test-support";
import { describe, expect, it } from "vitest";
import type { AccessRecord } from "../worker/protocol.ts";
import { RecordSender } from "./access-records.ts";

const record = (fields: Partial<AccessRecord> = {}): AccessRecord => ({
  startTimeMs: 1_700_000_000_123,
  durationMs: 12.5,
  protocol: "http/1.1",
  method: "GET",
  path: "/a",
  authority: "reviews:9080",
  requestId: "id",
  userAgent: "curl",
  responseCode: 503,
  responseFlags: "UF,URX",
  responseDetails: "upstream_reset",
  bytesReceived: 1,
  bytesSent: 2,
  upstreamCluster: "outbound|9080||reviews",
  upstreamHost: "10.0.0.1:9080",
  routeName: "default",
  downstreamRemoteAddress: "[::1]:5000",
  downstreamLocalAddress: "10.0.0.2:80",
  peerPrincipal: "spiffe://td/ns/a/sa/b",
  localPrincipal: "spiffe://td/ns/c/sa/d",
  reporter: "destination",
  source: undefined,
  destination: undefined,
  destinationService: "reviews",
  ...fields,
});

function setUp(accepts = Number.POSITIVE_INFINITY) {
  const clock = manualClock(Date.now());
  const scope = new Scope();
  const sent: StreamAccessLogsMessage[] = [];
  const world = { accepts };
  const sender = new RecordSender({
    scope,
    clock,
    node: { id: "node" } as never,
    messages: StreamAccessLogsMessage,
    send: (message) => {
      if (sent.length >= world.accepts) return false;
      sent.push(message);
      return true;
    },
  });
  return { clock, scope, sent, sender, world };
}

describe("access records", () => {
  it("become HTTP entries with flags, addresses and principals", () => {
    const { sender, sent } = setUp();
    sender.add("log", [record()], 0);
    expect(sent[0]?.identifier).toMatchObject({ logName: "log", node: { id: "node" } });
    const entries = sent[0]?.logEntries;
    expect(entries?.$case === "httpLogs" && entries.value.logEntry[0]).toMatchObject({
      protocolVersion: 2,
      request: { requestMethod: 1, path: "/a", authority: "reviews:9080", requestId: "id" },
      response: { responseCode: 503, responseBodyBytes: 2n, responseCodeDetails: "upstream_reset" },
      commonProperties: {
        startTime: { seconds: 1_700_000_000n, nanos: 123_000_000 },
        duration: { seconds: 0n, nanos: 12_500_000 },
        responseFlags: { upstreamConnectionFailure: true, upstreamRetryLimitExceeded: true, noRouteFound: false },
        upstreamCluster: "outbound|9080||reviews",
        downstreamRemoteAddress: { address: { value: { address: "::1", portSpecifier: { value: 5000 } } } },
        tlsProperties: { peerCertificateProperties: { subjectAltName: [{ san: { value: "spiffe://td/ns/a/sa/b" } }] } },
        customTags: { reporter: "destination", response_flags: "UF,URX" },
      },
    });
  });

  it("of TCP become TCP entries", () => {
    const { sender, sent } = setUp();
    sender.add("log", [record({ protocol: "tcp" })], 0);
    expect(sent[0]?.logEntries?.$case).toBe("tcpLogs");
  });

  it("wait while the service takes none, and are sent in order later", () => {
    const { sender, sent, clock, world } = setUp(0);
    sender.add("log", [record({ path: "/1" }), record({ path: "/2" })], 0);
    sender.add("other", [record({ path: "/3" })], 0);
    expect(sent).toHaveLength(0);
    world.accepts = 10;
    clock.advance(1000);
    expect(sent.map(({ identifier }) => identifier?.logName)).toEqual(["log", "other"]);
    expect(sender).toMatchObject({ sent: 3, dropped: 0 });
  });

  it("beyond the bound are dropped and counted, with those a worker dropped", () => {
    const { sender } = setUp(0);
    sender.add(
      "log",
      Array.from({ length: 9000 }, () => record()),
      7,
    );
    expect(sender.dropped).toBe(9000 - 8192 + 7);
  });
});
