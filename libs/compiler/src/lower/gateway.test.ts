import { VirtualHost_TlsRequirementType } from "@lateen/proto/envoy/config/route/v3/route_components";
import { describe, expect, it } from "vitest";
import { CERTIFICATE, PAIR_PEM, tlsSecret } from "../testing/certificates.ts";
import {
  acceptedNames,
  chainsOf,
  downstreamTlsOf,
  type NodeOptions,
  type ProxyView,
  service,
  viewOf,
} from "../testing/mesh.ts";

const NODE: NodeOptions = { kind: "router", namespace: "istio-system", labels: { istio: "gw" } };
const WEB = service("web", "10.0.0.1", ["http:80"]) + service("db", "10.0.0.2", ["tcp:3306"]);

function gateway(
  name: string,
  servers: string,
  options: { readonly selector?: string; readonly created?: string } = {},
): string {
  const { selector = "{ istio: gw }", created = "2024-01-01T00:00:00Z" } = options;
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: ${name}, creationTimestamp: "${created}" }
spec: { selector: ${selector}, servers: ${servers} }
---`;
}
function bind(name: string, hosts: string, body: string, gateways = "[edge]", namespace = "default"): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace} }
spec: { hosts: ${hosts}, gateways: ${gateways}, ${body} }
---`;
}
const HTTP = (number: number, hosts: string, more = "") =>
  `{ port: { number: ${number}, name: http-${number}, protocol: HTTP }, hosts: ${hosts} ${more} }`;
const TLS = (protocol: string, hosts: string, tls: string, name = "tls") =>
  `{ port: { number: 443, name: ${name}, protocol: ${protocol} }, hosts: ${hosts}, tls: ${tls} }`;
const TO_WEB = "http: [{ route: [{ destination: { host: web } }] }]";
const view = (yaml: string): ProxyView => viewOf(WEB + yaml, NODE);

/** Virtual hosts of a route configuration: domain → clusters or answers. */
function hosts(proxy: ProxyView, name: string): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    proxy.route(name).virtualHosts.map(({ domains, routes }) => [
      domains.join(),
      routes.map(({ action }) => {
        if (action?.$case === "directResponse") return String(action.value.status);
        if (action?.$case !== "route") return String(action?.$case);
        const to = action.value.clusterSpecifier;
        return to?.$case === "cluster" ? to.value : String(to?.$case);
      }),
    ]),
  );
}

describe("plain HTTP", () => {
  it("servers of one port share a listener and a route table", () => {
    const proxy = view(
      gateway("edge", `[${HTTP(80, "[a.example.com]")}, ${HTTP(81, "[b.example.com]")}]`) +
        gateway("other", `[${HTTP(80, "[c.example.com]")}]`) +
        bind("r", "['*.example.com']", TO_WEB, "[edge, other]"),
    );
    expect(proxy.names("listener")).toEqual(["0.0.0.0_80", "0.0.0.0_81"]);
    expect(Object.keys(hosts(proxy, "http.80"))).toEqual(["a.example.com", "c.example.com"]);
    expect(Object.keys(hosts(proxy, "http.81"))).toEqual(["b.example.com"]);
  });

  it("listens on the target port of the gateway's own service", () => {
    const own = service("gw", "10.0.0.9", ["http:80:8080"], { namespace: "istio-system", selector: { istio: "gw" } });
    const proxy = view(own + gateway("edge", `[${HTTP(80, "['*']")}]`) + bind("r", "['*']", TO_WEB));
    expect(proxy.names("listener")).toEqual(["0.0.0.0_8080"]);
    expect(hosts(proxy, "http.8080")).toEqual({ "*": ["outbound|80||web.default.svc.cluster.local"] });
  });

  it("without a virtual service answers 404", () => {
    expect(hosts(view(gateway("edge", `[${HTTP(80, "['*']")}]`)), "http.80")).toEqual({ "*": ["404"] });
  });

  it("virtual services of one host follow one another, the oldest first", () => {
    const at = (path: string) =>
      `http: [{ match: [{ uri: { prefix: ${path} } }], route: [{ destination: { host: web } }] }]`;
    const proxy = view(
      gateway("edge", `[${HTTP(80, "['*']")}]`) +
        bind("b", "[x.example.com]", at("/b")) +
        bind("a", "[x.example.com]", at("/a")),
    );
    expect(
      proxy.virtualHost("http.80", "x.example.com").routes.map((route) => route.match?.pathSpecifier?.value),
    ).toEqual(["/a", "/b"]);
  });

  it.each([
    ["server * with host a.com", "['*']", "[a.com]", ["a.com"]],
    ["server *.a.com with host x.a.com", "['*.a.com']", "[x.a.com]", ["x.a.com"]],
    ["server x.a.com with host *.a.com", "[x.a.com]", "['*.a.com']", ["x.a.com"]],
    ["server a.com with host b.com", "[a.com]", "[b.com]", ["*"]],
    ["server of another namespace's services", "['prod/*']", "[a.com]", ["*"]],
    ["server of its own namespace's services", "['./*']", "[a.com]", ["a.com"]],
  ])("%s", (_title, server, wanted, expected) => {
    const proxy = view(gateway("edge", `[${HTTP(80, server)}]`) + bind("r", wanted, TO_WEB));
    expect(Object.keys(hosts(proxy, "http.80"))).toEqual(expected);
  });

  it("only gateways that select the proxy, and virtual services that name the gateway, count", () => {
    const proxy = view(
      gateway("edge", `[${HTTP(80, "['*']")}]`) +
        gateway("elsewhere", `[${HTTP(90, "['*']")}]`, { selector: "{ istio: other }" }) +
        bind("r", "[a.com]", TO_WEB, "[elsewhere]") +
        bind("s", "[b.com]", TO_WEB, "[mesh]"),
    );
    expect(proxy.names("listener")).toEqual(["0.0.0.0_80"]);
    expect(hosts(proxy, "http.80")).toEqual({ "*": ["404"] });
  });

  it("httpsRedirect sends every host to https", () => {
    const proxy = view(
      gateway("edge", `[${HTTP(80, "[a.com]", ", tls: { httpsRedirect: true }")}]`) + bind("r", "[a.com]", TO_WEB),
    );
    expect(proxy.virtualHost("http.80", "a.com").requireTls).toBe(VirtualHost_TlsRequirementType.ALL);
  });
});

describe("TLS", () => {
  it("each server gets a chain by SNI and its own routes", () => {
    const proxy = view(
      gateway(
        "edge",
        `[${TLS("HTTPS", "[a.com]", "{ mode: SIMPLE, credentialName: a }", "one")}, ${TLS("HTTPS", "[b.com]", "{ mode: MUTUAL, credentialName: b }", "two")}]`,
      ) + bind("r", "[a.com, b.com]", TO_WEB),
    );
    const listener = proxy.listener("0.0.0.0_443");
    expect(chainsOf(listener)).toEqual([
      "a.com → mtls http rds https.443.one.edge.default",
      "b.com → mtls http rds https.443.two.edge.default",
    ]);
    expect(Object.keys(hosts(proxy, "https.443.one.edge.default"))).toEqual(["a.com"]);
    const [simple, mutual] = listener.filterChains.map(downstreamTlsOf);
    expect(simple?.requireClientCertificate).toBe(false);
    const [named] = simple?.commonTlsContext?.tlsCertificateSdsSecretConfigs ?? [];
    expect([named?.name, named?.sdsConfig?.configSourceSpecifier?.$case]).toEqual(["kubernetes://a", "ads"]);
    expect(mutual?.requireClientCertificate).toBe(true);
    expect(
      mutual?.commonTlsContext?.validationContextType?.$case === "combinedValidationContext" &&
        mutual.commonTlsContext.validationContextType.value.validationContextSdsSecretConfig?.name,
    ).toBe("kubernetes://b-cacert");
  });

  it.each(["{ mode: SIMPLE, credentialName: a }", "{ mode: PASSTHROUGH }"])(
    "%s: a host that is written twice has one chain",
    (tls) => {
      const proxy = view(
        gateway("edge", `[${TLS("HTTPS", "[a.com, A.com, a.com]", tls)}]`) +
          bind(
            "r",
            "[a.com]",
            `${TO_WEB}, tls: [{ match: [{ sniHosts: [a.com, A.com, a.com] }], route: [{ destination: { host: web } }] }]`,
          ),
      );
      expect(
        proxy.listener("0.0.0.0_443").filterChains.map(({ filterChainMatch }) => filterChainMatch?.serverNames),
      ).toEqual([["a.com"]]);
    },
  );

  it("ISTIO_MUTUAL asks for mesh certificates", () => {
    const proxy = view(
      gateway("edge", `[${TLS("HTTPS", "[a.com]", "{ mode: ISTIO_MUTUAL }")}]`) + bind("r", "[a.com]", TO_WEB),
    );
    const tls = downstreamTlsOf(proxy.listener("0.0.0.0_443").filterChains[0]);
    expect(acceptedNames(tls)).toEqual(["uri prefix spiffe://cluster.local/"]);
    const [own] = tls.commonTlsContext?.tlsCertificateSdsSecretConfigs ?? [];
    expect([own?.name, own?.sdsConfig?.configSourceSpecifier?.$case]).toEqual(["default", "apiConfigSource"]);
  });

  const tlsOf = (settings: string, node: NodeOptions = NODE) => {
    const yaml = gateway("edge", `[${TLS("HTTPS", "[a.com]", settings)}]`) + bind("r", "[a.com]", TO_WEB);
    const proxy = viewOf(WEB + yaml, node);
    if (!proxy.names("listener").includes("0.0.0.0_443")) return undefined;
    return downstreamTlsOf(proxy.listener("0.0.0.0_443").filterChains[0]);
  };

  it("client certificates must have one of the names", () => {
    const tls = tlsOf("{ mode: MUTUAL, credentialName: c, subjectAltNames: [b.example, 'spiffe://d/e'] }");
    expect(acceptedNames(tls)).toEqual(["dns exact b.example", "uri exact spiffe://d/e"]);
  });

  it.each([
    ["MUTUAL", true],
    ["OPTIONAL_MUTUAL", false],
  ])("%s: a client certificate is required: %s", (mode, required) => {
    expect(tlsOf(`{ mode: ${mode}, credentialName: c }`)?.requireClientCertificate).toBe(required);
  });

  it.each([
    ["{ mode: SIMPLE, credentialNames: [a, b] }", ["kubernetes://a", "kubernetes://b"]],
    [
      "{ mode: SIMPLE, tlsCertificates: [{ serverCertificate: /a, privateKey: /b }, { serverCertificate: /c, privateKey: /d }] }",
      ["file-cert:/a~/b", "file-cert:/c~/d"],
    ],
  ])("%s: all certificates are for clients to pick from", (settings, expected) => {
    const names = (node: NodeOptions) =>
      tlsOf(settings, node)?.commonTlsContext?.tlsCertificateSdsSecretConfigs.map(({ name }) => name);
    expect([names({ ...NODE, envoy: true }), names(NODE)]).toEqual([expected, expected]);
  });

  it("digests of client certificates are checked by Envoy; our own proxy does not serve such a server", () => {
    const settings =
      "{ mode: MUTUAL, credentialName: c, verifyCertificateSpki: ['NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A='] }";
    const validation = tlsOf(settings, { ...NODE, envoy: true })?.commonTlsContext?.validationContextType;
    expect(
      validation?.$case === "combinedValidationContext" &&
        validation.value.defaultValidationContext?.verifyCertificateSpki,
    ).toEqual(["NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="]);
    expect(tlsOf(settings)).toBeUndefined();
  });

  it("files may hold the certificate", () => {
    const files = "{ mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem }";
    const proxy = view(gateway("edge", `[${TLS("HTTPS", "[a.com]", files)}]`) + bind("r", "[a.com]", TO_WEB));
    const tls = downstreamTlsOf(proxy.listener("0.0.0.0_443").filterChains[0]);
    expect(tls.commonTlsContext?.tlsCertificateSdsSecretConfigs[0]?.name).toBe("file-cert:/c.pem~/k.pem");
  });

  it("AUTO_PASSTHROUGH takes mesh mTLS on to what its SNI names", () => {
    const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web }
spec: { host: web, subsets: [{ name: v1, labels: { version: v1 } }] }
---`;
    const outside = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside }
spec: { hosts: [x.local], resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP }], endpoints: [{ address: 1.2.3.4 }] }
---`;
    const edge = gateway("edge", `[${TLS("TLS", "['*.local']", "{ mode: AUTO_PASSTHROUGH }")}]`);
    const proxy = view(edge + rule + outside);
    const names = (subset: string) => `outbound_.80_.${subset}_.web.default.svc.cluster.local`;
    const alpn = "istio-http/1.0,istio-http/1.1,istio-h2,istio-peer-exchange,istio";
    expect(chainsOf(proxy.listener("0.0.0.0_443"))).toEqual([
      `outbound_.3306_._.db.default.svc.cluster.local ${alpn} → tcp outbound_.3306_._.db.default.svc.cluster.local`,
      `${names("")} ${alpn} → tcp ${names("")}`,
      `${names("v1")} ${alpn} → tcp ${names("v1")}`,
    ]);
    const cluster = proxy.cluster(names("v1"));
    // Not the name of the ordinary cluster's endpoints: an Envoy asks for a name only once.
    expect(cluster.edsClusterConfig?.serviceName).toBe(names("v1"));
    expect(proxy.endpoints(names("v1"))).toEqual(proxy.endpoints("outbound|80|v1|web.default.svc.cluster.local"));
    expect(proxy.names("endpoint")).toContain(names("v1"));
    expect([cluster.transportSocket, cluster.transportSocketMatches]).toEqual([undefined, []]);
    expect(
      view("")
        .names("cluster")
        .filter((name) => name.startsWith("outbound_")),
    ).toEqual([]);
  });

  it("PASSTHROUGH routes by SNI; names of an earlier server are taken", () => {
    const tls =
      "tls: [{ match: [{ sniHosts: [a.com] }], route: [{ destination: { host: web, port: { number: 80 } } }] }]";
    const proxy = view(
      gateway("edge", `[${TLS("TLS", "['*']", "{ mode: PASSTHROUGH }")}]`) +
        bind("r", "[a.com]", tls) +
        bind("s", "[a.com]", tls),
    );
    expect(chainsOf(proxy.listener("0.0.0.0_443"))).toEqual(["a.com → tcp outbound|80||web.default.svc.cluster.local"]);
  });

  it("there is no listener where nothing is routed", () => {
    expect(view(gateway("edge", `[${TLS("TLS", "['*']", "{ mode: PASSTHROUGH }")}]`)).names("listener")).toEqual([]);
  });
});

describe("TCP", () => {
  const TCP = "{ port: { number: 3306, name: db, protocol: TCP }, hosts: ['*'] }";
  const route = "tcp: [{ match: [{ port: 3306 }], route: [{ destination: { host: db } }] }]";

  it("goes where the TCP rule of a virtual service says", () => {
    const proxy = view(gateway("edge", `[${TCP}]`) + bind("r", "['*']", route));
    expect(chainsOf(proxy.listener("0.0.0.0_3306"))).toEqual(["* → tcp outbound|3306||db.default.svc.cluster.local"]);
  });

  it("of two servers on one port the oldest is taken", () => {
    const proxy = view(
      gateway("edge", `[${TCP}]`) +
        gateway("edge2", `[${TCP}]`, { created: "2025-01-01T00:00:00Z" }) +
        bind("r", "['*']", route, "[edge, edge2]"),
    );
    expect(chainsOf(proxy.listener("0.0.0.0_3306"))).toHaveLength(1);
  });
});

describe("secrets of gateways", () => {
  const secret = (name: string, data: Readonly<Record<string, string>>, namespace = "istio-system") =>
    tlsSecret(name, namespace, data);
  const EDGE = gateway("edge", `[${TLS("HTTPS", "[a.com]", "{ mode: MUTUAL, credentialName: a }")}]`);
  const { crt, key, root } = CERTIFICATE;
  const DATA = { "tls.crt": crt, "tls.key": key, "ca.crt": root };

  it("are given to the gateway that names them, from its own namespace", () => {
    const proxy = view(EDGE + secret("a", DATA) + secret("unused", DATA));
    expect(proxy.names("secret")).toEqual(["kubernetes://a", "kubernetes://a-cacert"]);
    const { type } = proxy.secret("kubernetes://a");
    expect(type?.$case === "tlsCertificate" && type.value.privateKey?.specifier?.value?.toString()).toBe(
      PAIR_PEM.keyPem,
    );
  });

  it("are given for each of several names", () => {
    const edge = gateway("edge", `[${TLS("HTTPS", "[a.com]", "{ mode: MUTUAL, credentialNames: [a, b] }")}]`);
    const names = view(edge + secret("a", DATA) + secret("b", DATA)).names("secret");
    expect(names).toEqual(["kubernetes://a", "kubernetes://a-cacert", "kubernetes://b"]);
  });

  it.each([
    ["a secret of another namespace", EDGE + secret("a", DATA, "default"), NODE],
    ["a gateway that is not selected", EDGE + secret("a", DATA), { ...NODE, labels: {} }],
    ["a sidecar with the same labels", EDGE + secret("a", DATA), { ...NODE, kind: "sidecar" as const }],
    ["half a key pair", EDGE + secret("a", { "tls.crt": crt }), NODE],
  ])("%s yields none", (_title, yaml, node) => {
    expect(viewOf(yaml, node).names("secret")).toEqual([]);
  });
});
