import { describe, expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

const HTTP = "ports: [{number: 80, name: http, protocol: HTTP}]";
const TCP = "ports: [{number: 5432, name: tcp, protocol: TCP}]";

describe("a ServiceEntry is accepted", () => {
  it.each([
    ["by DNS", `{hosts: [a.example.com], ${HTTP}, location: MESH_EXTERNAL, resolution: DNS}`],
    ["by wildcard", `{hosts: ['*.example.com'], ${HTTP}}`],
    ["with addresses", `{hosts: [db], addresses: [10.1.0.0/16, "2001:db8::1"], ${TCP}}`],
    [
      "with endpoints",
      `{hosts: [a.example.com], ${HTTP}, resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {http: 8080}, labels: {a: b}, weight: 2, locality: r/z}]}`,
    ],
    [
      "with a socket",
      `{hosts: [a.example.com], ${HTTP}, resolution: STATIC, endpoints: [{address: unix:///run/a.sock}]}`,
    ],
    [
      "with a selector",
      `{hosts: [a.example.com], ${HTTP}, location: MESH_INTERNAL, resolution: STATIC, workloadSelector: {labels: {app: a}}}`,
    ],
    [
      "with a wildcard and DNS endpoints",
      `{hosts: ['*.example.com'], ${HTTP}, resolution: DNS, endpoints: [{address: a.example.com}]}`,
    ],
  ])("%s", (_, spec) => {
    expect(findingsOf(documentOf("ServiceEntry", spec))).toEqual([]);
  });
});

describe("a ServiceEntry is refused, or warned about", () => {
  it.each([
    ["without hosts", `{hosts: [], ${HTTP}}`, "error spec.hosts: at least one host is required"],
    ["for every host", `{hosts: ['*'], ${HTTP}}`, 'error spec.hosts[0]: host "*" alone cannot be used'],
    ["with a host twice", `{hosts: [a, A], ${HTTP}}`, 'error spec.hosts[1]: host "a" is written twice'],
    ["without ports", "{hosts: [a]}", "error spec: at least one port is required"],
    [
      "with an unknown protocol",
      "{hosts: [a], ports: [{number: 53, name: dns, protocol: UDP}]}",
      'error spec.ports[0].protocol: "UDP" is not a protocol',
    ],
    [
      "with a port name twice",
      "{hosts: [a], ports: [{number: 1, name: http, protocol: HTTP}, {number: 2, name: http, protocol: HTTP}]}",
      'error spec.ports[1].name: port name "http" is used twice',
    ],
    [
      "with a port number twice",
      "{hosts: [a], ports: [{number: 1, name: b, protocol: HTTP}, {number: 1, name: c, protocol: HTTP}]}",
      "error spec.ports[1].number: port 1 is used twice",
    ],
    [
      "with TCP for two hosts",
      `{hosts: [a, b], addresses: [10.0.0.1], ${TCP}}`,
      "error spec.ports[0]: a TCP port can serve one host only",
    ],
    [
      "with TCP without addresses",
      `{hosts: [a], ${TCP}}`,
      "warning spec.ports[0]: TCP port 5432 without addresses matches every destination on that port",
    ],
    [
      "with an address that is none",
      `{hosts: [a], addresses: [b.example.com], ${HTTP}}`,
      'error spec.addresses[0]: "b.example.com" is not an address or CIDR',
    ],
    [
      "with a range and DNS",
      `{hosts: [a.example.com], addresses: [10.0.0.0/8], ${HTTP}, resolution: DNS}`,
      "error spec.addresses[0]: a CIDR needs resolution NONE or STATIC, not DNS",
    ],
    [
      "with a wildcard and DNS",
      `{hosts: ['*.example.com'], ${HTTP}, resolution: DNS}`,
      "error spec.hosts[0]: a wildcard host cannot be resolved by DNS",
    ],
    [
      "with endpoints that are not used",
      `{hosts: [a], ${HTTP}, endpoints: [{address: 10.0.0.1}]}`,
      "error spec.endpoints: resolution NONE cannot have endpoints",
    ],
    [
      "with a name where an address must be",
      `{hosts: [a], ${HTTP}, resolution: STATIC, endpoints: [{address: b.example.com}]}`,
      "error spec.endpoints[0].address: resolution STATIC needs IP addresses",
    ],
    [
      "with endpoints and a selector",
      `{hosts: [a], ${HTTP}, resolution: STATIC, endpoints: [{address: 10.0.0.1}], workloadSelector: {labels: {a: b}}}`,
      "error spec.endpoints: endpoints and workloadSelector exclude each other",
    ],
    [
      "with the other API's selector",
      `{hosts: [a], ${HTTP}, resolution: STATIC, workloadSelector: {labels: {a: b}, matchLabels: {a: b}}}`,
      'error spec.workloadSelector.matchLabels: unknown field "matchLabels"',
    ],
    [
      "with an endpoint port of another name",
      `{hosts: [a], ${HTTP}, resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {web: 8080}}]}`,
      'error spec.endpoints[0].ports.web: no port of this entry is named "web"',
    ],
    [
      "with two round-robin endpoints",
      `{hosts: [a.example.com], ${HTTP}, resolution: DNS_ROUND_ROBIN, endpoints: [{address: b}, {address: c}]}`,
      "error spec.endpoints: resolution DNS_ROUND_ROBIN takes at most one endpoint",
    ],
    [
      "with dynamic DNS of what proxies cannot read",
      `{hosts: ['*.example.com'], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DYNAMIC_DNS}`,
      "error spec.ports[0].protocol: resolution DYNAMIC_DNS needs ports whose requests proxies can read",
    ],
    [
      "with dynamic DNS and endpoints",
      `{hosts: ['*.example.com'], ${HTTP}, resolution: DYNAMIC_DNS, endpoints: [{address: 10.0.0.1}]}`,
      "error spec.endpoints: resolution DYNAMIC_DNS cannot have endpoints",
    ],
    [
      "with a relative socket",
      `{hosts: [a], ${HTTP}, resolution: STATIC, endpoints: [{address: "unix://a.sock"}]}`,
      "error spec.endpoints[0].address: a unix address needs an absolute path",
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("ServiceEntry", spec));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(finding);
  });
});

describe("a WorkloadEntry", () => {
  it.each([
    [
      "is accepted",
      "{address: 10.0.0.1, ports: {http: 80}, labels: {app: a}, serviceAccount: sa, weight: 1}",
      undefined,
    ],
    ["needs an address", "{labels: {app: a}}", 'error spec: field "address" is required'],
    [
      "needs an address that is one",
      "{address: 'a b'}",
      'error spec.address: "a b" is not an IP address, a host name or a unix:// path',
    ],
    [
      "needs a number that is an address",
      "{address: 256.1.1.1}",
      'error spec.address: "256.1.1.1" is not an IP address, a host name or a unix:// path',
    ],
    [
      "has no ports on a socket",
      "{address: unix:///a, ports: {http: 80}}",
      "error spec.ports: a unix address has no ports",
    ],
    [
      "needs a legal port",
      "{address: a, ports: {http: 0}}",
      "error spec.ports.http: must be between 1 and 65535, not 0",
    ],
    ["may name its network", "{address: a, network: n}", undefined],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("WorkloadEntry", spec));
    expect(found).toEqual(finding === undefined ? [] : [expect.stringContaining(finding)]);
  });
});

describe("a Sidecar", () => {
  it.each([
    [
      "is told what applications do not get",
      "{inboundConnectionPool: {http: {h2UpgradePolicy: UPGRADE}}}",
      "warning spec.inboundConnectionPool.http.h2UpgradePolicy: h2UpgradePolicy has no effect",
    ],
    [
      "is told that a target port does nothing",
      "{egress: [{port: {number: 80, targetPort: 81, name: a, protocol: HTTP}, hosts: ['./*']}]}",
      "warning spec.egress[0].port.targetPort: targetPort is ignored",
    ],
    ["is accepted", '{egress: [{hosts: ["./*", "istio-system/*", "~/*"]}]}', undefined],
    [
      "is accepted with a policy only",
      "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}, workloadSelector: {labels: {app: a}}}",
      undefined,
    ],
    [
      "must say something",
      "{}",
      "error spec: at least one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool is required",
    ],
    [
      "needs hosts with namespace",
      "{egress: [{hosts: [reviews]}]}",
      'error spec.egress[0].hosts[0]: "reviews" is not of the form "namespace/host"',
    ],
    [
      "has one listener without port",
      '{egress: [{hosts: ["./*"]}, {hosts: ["./*"]}]}',
      "error spec.egress[0]: the egress listener without port must be the last, and the only one",
    ],
    [
      "is told of hosts that add nothing",
      '{egress: [{hosts: ["*/*", "./*"]}]}',
      'warning spec.egress[0].hosts: "*/*" makes the other hosts superfluous',
    ],
    [
      "may declare what is served",
      "{workloadSelector: {labels: {app: a}}, ingress: [{port: {number: 80, protocol: HTTP, name: http}, defaultEndpoint: '127.0.0.1:8080', connectionPool: {tcp: {maxConnections: 1}}}], inboundConnectionPool: {http: {http2MaxRequests: 2}}}",
      undefined,
    ],
    [
      "may have listeners of its own",
      "{egress: [{port: {number: 9080, protocol: HTTP, name: http}, bind: 127.0.0.1, captureMode: NONE, hosts: ['*/*']}, {hosts: ['./*']}], outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a, port: {number: 1}}}}",
      undefined,
    ],
    [
      "serves what is its own",
      "{ingress: [{port: {number: 80, protocol: HTTP}}]}",
      "error spec.ingress: ingress listeners need a workloadSelector",
    ],
    [
      "has its application in the pod",
      "{workloadSelector: {labels: {app: a}}, ingress: [{port: {number: 80, protocol: HTTP}, defaultEndpoint: '10.0.0.1:80'}]}",
      'error spec.ingress[0].defaultEndpoint: "10.0.0.1:80" is not an endpoint of this pod',
    ],
    [
      "has a socket whose path fits",
      `{workloadSelector: {labels: {app: a}}, ingress: [{port: {number: 80, protocol: HTTP}, defaultEndpoint: 'unix:///${"x".repeat(107)}'}]}`,
      "error spec.ingress[0].defaultEndpoint: a path of a Unix socket has at most 107 characters",
    ],
    [
      "is found without capture",
      "{workloadSelector: {labels: {app: a}}, ingress: [{port: {number: 80, protocol: HTTP}, captureMode: NONE}]}",
      "error spec.ingress[0].captureMode: captureMode NONE needs bind",
    ],
    [
      "has one listener for a port",
      "{egress: [{port: {number: 80, protocol: HTTP}, hosts: ['./*']}, {port: {number: 80, protocol: TCP}, hosts: ['./*']}]}",
      "error spec.egress[1].port.number: port 80 has two listeners",
    ],
    [
      "is captured without port",
      "{egress: [{hosts: ['./*'], captureMode: NONE}]}",
      "error spec.egress[0].captureMode: captureMode NONE needs a listener port",
    ],
    [
      "needs a known mode",
      "{outboundTrafficPolicy: {mode: REGISTRY}}",
      'error spec.outboundTrafficPolicy.mode: "REGISTRY" is not one of REGISTRY_ONLY, ALLOW_ANY',
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("Sidecar", spec));
    expect(found).toEqual(finding === undefined ? [] : [expect.stringContaining(finding)]);
  });
});
