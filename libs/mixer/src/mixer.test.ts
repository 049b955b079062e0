import { silentLogger, systemClock } from "@lateen/kernel";
import { parseExposition, type Sample } from "@lateen/ports";
import { StreamAccessLogsMessage } from "@lateen/proto/envoy/service/accesslog/v3/als";
import { describe, expect, it } from "vitest";
import { createMixer, type Mixer } from "./index.ts";

const node = {
  id: "sidecar~127.64.0.3~reviews-v1-abc.shop~shop.svc.cluster.local",
  metadata: { NAMESPACE: "shop", WORKLOAD_NAME: "reviews-v1", LABELS: { app: "reviews", version: "v1" } },
};
type Partial = Parameters<typeof StreamAccessLogsMessage.fromPartial>[0];

/** Over the wire and back, as the gRPC service hands it over. */
function message(partial: Partial): StreamAccessLogsMessage {
  return StreamAccessLogsMessage.decode(
    StreamAccessLogsMessage.encode(StreamAccessLogsMessage.fromPartial(partial)).finish(),
  );
}
function mixer(limits = {}): Mixer {
  return createMixer({ clock: systemClock(), logger: silentLogger, limits });
}
function http(...logEntry: readonly object[]): StreamAccessLogsMessage {
  return message({
    identifier: { node, logName: "x" },
    logEntries: { $case: "httpLogs", value: { logEntry: [...logEntry] } },
  });
}
function samples(of: Mixer, name: string): Sample[] {
  return parseExposition(of.metrics()).filter((sample) => sample.name === name);
}
const outbound = {
  commonProperties: {
    upstreamCluster: "outbound|9080|v1|ratings.shop.svc.cluster.local",
    duration: { seconds: 0n, nanos: 12_000_000 },
  },
  request: { requestHeadersBytes: 100n, requestBodyBytes: 28n, authority: "attacker-chosen" },
  response: { responseCode: 200, responseHeadersBytes: 50n, responseBodyBytes: 950n },
};

describe("http entries", () => {
  it("counts an outbound request with the reporter as the source", () => {
    const under = mixer();
    under.receive(http(outbound, outbound), undefined);
    expect(samples(under, "mixer_requests_total")).toEqual([
      {
        name: "mixer_requests_total",
        value: 2,
        labels: {
          reporter: "source",
          source_workload: "reviews-v1",
          source_workload_namespace: "shop",
          source_principal: "unknown",
          source_canonical_service: "reviews",
          destination_workload: "unknown",
          destination_workload_namespace: "shop",
          destination_service: "ratings.shop.svc.cluster.local",
          destination_service_name: "ratings",
          destination_service_namespace: "shop",
          destination_canonical_service: "unknown",
          request_protocol: "http",
          response_code: "200",
          response_flags: "-",
          connection_security_policy: "unknown",
        },
      },
    ]);
    expect(samples(under, "mixer_request_duration_milliseconds_sum")[0]?.value).toBe(24);
    expect(samples(under, "mixer_request_bytes_sum")[0]?.value).toBe(256);
    expect(samples(under, "mixer_response_bytes_sum")[0]?.value).toBe(2000);
  });

  it("names the caller of an inbound request by its certificate", () => {
    const under = mixer();
    const uri = "spiffe://cluster.local/ns/front/sa/productpage";
    const peerCertificateProperties = { subjectAltName: [{ san: { $case: "uri", value: uri } }] };
    under.receive(
      http({ commonProperties: { upstreamCluster: "inbound|9080||", tlsProperties: { peerCertificateProperties } } }),
      undefined,
    );
    expect(samples(under, "mixer_requests_total")[0]?.labels).toMatchObject({
      reporter: "destination",
      source_principal: uri,
      source_workload_namespace: "front",
      destination_workload: "reviews-v1",
      destination_service_name: "reviews",
      connection_security_policy: "mutual_tls",
    });
  });

  it.each([
    ["PassthroughCluster", {}, { reporter: "source", destination_service_name: "PassthroughCluster" }],
    ["BlackHoleCluster", {}, { reporter: "source", destination_service_name: "BlackHoleCluster" }],
    ["InboundPassthroughCluster", {}, { reporter: "destination", destination_service: "InboundPassthroughCluster" }],
    [
      "outbound|443||example.com",
      {},
      { reporter: "source", destination_service: "example.com", destination_service_name: "example.com" },
    ],
    ["", { routeName: "inbound|9080||" }, { reporter: "destination" }],
    ["", { downstreamLocalAddress: address("127.64.0.3") }, { reporter: "destination" }],
    ["", { downstreamLocalAddress: address("10.96.0.9") }, { reporter: "source", destination_service: "unknown" }],
  ])("tells direction and service of cluster %j with %j", (upstreamCluster, common, labels) => {
    const under = mixer();
    under.receive(http({ commonProperties: { upstreamCluster, ...common } }), undefined);
    expect(samples(under, "mixer_requests_total")[0]?.labels).toMatchObject(labels);
  });

  it.each([
    [{ upstreamConnectionFailure: true, upstreamRetryLimitExceeded: true }, "UF,URX"],
    [{ unauthorizedDetails: { reason: 1 } }, "UAEX"],
    [{}, "-"],
  ])("writes response flags %j as %s", (responseFlags, expected) => {
    const under = mixer();
    under.receive(http({ commonProperties: { upstreamCluster: "inbound|1||", responseFlags } }), undefined);
    expect(samples(under, "mixer_requests_total")[0]?.labels.response_flags).toBe(expected);
  });

  it("knows gRPC by its content type or its trailer", () => {
    const under = mixer();
    under.receive(
      http(
        { ...outbound, request: { requestHeaders: { "content-type": "application/grpc+proto" } } },
        { ...outbound, response: { responseCode: 200, responseTrailers: { "grpc-status": "0" } } },
      ),
      undefined,
    );
    expect(samples(under, "mixer_requests_total").map(({ labels, value }) => [labels.request_protocol, value])).toEqual(
      [["grpc", 2]],
    );
  });

  it("uses the node of the stream when the message names none", () => {
    const under = mixer();
    const anonymous = message({ logEntries: { $case: "httpLogs", value: { logEntry: [outbound] } } });
    under.receive(anonymous, http().identifier?.node);
    expect(samples(under, "mixer_requests_total")[0]?.labels.source_workload).toBe("reviews-v1");
    under.receive(anonymous, undefined);
    expect(samples(under, "mixer_requests_total")[1]?.labels.source_workload).toBe("unknown");
  });
});

describe("tcp entries", () => {
  it("counts a connection once, at its end", () => {
    const under = mixer();
    const entry = (intermediateLogEntry: boolean) => ({
      commonProperties: { upstreamCluster: "outbound|5432||db.shop.svc.cluster.local", intermediateLogEntry },
      connectionProperties: { sentBytes: 10n, receivedBytes: 4n },
    });
    const logEntry = [entry(true), entry(true), entry(false)];
    under.receive(
      message({ identifier: { node, logName: "x" }, logEntries: { $case: "tcpLogs", value: { logEntry } } }),
      undefined,
    );
    expect(samples(under, "mixer_tcp_connections_closed_total")[0]?.value).toBe(1);
    expect(samples(under, "mixer_tcp_sent_bytes_total")[0]?.value).toBe(10);
    expect(samples(under, "mixer_tcp_received_bytes_total")[0]?.value).toBe(4);
  });
});

describe("bounds", () => {
  it("keeps totals exact when there are more series than allowed", () => {
    const under = mixer({ maxSeries: 5 });
    for (let i = 0; i < 200; i++) {
      under.receive(
        http({ commonProperties: { upstreamCluster: `outbound|80||h${i}.shop.svc.cluster.local` } }),
        undefined,
      );
    }
    const requests = samples(under, "mixer_requests_total");
    expect(requests).toHaveLength(6);
    expect(requests.reduce((sum, { value }) => sum + value, 0)).toBe(200);
  });

  it("drops, and counts, what exceeds one message's bound", () => {
    const under = mixer({ maxEntriesPerMessage: 3 });
    under.receive(http(...Array.from({ length: 5 }, () => outbound)), undefined);
    expect(samples(under, "mixer_requests_total")[0]?.value).toBe(3);
    expect(samples(under, "mixer_report_entries_dropped_total")).toEqual([
      { name: "mixer_report_entries_dropped_total", labels: { reason: "message_too_large" }, value: 2 },
    ]);
  });

  it("takes an empty message", () => {
    const under = mixer();
    under.receive(message({}), undefined);
    expect(samples(under, "mixer_requests_total")).toEqual([]);
  });
});

function address(ip: string) {
  return { address: { $case: "socketAddress", value: { address: ip } } };
}
