import { Cluster_DiscoveryType, Cluster_LbPolicy } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { TlsParameters_TlsProtocol } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/common";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import { describe, expect, it } from "vitest";
import { acceptedNames, ms, type NodeOptions, pod, service, upstreamTlsOf, viewOf } from "../testing/mesh.ts";

const HOST = "web.default.svc.cluster.local";
const WEB = [
  service("web", "10.0.0.1", ["http:80:8080", "grpc:90", "tcp-db:3306", "https:443", "plain:7000"]),
  pod("web-1", "10.1.0.1", { app: "web", version: "v1" }, { account: "web" }),
  pod("web-2", "10.1.0.2", { app: "web", version: "v2" }, { account: "web", mesh: false }),
].join("");

const rule = (policy: string, extra = "") => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web }
spec:
  host: web
  trafficPolicy: ${policy}
${extra}
---`;
const subset = (policy: string) => `
  subsets:
    - { name: v1, labels: { version: v1 }, trafficPolicy: ${policy} }`;

const entry = (spec: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside }
spec: ${spec}
---`;

function clusterOf(yaml: string, name: string, node: NodeOptions = {}) {
  return viewOf(yaml, node).cluster(name);
}
const web = (yaml: string, name = `outbound|80||${HOST}`) => clusterOf(WEB + yaml, name);

describe("load balancing", () => {
  it.each([
    ["{ outlierDetection: {} }", Cluster_LbPolicy.LEAST_REQUEST],
    ["{ loadBalancer: { simple: ROUND_ROBIN } }", Cluster_LbPolicy.ROUND_ROBIN],
    ["{ loadBalancer: { simple: RANDOM } }", Cluster_LbPolicy.RANDOM],
    ["{ loadBalancer: { simple: LEAST_CONN } }", Cluster_LbPolicy.LEAST_REQUEST],
    ["{ loadBalancer: { simple: PASSTHROUGH } }", Cluster_LbPolicy.CLUSTER_PROVIDED],
  ])("%s", (policy, expected) => {
    expect(web(rule(policy)).lbPolicy).toBe(expected);
  });

  it("PASSTHROUGH keeps the original destination and has no endpoints", () => {
    const view = viewOf(WEB + rule("{ loadBalancer: { simple: PASSTHROUGH } }"));
    const { clusterDiscoveryType } = view.cluster(`outbound|80||${HOST}`);
    expect(clusterDiscoveryType).toEqual({ $case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST });
    expect(view.names("endpoint").filter((name) => name.includes(HOST))).toEqual([]);
  });
});

describe("layering of a traffic policy", () => {
  const policy = `
    connectionPool: { tcp: { maxConnections: 1, connectTimeout: 1s } }
    outlierDetection: { consecutive5xxErrors: 3 }
    portLevelSettings:
      - port: { number: 443 }
        connectionPool: { tcp: { maxConnections: 4 } }`;
  const layered = rule(policy, subset("{ connectionPool: { tcp: { maxConnections: 9 } } }"));
  const facts = (name: string) => {
    const cluster = web(layered, name);
    return {
      connections: cluster.circuitBreakers?.thresholds[0]?.maxConnections,
      timeout: ms(cluster.connectTimeout),
      outlier: cluster.outlierDetection?.consecutive5xx,
    };
  };

  it.each([
    ["the destination's own", `outbound|80||${HOST}`, { connections: 1, timeout: 1000, outlier: 3 }],
    ["a port's replaces all of it", `outbound|443||${HOST}`, { connections: 4, timeout: 10_000, outlier: undefined }],
    ["a subset's is laid over by block", `outbound|80|v1|${HOST}`, { connections: 9, timeout: 10_000, outlier: 3 }],
    ["a subset's over a port's", `outbound|443|v1|${HOST}`, { connections: 9, timeout: 10_000, outlier: undefined }],
  ])("%s", (_title, name, expected) => {
    expect(facts(name)).toEqual(expected);
  });
});

describe("connection pools and outliers", () => {
  it("without settings nothing is limited", () => {
    expect(web("").circuitBreakers?.thresholds[0]).toMatchObject({
      maxConnections: 4_294_967_295,
      maxPendingRequests: 4_294_967_295,
      maxRequests: 4_294_967_295,
      maxRetries: 4_294_967_295,
    });
  });

  it("carries HTTP limits, keep-alive and idle times", () => {
    const cluster = web(
      rule(`
    connectionPool:
      tcp: { tcpKeepalive: { probes: 3, time: 60s, interval: 10s } }
      http: { http1MaxPendingRequests: 5, http2MaxRequests: 6, maxRetries: 7, maxRequestsPerConnection: 1, idleTimeout: 30s }`),
    );
    expect(cluster.circuitBreakers?.thresholds[0]).toMatchObject({
      maxPendingRequests: 5,
      maxRequests: 6,
      maxRetries: 7,
    });
    expect(cluster.upstreamConnectionOptions?.tcpKeepalive).toMatchObject({
      keepaliveProbes: 3,
      keepaliveTime: 60,
      keepaliveInterval: 10,
    });
    const [packed] = Object.values(cluster.typedExtensionProtocolOptions);
    const options = HttpProtocolOptions.decode(packed?.value ?? new Uint8Array());
    expect(options.commonHttpProtocolOptions?.maxRequestsPerConnection).toBe(1);
    expect(ms(options.commonHttpProtocolOptions?.idleTimeout)).toBe(30_000);
  });

  it("an outlier policy turns panic off unless a minimum is asked for", () => {
    const panic = (minimum: string) =>
      web(rule(`{ outlierDetection: { consecutiveGatewayErrors: 2, maxEjectionPercent: 50 ${minimum} } }`))
        .commonLbConfig?.healthyPanicThreshold?.value;
    expect([panic(""), panic(", minHealthPercent: 30")]).toEqual([0, 30]);
  });

  it.each([
    ["{ consecutive5xxErrors: 0 }", { enforcingConsecutive5xx: 0, enforcingSuccessRate: 0 }],
    ["{ consecutive5xxErrors: 2 }", { consecutive5xx: 2, enforcingConsecutive5xx: 100 }],
    ["{ consecutiveErrors: 4 }", { consecutive5xx: 4 }],
    ["{ consecutiveGatewayErrors: 1 }", { consecutiveGatewayFailure: 1, enforcingConsecutiveGatewayFailure: 100 }],
    [
      "{ splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3 }",
      { consecutiveLocalOriginFailure: 3 },
    ],
  ])("outlier %s", (policy, expected) => {
    expect(web(rule(`{ outlierDetection: ${policy} }`)).outlierDetection).toMatchObject(expected);
  });
});

describe("transport security", () => {
  it("auto mTLS towards endpoints that offer it, plain text towards the others", () => {
    const view = viewOf(WEB);
    expect(view.cluster(`outbound|80||${HOST}`).transportSocketMatches.map(({ name, match }) => [name, match])).toEqual(
      [
        ["tlsMode-istio", { tlsMode: "istio" }],
        ["tlsMode-disabled", {}],
      ],
    );
    expect(view.endpoints(`outbound|80||${HOST}`)).toEqual(["10.1.0.1:8080+", "10.1.0.2:8080"]);
  });

  it("does not offer mTLS where the server refuses it", () => {
    const disabled = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: off }
spec: { selector: { matchLabels: { app: web } }, mtls: { mode: STRICT }, portLevelMtls: { 8080: { mode: DISABLE } } }`;
    const view = viewOf(WEB + disabled);
    expect(view.endpoints(`outbound|80||${HOST}`)).toEqual(["10.1.0.1:8080", "10.1.0.2:8080"]);
    expect(view.endpoints(`outbound|443||${HOST}`)).toEqual(["10.1.0.1:443+", "10.1.0.2:443"]);
  });

  it.each([
    ["{ tls: { mode: DISABLE } }", undefined],
    ["{ tls: { mode: ISTIO_MUTUAL } }", ["uri exact spiffe://cluster.local/ns/default/sa/web"]],
    [
      "{ tls: { mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://cluster.local/ns/x/sa/y'] } }",
      ["uri exact spiffe://cluster.local/ns/x/sa/y"],
    ],
    ["{ tls: { mode: SIMPLE, sni: web.example.com } }", ["dns exact web.example.com"]],
    ["{ tls: { mode: SIMPLE, subjectAltNames: ['*.example.com'] } }", ["dns suffix .example.com"]],
    ["{ tls: { mode: SIMPLE, insecureSkipVerify: true } }", []],
  ])("%s accepts %s", (policy, names) => {
    const cluster = web(rule(policy));
    const tls = upstreamTlsOf(cluster);
    expect(cluster.transportSocketMatches).toEqual([]);
    expect(tls === undefined ? undefined : acceptedNames(tls)).toEqual(names);
  });

  it.each([
    ["ISTIO_MUTUAL", "{ tls: { mode: ISTIO_MUTUAL } }"],
    ["SIMPLE", "{ tls: { mode: SIMPLE, sni: web.example.com } }"],
  ])("%s goes up to TLS 1.3, which Envoy as a client would not do by itself", (_mode, policy) => {
    const params = upstreamTlsOf(web(rule(policy)))?.commonTlsContext?.tlsParams;
    expect(params).toMatchObject({
      tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2,
      tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
      cipherSuites: [],
      ecdhCurves: [],
    });
  });

  it("MUTUAL presents the client's own files", () => {
    const files = "clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem";
    const common = upstreamTlsOf(web(rule(`{ tls: { mode: MUTUAL, ${files} } }`)))?.commonTlsContext;
    expect(common?.tlsCertificateSdsSecretConfigs.map(({ name }) => name)).toEqual(["file-cert:/c.pem~/k.pem"]);
    const validation = common?.validationContextType;
    expect(
      validation?.$case === "combinedValidationContext" && validation.value.validationContextSdsSecretConfig?.name,
    ).toBe("file-root:/ca.pem");
  });

  it.each([
    ["http", `outbound|80||${HOST}`, ["istio-http/1.1", "istio", "http/1.1"]],
    ["TCP", `outbound|3306||${HOST}`, ["istio-peer-exchange", "istio"]],
    ["gRPC for a proxy without HTTP/2", `outbound|90||${HOST}`, ["istio-peer-exchange", "istio"]],
  ])("announces %s inside mTLS", (_kind, name, alpn) => {
    expect(upstreamTlsOf(web("", name))?.commonTlsContext?.alpnProtocols).toEqual(alpn);
  });

  it("gRPC for Envoy is HTTP/2", () => {
    const cluster = clusterOf(WEB, `outbound|90||${HOST}`, { envoy: true });
    expect(upstreamTlsOf(cluster)?.commonTlsContext?.alpnProtocols).toEqual(["istio-h2", "istio", "h2"]);
    expect(Object.keys(cluster.typedExtensionProtocolOptions)).toHaveLength(1);
  });
});

describe("service entries", () => {
  const HTTP = "ports: [{ number: 80, name: http, protocol: HTTP }]";
  const type = (cluster: ReturnType<typeof clusterOf>) =>
    cluster.clusterDiscoveryType?.$case === "type" ? cluster.clusterDiscoveryType.value : undefined;

  it.each([
    ["NONE", "", Cluster_DiscoveryType.ORIGINAL_DST],
    ["STATIC", "endpoints: [{ address: 192.0.2.1 }],", Cluster_DiscoveryType.EDS],
    ["DNS", "", Cluster_DiscoveryType.STRICT_DNS],
    ["DNS_ROUND_ROBIN", "", Cluster_DiscoveryType.LOGICAL_DNS],
  ])("resolution %s", (resolution, endpoints, expected) => {
    const yaml = entry(`{ hosts: [api.example.com], resolution: ${resolution}, ${endpoints} ${HTTP} }`);
    const cluster = clusterOf(yaml, "outbound|80||api.example.com");
    expect(type(cluster)).toBe(expected);
    expect(upstreamTlsOf(cluster)).toBeUndefined();
  });

  it("DNS without endpoints resolves the host itself, at the target port", () => {
    const yaml = entry(
      "{ hosts: [api.example.com], resolution: DNS, ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }] }",
    );
    const [locality] = clusterOf(yaml, "outbound|80||api.example.com").loadAssignment?.endpoints ?? [];
    expect(locality?.lbEndpoints[0]?.hostIdentifier).toMatchObject({
      value: { address: { address: { value: { address: "api.example.com", portSpecifier: { value: 8080 } } } } },
    });
  });

  it("inside the mesh, workloads with sidecars get mTLS and must be who they say", () => {
    const yaml = `${entry(
      `{ hosts: [vm.mesh], location: MESH_INTERNAL, resolution: STATIC, workloadSelector: { labels: { app: vm } }, ${HTTP} }`,
    )}
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vm-1 }
spec: { address: 192.0.2.7, serviceAccount: vm, labels: { app: vm, security.istio.io/tlsMode: istio }, ports: { http: 8081 } }
---${pod("vm-2", "10.1.0.9", { app: "vm" }, { account: "other" })}`;
    const view = viewOf(yaml);
    expect(view.endpoints("outbound|80||vm.mesh")).toEqual(["10.1.0.9:80+", "192.0.2.7:8081+"]);
    expect(acceptedNames(upstreamTlsOf(view.cluster("outbound|80||vm.mesh")))).toEqual([
      "uri exact spiffe://cluster.local/ns/default/sa/other",
      "uri exact spiffe://cluster.local/ns/default/sa/vm",
    ]);
  });
});

describe("headless services and aliases", () => {
  const headless = (mesh: boolean) => `
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { clusterIP: None, selector: { app: db }, ports: [{ name: tcp, port: 5432 }] }
---${pod("db-0", "10.1.0.5", { app: "db" })}${pod("db-1", "10.1.0.6", { app: "db" }, { mesh })}`;
  const NAME = "outbound|5432||db.default.svc.cluster.local";

  it("keep the address the client chose; mTLS only when every pod takes it", () => {
    expect(upstreamTlsOf(clusterOf(headless(true), NAME))).toBeDefined();
    expect(clusterOf(headless(true), NAME).transportSocketMatches).toEqual([]);
    expect(upstreamTlsOf(clusterOf(headless(false), NAME))).toBeUndefined();
  });

  it("gateways choose an endpoint, for they have no original destination", () => {
    const view = viewOf(headless(true), { kind: "router", namespace: "istio-system" });
    expect(view.endpoints(NAME)).toEqual(["10.1.0.5:5432+", "10.1.0.6:5432+"]);
  });

  it("an ExternalName for a service of the mesh has that service's endpoints", () => {
    const alias = `
apiVersion: v1
kind: Service
metadata: { name: site }
spec: { type: ExternalName, externalName: ${HOST}, ports: [{ name: http, port: 80 }] }`;
    const view = viewOf(WEB + alias);
    expect(view.endpoints("outbound|80||site.default.svc.cluster.local")).toEqual(["10.1.0.1:8080+", "10.1.0.2:8080"]);
  });
});
