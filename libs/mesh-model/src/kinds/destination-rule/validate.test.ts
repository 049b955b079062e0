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
      "with consistent hashing",
      policy("{loadBalancer: {consistentHash: {useSourceIp: true}}}"),
      'error spec.trafficPolicy.loadBalancer.consistentHash: "consistentHash" cannot be used: this release of Lateen does not implement it yet',
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
      "with a tunnel",
      policy("{tunnel: {targetHost: a, targetPort: 1}}"),
      'error spec.trafficPolicy.tunnel: "tunnel" cannot be used',
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
