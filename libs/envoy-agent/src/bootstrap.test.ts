import { describe, expect, it } from "vitest";
import {
  bootstrapSettings,
  type EnvoyBootstrapOptions,
  envoyBootstrap,
  grpcBootstrap,
  type StockNode,
} from "./index.ts";

const node: StockNode = {
  kind: "sidecar",
  pod: "web-1",
  namespace: "shop",
  address: "10.0.0.1",
  serviceAccount: "web",
  workload: "web",
  labels: { app: "web" },
  ports: [{ name: "http", containerPort: 80 }],
  clusterId: "local",
  trustDomain: "cluster.local",
  domain: "cluster.local",
};
const options: EnvoyBootstrapOptions = {
  node,
  discovery: { kind: "agent", socket: "/run/agent.sock" },
  secretsSocket: "/run/agent.sock",
  admin: { address: "127.0.0.1", port: 15000 },
};
const tls = {
  kind: "tls",
  address: "10.9.9.9",
  port: 15012,
  serverName: "istiod.istio-system.svc",
  rootCertFile: "/certs/root.pem",
} as const;

describe("envoyBootstrap", () => {
  it("introduces the node as Istio's agents do", () => {
    expect(envoyBootstrap(options).node).toEqual({
      id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
      cluster: "web.shop",
      locality: {},
      metadata: expect.objectContaining({
        NAMESPACE: "shop",
        LABELS: { app: "web" },
        POD_PORTS: '[{"name":"http","containerPort":80,"protocol":"TCP"}]',
      }),
    });
  });

  it("says where the node runs", () => {
    const placed = { ...node, locality: { region: "north", subZone: "rack-1" } };
    expect(envoyBootstrap({ ...options, node: placed }).node).toMatchObject({
      locality: { region: "north", sub_zone: "rack-1" },
    });
  });

  it("says what else is known of it, never instead of who it is", () => {
    const metadata = { TEAM: "shop", NAMESPACE: "other", INTERCEPTION_MODE: "TPROXY" };
    expect(envoyBootstrap({ ...options, node: { ...node, metadata } }).node).toMatchObject({
      metadata: { TEAM: "shop", NAMESPACE: "shop", INTERCEPTION_MODE: "TPROXY" },
    });
  });

  it("keeps all statistics, or those that are asked for and Envoy's own", () => {
    expect(envoyBootstrap(options)).not.toHaveProperty("stats_config");
    const statistics = { inclusionPrefixes: ["http."], inclusionSuffixes: [".ssl"], inclusionRegexps: ["a.*"] };
    const { patterns } = (
      envoyBootstrap({ ...options, statistics }) as { stats_config: { stats_matcher: { inclusion_list: never } } }
    ).stats_config.stats_matcher.inclusion_list;
    expect(patterns).toEqual(
      expect.arrayContaining([
        { prefix: "server" },
        { prefix: "http." },
        { suffix: ".ssl" },
        { safe_regex: { regex: "a.*" } },
      ]),
    );
  });

  it("sets feature flags besides its own", () => {
    expect(envoyBootstrap({ ...options, runtimeValues: { "a.b": "1" } }).layered_runtime).toEqual({
      layers: [{ name: "static", static_layer: { "re2.max_program_size.error_level": 32_768, "a.b": "1" } }],
    });
  });

  it("takes configuration and secrets from the agent's socket", () => {
    const text = JSON.stringify(envoyBootstrap(options));
    expect(text.match(/"pipe":\{"path":"\/run\/agent\.sock"\}/g)).toHaveLength(2);
    expect(text).not.toContain("transport_socket");
  });

  it("proves who it is by certificate or by token, never with a key in the document", () => {
    const files = { certFile: "/certs/chain.pem", keyFile: "/certs/key.pem" };
    const byCertificate = JSON.stringify(envoyBootstrap({ ...options, discovery: { ...tls, identity: files } }));
    expect(byCertificate).toContain('"private_key":{"filename":"/certs/key.pem"}');
    expect(byCertificate).not.toContain("authorization");
    const byToken = JSON.stringify(envoyBootstrap({ ...options, discovery: { ...tls, identity: { token: "abc" } } }));
    expect(byToken).toContain('"initial_metadata":[{"key":"authorization","value":"Bearer abc"}]');
    expect(byToken).not.toContain("tls_certificates");
  });

  it("serves statistics and readiness where asked to", () => {
    const faces = { address: "10.0.0.1", statsPort: 15090, healthPort: 15021 };
    const text = JSON.stringify(envoyBootstrap({ ...options, faces }));
    expect(text).toContain('"port_value":15090');
    expect(text).toContain('"prefix_rewrite":"/ready"');
    expect(JSON.stringify(envoyBootstrap(options))).not.toContain("prometheus_stats");
  });
});

describe("bootstrapSettings", () => {
  it.each([
    ["nothing", {}, {}],
    ["what is for others", { concurrency: 2, proxyStatsMatcher: {} }, {}],
    ["feature flags", { runtimeValues: { a: "b", c: 1, d: true } }, { runtimeValues: { a: "b", c: "1", d: "true" } }],
    [
      "statistics",
      { proxyStatsMatcher: { inclusionRegexps: ["a"] } },
      { statistics: { inclusionPrefixes: [], inclusionSuffixes: [], inclusionRegexps: ["a"] } },
    ],
  ])("reads %s", (_title, config, expected) => {
    const problems: string[] = [];
    expect(bootstrapSettings(config, problems)).toEqual(expected);
    expect(problems).toEqual([]);
  });

  it.each([
    [{ proxyStatsMatcher: [] }, "proxyStatsMatcher: must be an object"],
    [{ proxyStatsMatcher: { inclusionPrefixes: "a" } }, "inclusionPrefixes: must be a list of texts"],
    [{ proxyStatsMatcher: { inclusionRegexps: [1] } }, "inclusionRegexps: must be a list of texts"],
    [{ runtimeValues: { a: {} } }, "runtimeValues.a: must be a text"],
  ])("refuses %j", (config, expected) => {
    const problems: string[] = [];
    bootstrapSettings(config, problems);
    expect(problems.join()).toContain(expected);
  });
});

describe("grpcBootstrap", () => {
  it("asks for what gRPC understands, with certificates from the agent's files", () => {
    expect(grpcBootstrap({ node, socket: "/run/agent.sock", certificateDir: "/certs" })).toMatchObject({
      xds_servers: [{ server_uri: "unix:///run/agent.sock", server_features: ["xds_v3"] }],
      node: { metadata: { GENERATOR: "grpc" } },
      certificate_providers: { default: { config: { private_key_file: "/certs/key.pem" } } },
    });
  });
});
