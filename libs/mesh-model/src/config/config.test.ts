import { describe, expect, it } from "vitest";
import type { Resource } from "../kinds/index.ts";
import { findingsOf, objectsOf } from "../testing/findings.ts";
import { proxyDefaultsWith } from "./annotation.ts";
import { meshConfigFromConfigMap, meshConfigFromText } from "./from-config-map.ts";
import { defaultMeshConfig } from "./mesh-config.ts";

const read = (text: string) => meshConfigFromText(text, "mesh");
function configOf(text: string) {
  const result = read(text);
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

describe("mesh configuration", () => {
  it.each(["", "# nothing\n", "{}", "---\n"])("%j means the defaults", (text) => {
    expect(configOf(text)).toEqual(defaultMeshConfig());
  });

  it("takes limits of TLS, and what is so in a mesh of one cluster", () => {
    const config = configOf(`
meshMTLS: {minProtocolVersion: TLSV1_3, ecdhCurves: [P-256, X25519]}
tlsDefaults: {minProtocolVersion: TLSV1_2, cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]}
dnsRefreshRate: 5s
verifyCertificateAtClient: true
disableEnvoyListenerLog: true
serviceSettings: [{settings: {clusterLocal: true}, hosts: ["*.foo.svc.cluster.local"]}]
defaultConfig: {proxyHeaders: {preserveHttp1HeaderCase: true}}
`);
    expect(config).toMatchObject({
      meshMTLS: { minProtocolVersion: "TLSV1_3", ecdhCurves: ["P-256", "X25519"] },
      tlsDefaults: { minProtocolVersion: "TLSV1_2", cipherSuites: ["ECDHE-RSA-AES128-GCM-SHA256"] },
      dnsRefreshRateMs: 5000,
      defaultConfig: { proxyHeaders: { preserveHttp1HeaderCase: true } },
    });
  });

  it("lays what is written over the defaults", () => {
    const config = configOf(`
trustDomain: example.org
trustDomainAliases: [old.example.org]
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
ingressControllerMode: DEFAULT
ingressClass: edge
ingressService: edge-gateway
ingressSelector: edge
accessLogFile: /dev/stdout
accessLogEncoding: JSON
enableAutoMtls: false
connectTimeout: 1.5s
protocolDetectionTimeout: 100ms
defaultConfig: {concurrency: 2, terminationDrainDuration: 1s, holdApplicationUntilProxyStarts: false, tracing: {}}
defaultHttpRetryPolicy: {attempts: 0}
defaultServiceExportTo: ["."]
pathNormalization: {normalization: MERGE_SLASHES}
localityLbSetting: {failoverPriority: [zone]}
defaultTrafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}
tcpKeepalive: {time: 60s}
discoverySelectors: [{matchLabels: {mesh: shop}}, {matchExpressions: [{key: a, operator: Exists}]}]
h2UpgradePolicy: UPGRADE
`);
    expect(config).toMatchObject({
      trustDomain: "example.org",
      trustDomainAliases: ["old.example.org"],
      rootNamespace: "istio-system",
      outboundTrafficPolicy: { mode: "REGISTRY_ONLY" },
      ingress: { controllerMode: "DEFAULT", ingressClass: "edge", service: "edge-gateway", selector: "edge" },
      accessLogFile: "/dev/stdout",
      accessLogEncoding: "JSON",
      enableAutoMtls: false,
      connectTimeoutMs: 1500,
      protocolDetectionTimeoutMs: 100,
      defaultConfig: {
        concurrency: 2,
        terminationDrainDurationMs: 1000,
        drainDurationMs: 45_000,
        holdApplicationUntilProxyStarts: false,
      },
      defaultHttpRetryPolicy: { attempts: 0 },
      localityLbSetting: { failoverPriority: ["zone"] },
      defaultTrafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } },
      tcpKeepalive: { time: "60s" },
      discoverySelectors: [{ matchLabels: { mesh: "shop" } }, { matchExpressions: [{ key: "a", operator: "Exists" }] }],
      upgradeToHttp2: true,
      defaultServiceExportTo: ["."],
      pathNormalization: "MERGE_SLASHES",
    });
  });

  it("lays settings of proxies over those of the mesh, field by field", () => {
    const headers = "{server: {value: shop}, requestId: {disabled: true}}";
    const base = configOf(`defaultConfig: {proxyHeaders: ${headers}, gatewayTopology: {numTrustedProxies: 1}}`);
    const own = proxyDefaultsWith(
      "proxyHeaders: {server: {disabled: true}}\ngatewayTopology: {proxyProtocol: {}}",
      base,
    );
    expect(own).toMatchObject({
      proxyHeaders: { server: { disabled: true }, requestId: { disabled: true } },
      gatewayTopology: { numTrustedProxies: 1, proxyProtocol: {} },
    });
    expect(proxyDefaultsWith("proxyHeaders: 7", base)).toBeUndefined();
  });

  it.each([
    ['proxyHeaders: {server: {value: "a\\r\\nb"}}', "only printable ASCII"],
    ["proxyHeaders: {forwardedClientCert: SOMETIMES}", "SOMETIMES"],
    ["proxyHeaders: {setCurrentClientCertDetails: {chain: true}}", "cannot be used"],
    ["proxyHeaders: {xForwardedHost: {enabled: perhaps}}", "perhaps"],
    ["tracing: {sampling: 50}", "tracing of proxies is not supported"],
    ["gatewayTopology: {numTrustedProxies: -1}", "-1"],
  ])("%s is refused", (text, expected) => {
    const result = read(`defaultConfig: {${text}}`);
    expect(result.ok ? "" : result.error.map(({ message }) => message).join()).toContain(expected);
  });

  it("adds providers to the built-in ones, or replaces them by name", () => {
    const config = configOf(`
extensionProviders:
- name: mixer
  envoyHttpAls: {service: istio-mixer.istio-system.svc.cluster.local, port: 9091}
- name: envoy
  envoyFileAccessLog: {path: /tmp/log, logFormat: {labels: {m: "%REQ(:METHOD)%"}}}
defaultProviders: {accessLogging: [mixer, envoy], metrics: [prometheus]}
`);
    expect(config.extensionProviders).toEqual([
      { name: "prometheus", prometheus: true },
      {
        name: "mixer",
        envoyHttpAls: {
          service: "istio-mixer.istio-system.svc.cluster.local",
          port: 9091,
          logName: "http_envoy_accesslog",
          additionalRequestHeadersToLog: [],
          additionalResponseHeadersToLog: [],
        },
      },
      { name: "envoy", envoyFileAccessLog: { path: "/tmp/log", logFormat: { labels: { m: "%REQ(:METHOD)%" } } } },
    ]);
    expect(config.defaultProviders).toEqual({
      accessLogging: ["mixer", "envoy"],
      metrics: ["prometheus"],
      tracing: [],
    });
  });

  it("knows services that authorise", () => {
    const config = configOf(`
extensionProviders:
- name: opa
  envoyExtAuthzGrpc: {service: opa.infra.svc.cluster.local, port: 9191, timeout: 2s, failOpen: true}
- name: legacy
  envoyExtAuthzHttp: {service: legacy.infra.svc.cluster.local, port: 80, pathPrefix: /check, statusOnError: "503", includeHeadersInCheck: [x-a]}
`);
    const of = (name: string) => config.extensionProviders.find((provider) => provider.name === name)?.extAuthz;
    expect(of("opa")).toMatchObject({ kind: "grpc", port: 9191, timeoutMs: 2000, failOpen: true, statusOnError: 403 });
    expect(of("legacy")).toMatchObject({
      ...{
        kind: "http",
        timeoutMs: 600_000,
        failOpen: false,
        statusOnError: 503,
        pathPrefix: "/check",
        requestHeaders: ["x-a"],
      },
    });
  });

  it.each([
    [
      "a status of errors that is none",
      "extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: b, port: 1, statusOnError: ok}}]",
      '"ok" is not an error status',
    ],
    ["an unknown field", "trustdomain: a", '1:1 unknown field "trustdomain"'],
    ["an unknown mode", "outboundTrafficPolicy: {mode: ANY}", '1:31 "ANY" is not one of ALLOW_ANY, REGISTRY_ONLY'],
    ["a trust domain that is none", "trustDomain: a/b", '1:14 "a/b" is not a trust domain'],
    [
      "a provider of two kinds",
      "extensionProviders: [{name: a, prometheus: {}, envoyFileAccessLog: {}}]",
      '1:22 provider "a" needs exactly one of',
    ],
    [
      "a provider that is not defined",
      "defaultProviders: {accessLogging: [nobody]}",
      '1:36 provider "nobody" is not defined',
    ],
    [
      "the use of a provider of a kind not honoured yet",
      "extensionProviders: [{name: a, envoyOtelAls: {service: b, port: 1}}]\ndefaultProviders: {accessLogging: [a]}",
      '2:36 provider "a" is of a kind that is not supported yet',
    ],
    [
      "the use of a provider for what it does not do",
      "defaultProviders: {metrics: [envoy]}",
      '1:30 provider "envoy" is of kind envoyFileAccessLog; metrics needs prometheus',
    ],
    [
      "headers in records of a log service",
      "extensionProviders: [{name: a, envoyHttpAls: {service: b, port: 1, additionalRequestHeadersToLog: [x-a]}}]",
      "1:99 additionalRequestHeadersToLog is not supported yet",
    ],
    ["a setting not honoured yet", "ca: {address: a}", '1:1 "ca" cannot be used'],
    ["a suite that is none", "meshMTLS: {cipherSuites: [A]}", '1:27 "A" is none of ECDHE-ECDSA-AES256-GCM-SHA384'],
    ["a curve twice", "tlsDefaults: {ecdhCurves: [P-256, P-256]}", '1:35 "P-256" is written twice'],
    [
      "hosts that nobody names, resolved anew",
      "outboundTrafficPolicy: { mode: ALLOW_ANY_DYNAMIC_DNS }",
      "1:32 ALLOW_ANY_DYNAMIC_DNS is not supported: unknown destinations are called at the address",
    ],
    ["servers that are not verified", "verifyCertificateAtClient: false", "1:28 servers are always verified"],
    [
      "services of several clusters",
      "serviceSettings: [{settings: {clusterLocal: false}}]",
      "1:45 endpoints of other clusters are not known yet",
    ],
    ["a timeout of nothing", "connectTimeout: 0s", '1:17 duration "0s" must be at least 1ms'],
    ["a log of an operator that is none", 'accessLogFormat: "%PROTOCL%"', '1:18 "%PROTOCL%" is no operator'],
    [
      "a log that only Envoy can write",
      'accessLogFormat: "%UPSTREAM_PROTOCOL%"',
      "1:18 %UPSTREAM_PROTOCOL% is not supported yet",
    ],
    [
      "a field of a log of half an operator",
      'extensionProviders: [{name: a, envoyFileAccessLog: {logFormat: {labels: {b: "%REQ"}}}}]',
      '"%REQ" is no operator',
    ],
    [
      "another port of the proxy",
      "proxyListenPort: 15002",
      "1:18 proxyListenPort other than 15001 is not supported yet",
    ],
    ["two documents", "a: 1\n---\nb: 2", "2:1 the mesh configuration must be one document"],
    ["text that is not YAML", "a: [", "1:5 flow sequence"],
    ["a duration that is none", "connectTimeout: fast", '1:17 "fast" is not a duration'],
  ])("refuses %s", (_, text, expected) => {
    const result = read(text);
    expect(result.ok).toBe(false);
    const [first] = result.ok ? [] : result.error;
    expect(`${first?.origin.line}:${first?.origin.column} ${first?.message}`).toContain(expected);
  });

  it("is read from the ConfigMap's key mesh", () => {
    const text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    trustDomain: a.b\n";
    const map = objectsOf(text)[0] as Resource<"ConfigMap">;
    expect(meshConfigFromConfigMap(map)).toMatchObject({ ok: true, value: { trustDomain: "a.b" } });
    const broken = { ...map, data: { mesh: "x: 1" } };
    expect(meshConfigFromConfigMap(broken)).toMatchObject({
      ok: false,
      error: [{ origin: { file: "ConfigMap/istio-system/istio#mesh", line: 1 } }],
    });
  });

  it("may define providers of other kinds, as the demo installation does", () => {
    const config = configOf(`
accessLogFile: /dev/stdout
defaultConfig: {discoveryAddress: "istiod.istio-system.svc:15012"}
defaultProviders: {metrics: [prometheus]}
enablePrometheusMerge: true
extensionProviders:
- envoyOtelAls: {port: 4317, service: opentelemetry-collector.observability.svc.cluster.local}
  name: otel
- name: skywalking
  skywalking: {port: 11800, service: tracing.istio-system.svc.cluster.local}
rootNamespace: null
trustDomain: cluster.local
`);
    expect(config.extensionProviders.map(({ name }) => name)).toEqual(["prometheus", "envoy"]);
  });

  describe("as a ConfigMap", () => {
    const map = (data: string, name = "istio") =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: istio-system}\ndata:\n${data}`;

    it.each([
      [
        "is judged when it is decoded",
        map("  mesh: |\n    trustDomain: a\n    trustdomain: b\n"),
        ['error data.mesh: line 2: unknown field "trustdomain"'],
      ],
      ["may have networks that are none", map('  mesh: ""\n  meshNetworks: "networks: {}"\n'), []],
      [
        "may have networks",
        map(
          '  meshNetworks: "networks: {n: {endpoints: [{fromRegistry: east}, {fromCidr: 10.0.0.0/8}], gateways: [{address: 1.2.3.4, port: 15443}, {registryServiceName: gw.istio-system.svc.cluster.local, port: 443}]}}"\n',
        ),
        [],
      ],
      [
        "has no network of two ways",
        map('  meshNetworks: "networks: {n: {endpoints: [{fromRegistry: a, fromCidr: 10.0.0.0/8}]}}"\n'),
        [
          "error data.meshNetworks: line 1: networks.n.endpoints[0]: exactly one of fromCidr and fromRegistry is required",
        ],
      ],
      [
        "has no range of two networks",
        map(
          '  meshNetworks: "networks: {n: {endpoints: [{fromCidr: 10.0.0.0/8}]}, m: {endpoints: [{fromCidr: 10.0.0.0/8}]}}"\n',
        ),
        ['error data.meshNetworks: line 1: networks.m.endpoints[0]: 10.0.0.0/8 is in network "n" already'],
      ],
      [
        "has no gateway by a name",
        map('  meshNetworks: "networks: {n: {gateways: [{address: gw.example.com, port: 15443}]}}"\n'),
        [
          'error data.meshNetworks: line 1: networks.n.gateways[0].address: "gw.example.com" is not an IP address; names are not resolved for proxies',
        ],
      ],
      [
        "has no field of networks that is none",
        map('  meshNetworks: "networks: {n: {gateway: []}}"\n'),
        ['error data.meshNetworks: line 1: networks.n.gateway: unknown field "gateway"'],
      ],
      [
        "tells what has no effect here",
        map("  mesh: |\n    defaultConfig: {drainDuration: 10s, holdApplicationUntilProxyStarts: false}\n"),
        [
          "warning data.mesh: defaultConfig.holdApplicationUntilProxyStarts has an effect in injected pods only: on one machine applications always start after their proxy",
        ],
      ],
      ["of another name is none", map("  mesh: |\n    x: 1\n", "other"), []],
    ])("%s", (_, text, expected) => {
      expect(findingsOf(text)).toEqual(expected);
    });
  });
});
