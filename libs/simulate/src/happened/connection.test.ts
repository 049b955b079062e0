import type { ConnectionRecord, UpstreamRecord } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { causeOfConnection } from "./connection-cause.ts";
import { connectionStoryOf, connectionStoryText } from "./connection-story.ts";

const UPSTREAM: UpstreamRecord = {
  cluster: "outbound|3306||db.shop",
  origin: "/apis/networking.istio.io/v1alpha3/namespaces/shop/destination-rule/db",
  ...{ exists: true, endpoints: 2, ejected: 0, attempts: 1, endpoint: "10.0.0.7:3306", tls: true },
  ...{ maxConnections: 3, connectTimeoutMs: 700, idleTimeoutMs: 900 },
};
const RULE = "DestinationRule shop/db";
const MTLS = "PeerAuthentication shop/strict mtls";

function record(more: Partial<ConnectionRecord>, upstream?: Partial<UpstreamRecord>): ConnectionRecord {
  return {
    ...{ connectionId: 12, earlierIds: [], times: 1, startTimeMs: 1000, durationMs: 0 },
    ...{ kind: "upstream", direction: "inbound", listener: "virtualInbound", chain: "", flags: "", details: "" },
    ...{ client: { address: "10.0.0.1", port: 4000 }, destination: "10.0.0.2:80" },
    ...{ offered: { tls: false, serverName: "", protocols: [] }, bytesReceived: 0, bytesSent: 0 },
    ...(upstream === undefined ? {} : { upstream: { ...UPSTREAM, ...upstream } }),
    ...more,
  };
}

const tls = { tls: true, serverName: "b.example.com", protocols: ["h2"] };
const handshake = (why: string) =>
  record({ kind: "handshake", details: `tls_error{${why}}`, because: MTLS, offered: tls });

describe("the cause of a connection's end", () => {
  it.each<[string, ConnectionRecord, RegExp, readonly string[]]>([
    [
      "plain text to STRICT",
      record({ kind: "noChain", because: MTLS, wanted: [{ transport: "tls", serverNames: [] }] }),
      /speaks plain text, and 10\.0\.0\.2:80 takes only mutual TLS/,
      [MTLS],
    ],
    [
      "wrong SNI",
      record({ kind: "noChain", offered: tls, wanted: [{ transport: "tls", serverNames: ["a.example.com"] }] }),
      /nothing here is called b\.example\.com; .* serves a\.example\.com/,
      [],
    ],
    ["no certificate", handshake("peer_did_not_return_a_certificate"), /the client has no certificate/, [MTLS]],
    [
      "unknown authority",
      handshake("certificate_verify_failed:_self-signed_certificate"),
      /not of an authority that is trusted here/,
      [MTLS],
    ],
    ["distrust", handshake("80:error:0A:SSL_routines::tlsv1_alert_unknown_ca"), /does not trust the authority/, [MTLS]],
    ["unknown", handshake("something_else"), /failed: something else/, [MTLS]],
    [
      "DENY",
      record({ kind: "policy", because: "ns[shop]-policy[p]-rule[2]" }),
      /a DENY policy matches/,
      ["AuthorizationPolicy shop/p rule[2]"],
    ],
    [
      "ALLOW",
      record({
        ...{ kind: "policy", details: "rbac_access_denied_matched_policy[none]" },
        candidates: ["ns[shop]-policy[p]-rule[0]"],
      }),
      /none of the ALLOW policies matches/,
      ["AuthorizationPolicy shop/p rule[0]"],
    ],
    ["NC", record({ flags: "NC" }, { exists: false }), /does not exist/, [RULE]],
    ["UH", record({ flags: "UH" }, { endpoints: 0 }), /has no endpoints/, [RULE]],
    ["ejected", record({ flags: "UH" }, { ejected: 2 }), /outlier detection holds back 2/, [RULE]],
    ["UO", record({ flags: "UO" }, {}), /max_connections is 3/, [RULE]],
    [
      "refused",
      record({ flags: "UF" }, { outcome: "connectFailure", failure: "refused" }),
      /10\.0\.0\.7:3306 could not be connected: refused/,
      [RULE],
    ],
    ["slow", record({ flags: "UF" }, { outcome: "connectTimeout" }), /within 700 ms/, [RULE]],
    [
      "TLS",
      record({ flags: "UF" }, { outcome: "tlsFailure", failure: "TLS_error: x" }),
      /TLS handshake with 10\.0\.0\.7:3306 failed: TLS error: x/,
      [RULE],
    ],
    ["reset", record({ details: "upstream connection was reset" }, {}), /broke the connection/, [RULE]],
    ["idle", record({ kind: "timeout", details: "idle_timeout" }, {}), /no byte moved for 900 ms/, [RULE]],
    ["black hole", record({ flags: "UH" }, { cluster: "BlackHoleCluster" }), /REGISTRY_ONLY/, [RULE]],
  ])("%s", (_, one, why, objects) => {
    const cause = causeOfConnection(one);
    expect(cause.why).toMatch(why);
    expect(cause.objects).toEqual(objects);
  });
});

it("the story of a connection has the place of every object", () => {
  const story = connectionStoryOf({ proxy: "shop/db-1", record: record({ flags: "UO", times: 3 }, {}) });
  expect(connectionStoryText(story, () => "mesh.yaml:9")).toBe(`connection 12: TCP 10.0.0.2:80 -> closed UO (3 times)

at shop/db-1, inbound, 1970-01-01T00:00:01.000Z, 0 ms
  client       10.0.0.1:4000
  listener     virtualInbound
  cluster      outbound|3306||db.shop   (DestinationRule shop/db, mesh.yaml:9)
  endpoint     10.0.0.7:3306, TLS
  end          UO

because: the circuit breaker of cluster outbound|3306||db.shop is open: max_connections is 3, at shop/db-1
  DestinationRule shop/db, mesh.yaml:9
next: the limit is \`trafficPolicy.connectionPool.tcp.maxConnections\`
`);
});
