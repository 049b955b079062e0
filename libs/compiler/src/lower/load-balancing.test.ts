import { Cluster_LbPolicy } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import { clusterSpec } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { compilerFor, ms, type NodeOptions, objectsFrom, pod, service, tcpProxyOf, viewOf } from "../testing/mesh.ts";
import { run, simulate } from "../testing/simulate.ts";

const HOST = "web.default.svc.cluster.local";
const WEB = [
  service("web", "10.0.0.1", ["http:80:8080", "tcp-db:3306"]),
  pod("web-1", "10.1.0.1", { app: "web", version: "v1" }),
].join("");
const rule = (policy: string, extra = "") => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web }
spec: { host: web, trafficPolicy: ${policy} ${extra} }
---`;
const view = (policy: string, node: NodeOptions = {}) => viewOf(WEB + rule(policy), node);
const hashing = (key: string) => `{ loadBalancer: { consistentHash: ${key} } }`;

function hashPolicyOf(yaml: string) {
  const action = viewOf(WEB + yaml).virtualHost("80", "web").routes[0]?.action;
  return action?.$case === "route" ? action.value : undefined;
}

describe("consistent hashing", () => {
  it.each([
    ["{ httpHeaderName: x-user }", { $case: "header", value: { headerName: "x-user" } }],
    ["{ httpQueryParameterName: user }", { $case: "queryParameter", value: { name: "user" } }],
    ["{ useSourceIp: true }", { $case: "connectionProperties", value: { sourceIp: true } }],
    [
      "{ httpCookie: { name: c, path: /, ttl: 60s, attributes: [{ name: SameSite, value: Strict }] } }",
      {
        $case: "cookie",
        value: {
          name: "c",
          path: "/",
          ttl: { seconds: 60n, nanos: 0 },
          attributes: [{ name: "SameSite", value: "Strict" }],
        },
      },
    ],
  ])("by %s", (key, expected) => {
    const yaml = rule(hashing(key));
    expect(hashPolicyOf(yaml)?.hashPolicy).toMatchObject([{ policySpecifier: expected }]);
    expect(simulate(viewOf(WEB + yaml).route("80"), { host: "web" })).toBe(`→ outbound|80||${HOST}`);
  });

  it.each([
    ["{ useSourceIp: true }", Cluster_LbPolicy.RING_HASH, { minimumRingSize: 1024n }],
    [
      "{ useSourceIp: true, ringHash: { minimumRingSize: 2048 } }",
      Cluster_LbPolicy.RING_HASH,
      { minimumRingSize: 2048n },
    ],
    ["{ useSourceIp: true, maglev: {} }", Cluster_LbPolicy.MAGLEV, { tableSize: 65_537n }],
    ["{ useSourceIp: true, maglev: { tableSize: 251 } }", Cluster_LbPolicy.MAGLEV, { tableSize: 251n }],
  ])("with %s", (key, policy, config) => {
    const cluster = view(hashing(key)).cluster(`outbound|80||${HOST}`);
    expect([cluster.lbPolicy, cluster.lbConfig?.value]).toMatchObject([policy, config]);
    expect(clusterSpec(cluster, run()).spec.balance).toBe("hash");
  });

  it("retries stay with the endpoint", () => {
    const predicates = (yaml: string) => hashPolicyOf(yaml)?.retryPolicy?.retryHostPredicate.length;
    expect([predicates(""), predicates(rule(hashing("{ useSourceIp: true }")))]).toEqual([1, 0]);
  });

  it("holds for every destination of a rule, by its subset", () => {
    const yaml = `${rule("{ loadBalancer: { simple: RANDOM } }", ", subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x } } } }]")}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web }
spec: { hosts: [web], http: [{ route: [{ destination: { host: web, subset: v1 }, weight: 1 }, { destination: { host: web }, weight: 1 }] }] }`;
    expect(hashPolicyOf(yaml)?.hashPolicy).toHaveLength(1);
  });

  it("of plain connections is by source address", () => {
    const proxy = (key: string) =>
      tcpProxyOf(view(hashing(key)).listener("10.0.0.1_3306").filterChains[0]?.filters.at(-1));
    expect(proxy("{ useSourceIp: true }").hashPolicy).toHaveLength(1);
    expect(proxy("{ httpHeaderName: x }").hashPolicy).toHaveLength(0);
  });
});

describe("warm-up", () => {
  it.each([
    ["{ simple: ROUND_ROBIN, warmup: { duration: 30s } }", { windowMs: 30_000, minPercent: 10, aggression: 1 }],
    [
      "{ warmup: { duration: 5s, minimumPercent: 20, aggression: 2 } }",
      { windowMs: 5000, minPercent: 20, aggression: 2 },
    ],
    ["{ simple: LEAST_REQUEST, warmupDurationSecs: 1m }", { windowMs: 60_000, minPercent: 10, aggression: 1 }],
    ["{ simple: RANDOM, warmupDurationSecs: 1m }", undefined],
  ])("%s", (balancer, expected) => {
    const cluster = view(`{ loadBalancer: ${balancer} }`).cluster(`outbound|80||${HOST}`);
    expect(clusterSpec(cluster, run()).spec.slowStart).toEqual(expected);
  });
});

describe("what only some proxies can do", () => {
  it.each([true, false])("a PROXY line goes before anything else (Envoy: %s)", (envoy) => {
    const policy = "{ proxyProtocol: { version: V2 } }";
    const names = view(policy, { envoy })
      .cluster(`outbound|80||${HOST}`)
      .transportSocketMatches.map((entry) => entry.transportSocket?.name);
    expect(new Set(names)).toEqual(new Set(["envoy.transport_sockets.upstream_proxy_protocol"]));
  });

  it("a tunnel is used by Envoy, and not gone past by others", () => {
    const policy = "{ tunnel: { protocol: CONNECT, targetHost: a.example.com, targetPort: 443 } }";
    const proxy = (node: NodeOptions) =>
      tcpProxyOf(view(policy, node).listener("10.0.0.1_3306").filterChains[0]?.filters.at(-1));
    expect(proxy({ envoy: true }).tunnelingConfig).toMatchObject({ hostname: "a.example.com:443", usePost: false });
    expect(proxy({}).clusterSpecifier).toEqual({ $case: "cluster", value: "BlackHoleCluster" });
  });
});

it("tells what is withheld", () => {
  const policy = "{ proxyProtocol: { version: V1 }, tunnel: { targetHost: a, targetPort: 1 } }";
  const warnings = compilerFor(objectsFrom(WEB + rule(policy))).warnings();
  expect(warnings.map(({ code, path }) => `${code} ${path}`)).toEqual(["LTN3106 spec.trafficPolicy.tunnel"]);
});

describe("connections", () => {
  it("live as long as they may", () => {
    const policy = "{ connectionPool: { tcp: { maxConnectionDuration: 1h } } }";
    const proxy = tcpProxyOf(view(policy).listener("10.0.0.1_3306").filterChains[0]?.filters.at(-1));
    expect(ms(proxy.maxDownstreamConnectionDuration)).toBe(3_600_000);
  });

  it.each([
    ["{ http: { h2UpgradePolicy: UPGRADE } }", false, "http2ProtocolOptions"],
    ["{ http: { h2UpgradePolicy: DO_NOT_UPGRADE, maxRetries: 1 } }", true, undefined],
    ["{ http: { maxRetries: 1 } }", true, "http2ProtocolOptions"],
    ["{ http: { maxRetries: 1 } }", false, undefined],
  ])("speak HTTP/2 as rule and mesh want it: %s, %s", (pool, upgradeToHttp2, expected) => {
    const yaml = WEB + rule(`{ connectionPool: ${pool} }`);
    const cluster = viewOf(yaml, { envoy: true }, { upgradeToHttp2 }).cluster(`outbound|80||${HOST}`);
    const [packed] = Object.values(cluster.typedExtensionProtocolOptions);
    const protocol = HttpProtocolOptions.decode(packed?.value ?? new Uint8Array()).upstreamProtocolOptions;
    const config = protocol?.$case === "explicitHttpConfig" ? protocol.value.protocolConfig?.$case : undefined;
    expect(config).toBe(expected);
  });

  it("are kept alive as the mesh says, unless a rule does", () => {
    const mesh = { tcpKeepalive: { probes: 3, time: "60s" } };
    const of = (yaml: string) =>
      viewOf(WEB + yaml, {}, mesh).cluster(`outbound|80||${HOST}`).upstreamConnectionOptions?.tcpKeepalive;
    expect(of("")).toMatchObject({ keepaliveProbes: 3, keepaliveTime: 60 });
    expect(of(rule("{ connectionPool: { tcp: { tcpKeepalive: { probes: 9 } } } }"))).toMatchObject({
      keepaliveProbes: 9,
    });
  });

  it("have a retry budget", () => {
    const cluster = view("{ retryBudget: { percent: 30 } }").cluster(`outbound|80||${HOST}`);
    expect(cluster.circuitBreakers?.thresholds[0]?.retryBudget).toEqual({
      budgetPercent: { value: 30 },
      minRetryConcurrency: 3,
    });
  });
});

describe("rules for some clients", () => {
  const SELECTING = `${rule("{ connectionPool: { tcp: { maxConnections: 1 } } }")}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: special }
spec: { host: web, workloadSelector: { matchLabels: { app: client } }, trafficPolicy: { connectionPool: { tcp: { maxConnections: 2 } } } }
---`;
  it.each([
    [{ labels: { app: "client" } }, 2],
    [{ labels: { app: "other" } }, 1],
    [{ labels: { app: "client" }, namespace: "elsewhere" }, 1],
  ])("%o", (node, expected) => {
    const cluster = viewOf(WEB + SELECTING, node).cluster(`outbound|80||${HOST}`);
    expect(cluster.circuitBreakers?.thresholds[0]?.maxConnections).toBe(expected);
  });

  it("the mesh's defaults fill what no rule says", () => {
    const defaults = { defaultTrafficPolicy: { outlierDetection: { consecutive5xxErrors: 7 } } };
    const of = (yaml: string) => viewOf(WEB + yaml, {}, defaults).cluster(`outbound|80||${HOST}`).outlierDetection;
    expect(of("")?.consecutive5xx).toBe(7);
    expect(of(rule("{ outlierDetection: { consecutive5xxErrors: 2 } }"))?.consecutive5xx).toBe(2);
  });
});
