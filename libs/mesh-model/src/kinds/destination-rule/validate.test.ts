import { describe, expect, it } from "vitest";
import { decodeText } from "../../decode/decode.ts";
import { documentOf, findingsOf, objectsOf } from "../../testing/findings.ts";

const policy = (text: string) => `{host: a, trafficPolicy: ${text}}`;

describe("a DestinationRule is accepted", () => {
  it.each([
    [
      "with subsets",
      "{host: a, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]}",
    ],
    [
      "with settings by port",
      policy("{portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}]}"),
    ],
    [
      "with circuit breaking",
      policy(
        "{connectionPool: {tcp: {maxConnections: 1, connectTimeout: 30ms, tcpKeepalive: {time: 7200s, interval: 75s, probes: 9}}, http: {http1MaxPendingRequests: 1, http2MaxRequests: 10, maxRequestsPerConnection: 1, maxRetries: 3, idleTimeout: 15s}}, outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100, minHealthPercent: 0}}",
      ),
    ],
    ["with mesh TLS", policy("{tls: {mode: ISTIO_MUTUAL}}")],
    [
      "with TLS",
      policy(
        "{tls: {mode: SIMPLE, caCertificates: /etc/ca.pem, sni: a.example.com, subjectAltNames: [a.example.com]}}",
      ),
    ],
    [
      "with consistent hashing",
      policy(
        "{loadBalancer: {consistentHash: {httpCookie: {name: c, path: /, ttl: 0s, attributes: [{name: SameSite, value: Strict}]}, ringHash: {minimumRingSize: 4096}}}}",
      ),
    ],
    [
      "with maglev",
      policy("{loadBalancer: {consistentHash: {httpQueryParameterName: q, maglev: {tableSize: 65537}}}}"),
    ],
    [
      "with localities",
      policy(
        "{outlierDetection: {}, loadBalancer: {localityLbSetting: {distribute: [{from: 'r/*', to: {r/z: 80, 'q/*': 20}}]}}}",
      ),
    ],
    [
      "with failover",
      policy(
        "{outlierDetection: {}, loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 30s, aggression: 1.5}, localityLbSetting: {failover: [{from: r, to: q}], failoverPriority: [a, b=c]}}}",
      ),
    ],
    [
      "with the rest",
      policy(
        "{tunnel: {protocol: POST, targetHost: a, targetPort: 1}, proxyProtocol: {version: V2}, retryBudget: {percent: 10}}",
      ),
    ],
    ["for some clients", "{host: a, workloadSelector: {matchLabels: {app: b}}, trafficPolicy: {tls: {mode: DISABLE}}}"],
    ["for a wildcard host", "{host: '*.example.com', trafficPolicy: {tls: {mode: DISABLE}}, exportTo: ['.']}"],
  ])("%s", (_, spec) => {
    expect(findingsOf(documentOf("DestinationRule", spec))).toEqual([]);
  });
});

describe("a DestinationRule is refused, or warned about", () => {
  it.each([
    ["without host", "{subsets: []}", 'error spec: field "host" is required'],
    ["with an illegal host", "{host: 'a/b'}", 'error spec.host: "a/b" is not a host name'],
    [
      "with a subset twice",
      "{host: a, subsets: [{name: v1, labels: {v: '1'}}, {name: v1, labels: {v: '2'}}]}",
      'error spec.subsets[1].name: subset "v1" is defined twice',
    ],
    [
      "with an illegal subset name",
      "{host: a, subsets: [{name: V_1, labels: {v: '1'}}]}",
      'error spec.subsets[0].name: "V_1" is not a valid subset name',
    ],
    [
      "with an illegal label",
      "{host: a, subsets: [{name: v1, labels: {v: 'a b'}}]}",
      'error spec.subsets[0].labels.v: "a b" is not a valid label value',
    ],
    ["with an empty policy", policy("{}"), "error spec.trafficPolicy: a traffic policy needs at least one setting"],
    [
      "with port settings without port",
      policy("{portLevelSettings: [{loadBalancer: {simple: RANDOM}}]}"),
      'error spec.trafficPolicy.portLevelSettings[0]: field "port.number" is required',
    ],
    [
      "with port settings twice",
      policy(
        "{portLevelSettings: [{port: {number: 1}, tls: {mode: DISABLE}}, {port: {number: 1}, tls: {mode: DISABLE}}]}",
      ),
      "error spec.trafficPolicy.portLevelSettings[1].port: port 1 has settings twice",
    ],
    [
      "with a misspelt balancer",
      policy("{loadBalancer: {simple: ROUND_ROBBIN}}"),
      'error spec.trafficPolicy.loadBalancer.simple: "ROUND_ROBBIN" is not one of UNSPECIFIED, LEAST_REQUEST, RANDOM, ROUND_ROBIN, PASSTHROUGH',
    ],
    [
      "with two hash keys",
      policy("{loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: x}}}"),
      "error spec.trafficPolicy.loadBalancer.consistentHash: consistentHash needs exactly one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName; httpHeaderName and useSourceIp are there",
    ],
    [
      "with a balancer and a hash",
      policy("{loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}"),
      "error spec.trafficPolicy.loadBalancer: simple and consistentHash exclude each other",
    ],
    [
      "with a table that is no prime",
      policy("{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}}}"),
      "error spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: tableSize must be a prime number up to 5000011",
    ],
    [
      "with weights that are no whole",
      policy("{loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 50, b: 40}}]}}}"),
      "error spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: the weights must add up to 100, not 90",
    ],
    [
      "with two ways between localities",
      policy(
        "{loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 100}}], failover: [{from: a, to: b}]}}}",
      ),
      "error spec.trafficPolicy.loadBalancer.localityLbSetting: distribute excludes failover and failoverPriority",
    ],
    [
      "that fails over to a zone",
      policy("{loadBalancer: {localityLbSetting: {failover: [{from: a, to: b/c}]}}}"),
      'error spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0]: "b/c" must be a region, without zone or "*"',
    ],
    [
      "with a star in the middle",
      policy("{loadBalancer: {localityLbSetting: {distribute: [{from: a/*/b, to: {c: 100}}]}}}"),
      'error spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].from: "a/*/b" is not a locality such as "region/zone/*"',
    ],
    [
      "with warm-up that does nothing",
      policy("{loadBalancer: {simple: RANDOM, warmup: {duration: 30s}}}"),
      "warning spec.trafficPolicy.loadBalancer: warm-up needs simple ROUND_ROBIN or LEAST_REQUEST; it has no effect here",
    ],
    [
      "with files and a credential",
      policy("{tls: {mode: SIMPLE, credentialName: c, caCertificates: /ca.pem}}"),
      "error spec.trafficPolicy.tls.caCertificates: caCertificates excludes credentialName",
    ],
    [
      "with a pool of nothing",
      policy("{connectionPool: {}}"),
      "error spec.trafficPolicy.connectionPool: a connection pool needs tcp or http settings",
    ],
    [
      "with a limit that no proxy can hold",
      policy("{connectionPool: {tcp: {maxConnections: 4294967296}}}"),
      "error spec.trafficPolicy.connectionPool.tcp.maxConnections: must be between 0 and 2147483647, not 4294967296",
    ],
    [
      "with an interval of zero",
      policy("{outlierDetection: {interval: 0s}}"),
      'error spec.trafficPolicy.outlierDetection.interval: duration "0s" must be at least 1ms',
    ],
    [
      "with a percentage above 100",
      policy("{outlierDetection: {maxEjectionPercent: 101}}"),
      "error spec.trafficPolicy.outlierDetection.maxEjectionPercent: must be between 0 and 100, not 101",
    ],
    [
      "with a deprecated counter",
      policy("{outlierDetection: {consecutiveErrors: 3}}"),
      "warning spec.trafficPolicy.outlierDetection.consecutiveErrors: consecutiveErrors is deprecated",
    ],
    [
      "with a counter that is not counted",
      policy("{outlierDetection: {consecutiveLocalOriginFailures: 3}}"),
      "error spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures: consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true",
    ],
    [
      "with mutual TLS without key",
      policy("{tls: {mode: MUTUAL, caCertificates: /ca.pem, clientCertificate: /c.pem}}"),
      "error spec.trafficPolicy.tls: mode MUTUAL needs clientCertificate and privateKey",
    ],
    [
      "with verification off and on",
      policy("{tls: {mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a]}}"),
      "error spec.trafficPolicy.tls.subjectAltNames: subjectAltNames has no meaning with insecureSkipVerify",
    ],
    [
      "with TLS to whom the machine trusts",
      policy("{tls: {mode: SIMPLE}}"),
      "warning spec.trafficPolicy.tls: without caCertificates the machine's root certificates are trusted",
    ],
    [
      "with a server name that is none",
      policy(`{tls: {mode: SIMPLE, caCertificates: /ca.pem, sni: ${"a".repeat(256)}}}`),
      "error spec.trafficPolicy.tls.sni: it is not a server name",
    ],
    [
      "with a cookie's attribute without a name",
      policy("{loadBalancer: {consistentHash: {httpCookie: {name: c, attributes: [{value: a}]}}}}"),
      "error spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.attributes[0]: an attribute needs a name",
    ],
    [
      "with a timeout that no proxy can hold",
      policy("{connectionPool: {tcp: {connectTimeout: 9223372036s}}}"),
      'error spec.trafficPolicy.connectionPool.tcp.connectTimeout: duration "9223372036s" is out of range',
    ],
    [
      "with a tunnel to nowhere",
      policy("{tunnel: {targetHost: 'a b', targetPort: 1}}"),
      'error spec.trafficPolicy.tunnel.targetHost: "a b" is not a host name or address',
    ],
    [
      "with HTTP/2 twice",
      policy("{connectionPool: {http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true}}}"),
      "error spec.trafficPolicy.connectionPool.http.useClientProtocol: useClientProtocol excludes h2UpgradePolicy: UPGRADE",
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("DestinationRule", spec));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(finding);
  });
});

it("LEAST_CONN reads as LEAST_REQUEST", () => {
  const [object] = objectsOf(documentOf("DestinationRule", policy("{loadBalancer: {simple: LEAST_CONN}}")));
  expect(object).toMatchObject({ spec: { trafficPolicy: { loadBalancer: { simple: "LEAST_REQUEST" } } } });
});

it.each([
  ["the destination", "{tls: {mode: SIMPLE}}", "IST0128"],
  ["one port", "{portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]}", "IST0129"],
])("TLS without verification has Istio's code for %s", (_, text, code) => {
  const [document] = decodeText({ file: "f", text: documentOf("DestinationRule", policy(text)) });
  expect(document).toMatchObject({ ok: true, warnings: [{ code }] });
});
