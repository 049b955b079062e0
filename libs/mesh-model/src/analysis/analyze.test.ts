import { describe, expect, it } from "vitest";
import { decodeText } from "../decode/decode.ts";
import { bookinfoTraffic, bookinfoWorkloads } from "../testing/bookinfo.ts";
import { objectsOf } from "../testing/findings.ts";
import { analyze } from "./analyze.ts";
import { findings } from "./messages.ts";
import type { AnalyzeOptions } from "./types.ts";

const join = (...documents: readonly string[]) => documents.join("\n---\n");
const analyzed = (text: string, options?: AnalyzeOptions) =>
  analyze(objectsOf(text), options).map(({ code, object, path, message }) => `${code} ${object} ${path}: ${message}`);

const service = (name: string, ports: string, namespace = "default", selector = `{app: ${name}}`) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {selector: ${selector}, ports: [${ports}]}`;
const HTTP = "{name: http, port: 80}";
const deployment = (name: string, labels: string, namespace = "default") =>
  `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {selector: {matchLabels: ${labels}}, template: {metadata: {labels: ${labels}}, spec: {containers: [{name: c, image: i}]}}}`;
const istio = (kind: string, name: string, spec: string, namespace = "default") =>
  `apiVersion: ${kind === "AuthorizationPolicy" || kind === "PeerAuthentication" ? "security" : "networking"}.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}`;
const to = (destination: string) => `http: [{route: [{destination: ${destination}}]}]`;
const server = (hosts: string, port = 80) =>
  `{port: {number: ${port}, name: http-${port}, protocol: HTTP}, hosts: ${hosts}}`;

const A = join(service("a", HTTP), deployment("a-v1", "{app: a, version: v1}"));

describe("nothing is found", () => {
  it.each([
    ["in nothing", ""],
    ["in a service with its workload", A],
    ["when a route leads to a service", join(A, istio("VirtualService", "v", `{hosts: [x], ${to("{host: a}")}}`))],
    [
      "when a route leads to another namespace",
      join(A, istio("VirtualService", "v", `{hosts: [x], ${to("{host: a.default.svc.cluster.local}")}}`, "other")),
    ],
    [
      "when a route leads to an entry",
      join(
        istio("ServiceEntry", "e", "{hosts: ['*.example.com'], ports: [{number: 80, name: http, protocol: HTTP}]}"),
        istio("VirtualService", "v", `{hosts: [x], ${to("{host: api.example.com}")}}`),
      ),
    ],
    [
      "when a subset is defined and carried",
      join(
        A,
        istio("DestinationRule", "d", "{host: a, subsets: [{name: v1, labels: {version: v1}}]}"),
        istio("VirtualService", "v", `{hosts: [a], ${to("{host: a, subset: v1}")}}`),
      ),
    ],
    [
      "when a subset is defined for a wildcard host",
      join(
        A,
        istio(
          "DestinationRule",
          "d",
          "{host: '*.default.svc.cluster.local', subsets: [{name: v1, labels: {version: v1}}]}",
        ),
        istio("VirtualService", "v", `{hosts: [a], ${to("{host: a, subset: v1}")}}`),
      ),
    ],
    [
      "at the ingress gateway",
      join(
        A,
        istio("Gateway", "g", `{selector: {istio: ingressgateway}, servers: [${server("[a.example.com]")}]}`),
        istio("VirtualService", "v", `{hosts: [a.example.com], gateways: [g], ${to("{host: a}")}}`),
      ),
    ],
    [
      "on the way through the egress gateway",
      istio("VirtualService", "v", `{hosts: [x], ${to("{host: istio-egressgateway.istio-system.svc.cluster.local}")}}`),
    ],
    [
      "in rules for one host that only their namespaces see",
      join(
        service("a", HTTP),
        service("b", HTTP),
        istio("VirtualService", "v", `{hosts: [x.example.com], exportTo: ['.'], ${to("{host: a}")}}`),
        istio(
          "VirtualService",
          "w",
          `{hosts: [x.example.com], exportTo: ['.'], ${to("{host: a.default.svc.cluster.local}")}}`,
          "other",
        ),
      ),
    ],
    [
      "when a policy of the root namespace selects elsewhere",
      join(A, istio("AuthorizationPolicy", "p", "{selector: {matchLabels: {app: a}}, rules: [{}]}", "istio-system")),
    ],
    [
      "in port names under the convention",
      service(
        "a",
        "{name: http-web, port: 80}, {name: grpc-web, port: 81}, {name: tcp, port: 82}, {name: x, port: 83, appProtocol: http}, {name: dns, port: 53, protocol: UDP}",
      ),
    ],
  ])("%s", (_, text) => {
    expect(analyzed(text)).toEqual([]);
  });
});

describe("is found", () => {
  const bind = (hosts: string, extra = "") => `{hosts: ${hosts}, gateways: [g], ${to("{host: a}")}${extra}}`;

  it.each([
    [
      "a host that is not there",
      join(A, istio("VirtualService", "v", `{hosts: [x], ${to("{host: b}")}}`)),
      ['IST0101 VirtualService/default/v spec.http[0].route[0].destination.host: Referenced host not found: "b"'],
    ],
    [
      "a mirror that is not there",
      join(
        A,
        istio("VirtualService", "v", "{hosts: [x], http: [{mirror: {host: b}, route: [{destination: {host: a}}]}]}"),
      ),
      ['IST0101 VirtualService/default/v spec.http[0].mirror.host: Referenced host not found: "b"'],
    ],
    [
      "a tcp destination that is not there",
      istio("VirtualService", "v", "{hosts: [x], tcp: [{route: [{destination: {host: b}}]}]}"),
      ['IST0101 VirtualService/default/v spec.tcp[0].route[0].destination.host: Referenced host not found: "b"'],
    ],
    [
      "a subset that is not there",
      join(A, istio("VirtualService", "v", `{hosts: [x], ${to("{host: a, subset: v2}")}}`)),
      [
        'IST0101 VirtualService/default/v spec.http[0].route[0].destination.subset: Referenced host+subset in destinationrule not found: "a+v2"',
      ],
    ],
    [
      "a port that is not there",
      join(A, istio("VirtualService", "v", `{hosts: [x], ${to("{host: a, port: {number: 81}}")}}`)),
      [
        'IST0101 VirtualService/default/v spec.http[0].route[0].destination.port.number: Referenced host:port not found: "a:81"',
      ],
    ],
    [
      "a port left open",
      join(
        service("a", `${HTTP}, {name: http-b, port: 81}`),
        istio("VirtualService", "v", `{hosts: [x], ${to("{host: a}")}}`),
      ),
      [
        'IST0112 VirtualService/default/v spec.http[0].route[0].destination.host: This VirtualService routes to a service "a" that exposes multiple ports [80 81]. Specifying a port in the destination is required to disambiguate.',
      ],
    ],
    [
      "a gateway that is not there",
      join(A, istio("VirtualService", "v", bind("[a.example.com]"))),
      ['IST0101 VirtualService/default/v spec.gateways[0]: Referenced gateway not found: "g"'],
    ],
    [
      "a host that the gateway does not serve",
      join(
        A,
        istio("Gateway", "g", `{selector: {istio: ingressgateway}, servers: [${server("[b.example.com]")}]}`),
        istio("VirtualService", "v", bind("[a.example.com]")),
      ),
      [
        "IST0132 VirtualService/default/v spec.gateways[0]: one or more host [a.example.com] defined in VirtualService default/v not found in Gateway default/g.",
      ],
    ],
    [
      "a host that the gateway serves to others",
      join(
        A,
        istio("Gateway", "g", `{selector: {istio: ingressgateway}, servers: [${server("[other/*]")}]}`),
        istio("VirtualService", "v", bind("[a.example.com]")),
      ),
      [
        "IST0132 VirtualService/default/v spec.gateways[0]: one or more host [a.example.com] defined in VirtualService default/v not found in Gateway default/g.",
      ],
    ],
    [
      "a match written twice",
      join(
        A,
        istio(
          "VirtualService",
          "v",
          "{hosts: [x], http: [{match: [{uri: {prefix: /a}}], route: [{destination: {host: a}}]}, {match: [{name: n, uri: {prefix: /a}}], route: [{destination: {host: a}}]}]}",
        ),
      ),
      [
        "IST0131 VirtualService/default/v spec.http[1].match[0]: VirtualService rule #1 match #0 is not used (duplicate match in rule #0).",
      ],
    ],
    [
      "a gateway that selects nothing",
      istio("Gateway", "g", `{selector: {app: mine}, servers: [${server("[a]")}]}`),
      ['IST0101 Gateway/default/g spec.selector: Referenced selector not found: "app=mine"'],
    ],
    [
      "a credential that is not there",
      istio(
        "Gateway",
        "g",
        "{selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, credentialName: c}}]}",
      ),
      ['IST0101 Gateway/default/g spec.servers[0].tls.credentialName: Referenced credentialName not found: "c"'],
    ],
    [
      "a credential without key",
      join(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: istio-system}\ndata: {tls.crt: YQ==}",
        istio(
          "Gateway",
          "g",
          "{selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, credentialName: c}}]}",
        ),
      ),
      [
        "IST0161 Gateway/default/g spec.servers[0].tls.credentialName: The credential referenced by the Gateway g in namespace default is invalid, which can cause the traffic not to work as expected.",
      ],
    ],
    [
      "a gateway port that no service passes on",
      join(
        deployment("gw", "{app: gw}"),
        service("gw", HTTP),
        istio("Gateway", "g", `{selector: {app: gw}, servers: [${server("[a]", 81)}]}`),
      ),
      [
        "IST0162 Gateway/default/g spec.servers[0].port.number: The gateway is listening on a target port (port 81) that is not defined in the Service associated with its workload instances (Pod selector app=gw)",
      ],
    ],
    [
      "a destination rule for nobody",
      istio("DestinationRule", "d", "{host: a, trafficPolicy: {tls: {mode: DISABLE}}}"),
      [
        "IST0174 DestinationRule/default/d spec.host: The host a defined in the DestinationRule does not match any services in the mesh.",
      ],
    ],
    [
      "a subset of nobody",
      join(A, istio("DestinationRule", "d", "{host: a, subsets: [{name: v2, labels: {version: v2}}]}")),
      [
        "IST0173 DestinationRule/default/d spec.subsets[0].labels: The Subset v2 defined in the DestinationRule does not select any pods.",
      ],
    ],
    [
      "a policy for nobody",
      join(A, istio("AuthorizationPolicy", "p", "{selector: {matchLabels: {app: b, version: v1}}, rules: [{}]}")),
      [
        "IST0127 AuthorizationPolicy/default/p spec.selector.matchLabels: No matching workloads for this resource with the following labels: app=b,version=v1",
      ],
    ],
    [
      "a policy for another namespace's workload",
      join(A, istio("PeerAuthentication", "p", "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}}", "other")),
      [
        "IST0127 PeerAuthentication/other/p spec.selector.matchLabels: No matching workloads for this resource with the following labels: app=a",
      ],
    ],
    [
      "a namespace that is not there",
      join(
        A,
        istio("AuthorizationPolicy", "p", "{rules: [{from: [{source: {namespaces: [default, prod, 'dev-*']}}]}]}"),
      ),
      [
        'IST0101 AuthorizationPolicy/default/p spec.rules[0].from[0].source.namespaces[1]: Referenced namespace not found: "prod"',
      ],
    ],
    [
      "an unconventional port name",
      service("a", "{name: web, port: 80, targetPort: 8080}"),
      [
        "IST0118 Service/default/a spec.ports[0]: Port name web (port: 80, targetPort: 8080) doesn't follow the naming convention of Istio port.",
      ],
    ],
    [
      "an alias with an unconventional port name",
      "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: ExternalName, externalName: a.example.com, ports: [{name: web, port: 80}]}",
      [
        expect.stringContaining(
          "IST0150 Service/default/a spec.ports[0]: Port name for ExternalName service is invalid.",
        ),
      ],
    ],
  ])("%s", (_, text, expected) => {
    expect(analyzed(text)).toEqual(expected);
  });

  it("a host that two rules of the mesh want", () => {
    const text = join(
      A,
      istio("VirtualService", "v", `{hosts: [a], ${to("{host: a}")}}`),
      istio(
        "VirtualService",
        "w",
        `{hosts: [a.default.svc.cluster.local], ${to("{host: a.default.svc.cluster.local}")}}`,
        "other",
      ),
    );
    const message =
      "The VirtualServices default/v,other/w associated with mesh gateway define the same host a.default.svc.cluster.local which can lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single resource.";
    expect(analyzed(text)).toEqual([
      `IST0109 VirtualService/default/v spec.hosts[0]: ${message}`,
      `IST0109 VirtualService/other/w spec.hosts[0]: ${message}`,
    ]);
  });

  it("sidecars that select the same, or all", () => {
    const egress = "egress: [{hosts: ['./*']}]";
    const text = join(
      A,
      istio("Sidecar", "s", `{workloadSelector: {labels: {app: a}}, ${egress}}`),
      istio("Sidecar", "t", `{workloadSelector: {labels: {version: v1}}, ${egress}}`),
      istio("Sidecar", "u", `{${egress}}`),
      istio("Sidecar", "v", `{${egress}}`),
    );
    expect(analyzed(text).map((finding) => finding.split(" ").slice(0, 2).join(" "))).toEqual([
      "IST0111 Sidecar/default/u",
      "IST0111 Sidecar/default/v",
      "IST0110 Sidecar/default/s",
      "IST0110 Sidecar/default/t",
    ]);
  });

  it("gateways in each other's way, and a certificate that both use", () => {
    const tls =
      "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [HOST], tls: {mode: SIMPLE, credentialName: c}}";
    const secret =
      "apiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: istio-system}\ndata: {tls.crt: YQ==, tls.key: YQ==}";
    const text = join(
      secret,
      istio("Gateway", "g", `{selector: {istio: ingressgateway}, servers: [${tls.replace("HOST", "a")}]}`),
      istio("Gateway", "h", `{selector: {istio: ingressgateway}, servers: [${tls.replace("HOST", "x/a")}]}`),
    );
    expect(analyzed(text)).toEqual([
      "IST0145 Gateway/default/g spec.servers[0].hosts: Conflict with gateways h (workload selector istio=ingressgateway, port 443, hosts a).",
      "IST0145 Gateway/default/h spec.servers[0].hosts: Conflict with gateways g (workload selector istio=ingressgateway, port 443, hosts a).",
      "IST0138 Gateway/default/g spec.servers: Duplicate certificate in multiple gateways [g h] may cause 404s if clients re-use HTTP2 connections.",
      "IST0138 Gateway/default/h spec.servers: Duplicate certificate in multiple gateways [g h] may cause 404s if clients re-use HTTP2 connections.",
    ]);
  });

  it("services that disagree about a workload", () => {
    const text = join(
      deployment("a-v1", "{app: a}"),
      service("a", "{name: http, port: 80, targetPort: 8080}"),
      service("b", "{name: tcp, port: 80, targetPort: 9090}", "default", "{app: a}"),
      service("c", "{name: http, port: 81, targetPort: 8080}", "default", "{app: a}"),
    );
    expect(analyzed(text)).toEqual([
      "IST0116 Deployment/default/a-v1 metadata.name: This deployment a-v1 is associated with multiple services using port 80 but different protocols: [a b]",
      'IST0137 Deployment/default/a-v1 metadata.name: This deployment a-v1 is associated with multiple services [a c] using targetPort "8080" but different ports: [80 81].',
    ]);
  });

  it("entries that disagree about a protocol", () => {
    const entry = (name: string, protocol: string) =>
      istio("ServiceEntry", name, `{hosts: [x.example.com], ports: [{number: 80, name: p, protocol: ${protocol}}]}`);
    expect(analyzed(join(entry("e", "HTTP"), entry("f", "http"), entry("g", "GRPC")))).toEqual([
      "IST0177 ServiceEntry/default/g spec.ports[0].protocol: ServiceEntry default/e declares x.example.com:80 with protocol HTTP, this one with GRPC.",
    ]);
  });
});

describe("a finding", () => {
  const text = join(A, istio("VirtualService", "v", `{hosts: [x], ${to("{host: b}")}}`));

  it("carries Istio's name and severity, and says what to do", () => {
    expect(analyze(objectsOf(text))).toMatchObject([
      {
        level: "warning",
        name: "ReferencedResourceNotFound",
        severity: "error",
        hint: 'no Service "b" is in namespace default',
      },
    ]);
    const elsewhere = join(text, service("b", HTTP, "prod"), deployment("b", "{app: b}", "prod"));
    expect(analyze(objectsOf(elsewhere))[0]?.hint).toBe(
      'Service "b" is in namespace prod: write b.prod.svc.cluster.local',
    );
  });

  it("points where the caller says", () => {
    const options: AnalyzeOptions = {
      originOf: (object, path) => ({ file: object.kind, line: path.length, column: 1 }),
    };
    expect(analyze(objectsOf(text), options)[0]?.origin).toEqual({ file: "VirtualService", line: 7, column: 1 });
  });

  it("points at the field when the positions were kept", () => {
    const documents = decodeText({ file: "f.yaml", text }, { positions: true }).flatMap((found) =>
      found.ok ? [found] : [],
    );
    const locate = new Map(documents.map((found) => [found.object, found.locate]));
    const [finding] = analyze(locate.keys(), {
      originOf: (object, path) => locate.get(object)!(path, "value"),
    });
    expect(finding?.origin).toEqual({ file: "f.yaml", line: 14, column: 57 });
  });

  it.each([
    ["by code", "IST0109, IST0101", 0],
    ["altogether", "*", 0],
    ["by another code", "IST0102", 1],
  ])("is suppressed %s", (_, codes, count) => {
    const annotated = text.replace(
      "{name: v, namespace: default}",
      `{name: v, annotations: {galley.istio.io/analyze-suppress: "${codes}"}}`,
    );
    expect(analyze(objectsOf(annotated))).toHaveLength(count);
  });

  it("has a code of Istio's form", () => {
    for (const code of Object.keys(findings)) expect(code).toMatch(/^IST0\d{3}$/);
  });
});

it("gives Bookinfo the findings istioctl gives it, and no more", () => {
  const codes = analyze(objectsOf(`${bookinfoWorkloads}\n---\n${bookinfoTraffic}`)).map(
    ({ code, path, object }) => `${code} ${object} ${path}`,
  );
  // These test documents are an excerpt: reviews and productpage have no Service here.
  expect(codes).toEqual([
    "IST0101 VirtualService/default/bookinfo spec.http[0].route[0].destination.host",
    "IST0101 VirtualService/default/reviews spec.http[0].route[0].destination.host",
    "IST0101 VirtualService/default/reviews spec.http[1].route[0].destination.host",
    "IST0101 VirtualService/default/reviews spec.http[1].route[1].destination.host",
    "IST0174 DestinationRule/default/reviews spec.host",
    "IST0127 AuthorizationPolicy/default/productpage-viewer spec.selector.matchLabels",
  ]);
});

it("takes time in proportion to the number of objects", () => {
  const many = (count: number) =>
    objectsOf(
      Array.from({ length: count }, (_, i) =>
        join(
          service(`s${i}`, HTTP),
          deployment(`s${i}`, `{app: s${i}, version: v1}`),
          istio("DestinationRule", `s${i}`, `{host: s${i}, subsets: [{name: v1, labels: {version: v1}}]}`),
          istio("VirtualService", `s${i}`, `{hosts: [s${i}], ${to(`{host: s${i}, subset: v1}`)}}`),
        ),
      ).join("\n---\n"),
    );
  const objects = many(200);
  const started = performance.now();
  expect(analyze(objects)).toEqual([]);
  expect(performance.now() - started).toBeLessThan(1000);
});
