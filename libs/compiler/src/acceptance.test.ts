import { clusterSpec, listenerSpec, routeTable } from "@lateen/proxy";
import { compileRouteTable } from "@lateen/traffic";
import { describe, expect, it } from "vitest";
import { type NodeOptions, pod, service, viewOf } from "./testing/mesh.ts";
import { run } from "./testing/simulate.ts";

const rule = (name: string, spec: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name} }
spec: ${spec}
---`;
const object = (kind: string, name: string, spec: string) => `
apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: { name: ${name} }
spec: ${spec}
---`;

/** A mesh that uses about every field of the traffic API. */
const MESH = [
  service("web", "10.0.0.1", ["http:80:8080", "tcp:3306", "https:443", "plain:7000", "grpc:90"]),
  service("api", "10.0.0.2", ["http:80"]),
  pod("web-1", "10.1.0.1", { app: "web", version: "v1" }),
  rule(
    "web",
    `{ host: web, trafficPolicy: {
      loadBalancer: { consistentHash: { httpCookie: { name: c, ttl: 60s } }, localityLbSetting: { failoverPriority: [a] } },
      connectionPool: { tcp: { maxConnections: 5, connectTimeout: 1s, maxConnectionDuration: 1h, idleTimeout: 1h, tcpKeepalive: { time: 60s } },
        http: { http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRequestsPerConnection: 3, maxRetries: 4, idleTimeout: 5s, h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 6 } },
      outlierDetection: { consecutive5xxErrors: 1, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, minHealthPercent: 10 },
      retryBudget: { percent: 10 }, proxyProtocol: { version: V1 } },
      subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true, maglev: {} } } } }] }`,
  ),
  rule(
    "api",
    "{ host: api, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN, warmup: { duration: 30s } }, tunnel: { targetHost: p, targetPort: 1 } } }",
  ),
  object(
    "VirtualService",
    "web",
    `{ hosts: [web], gateways: [mesh, edge], http: [
      { match: [{ uri: { regex: "/a.*" }, headers: { x: {} }, withoutHeaders: { y: { exact: b } }, queryParams: { q: { prefix: c } }, ignoreUriCase: true, statPrefix: s }],
        corsPolicy: { allowOrigins: [{ regex: ".*" }], maxAge: 1h }, retries: { attempts: 2, retryRemoteLocalities: true, perTryTimeout: 1s, retryOn: "5xx,503" },
        fault: { delay: { fixedDelay: 1s, percentage: { value: 1 } }, abort: { grpcStatus: UNAVAILABLE, percentage: { value: 1 } } },
        mirrors: [{ destination: { host: api }, percentage: { value: 10 } }], headers: { request: { set: { Host: h }, remove: [z] } },
        rewrite: { uriRegexRewrite: { match: "/a", rewrite: "/b" } }, route: [{ destination: { host: web, subset: v1 }, weight: 9 }, { destination: { host: api }, weight: 1, headers: { response: { add: { k: v } } } }] },
      { match: [{ uri: { prefix: /r } }], redirect: { prefixRewrite: /s, derivePort: FROM_REQUEST_PORT, redirectCode: 308 } },
      { match: [{ uri: { prefix: /d } }], directResponse: { status: 503, body: { string: no } } },
      { delegate: { name: part } }],
      tcp: [{ match: [{ port: 3306, destinationSubnets: [10.0.0.0/8] }], route: [{ destination: { host: web, port: { number: 3306 } } }] }] }`,
  ),
  object("VirtualService", "part", "{ http: [{ timeout: 3s, route: [{ destination: { host: api } }] }] }"),
  object(
    "ServiceEntry",
    "outside",
    "{ hosts: [db.example], resolution: DNS, ports: [{ number: 5432, name: tcp, protocol: TCP }, { number: 443, name: tls, protocol: TLS }] }",
  ),
  object(
    "Gateway",
    "edge",
    `{ selector: { app: edge }, servers: [
      { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"], tls: { httpsRedirect: true } },
      { port: { number: 443, name: a, protocol: HTTPS }, hosts: [web], tls: { mode: MUTUAL, credentialNames: [a, b], subjectAltNames: [x] } },
      { port: { number: 443, name: b, protocol: HTTPS }, hosts: [api], tls: { mode: MUTUAL, credentialName: a, verifyCertificateSpki: ['NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A='] } },
      { port: { number: 15443, name: c, protocol: TLS }, hosts: ["*.local"], tls: { mode: AUTO_PASSTHROUGH } }] }`,
  ),
  object(
    "Sidecar",
    "selected",
    `{ workloadSelector: { labels: { app: selected } },
      ingress: [{ port: { number: 9000, protocol: HTTP, name: http }, defaultEndpoint: "127.0.0.1:8080", connectionPool: { http: { idleTimeout: 1s } } },
        { port: { number: 9001, protocol: TCP, name: tcp }, defaultEndpoint: "unix:///run/app" }],
      egress: [{ port: { number: 80, protocol: HTTP, name: http }, bind: 127.0.0.1, captureMode: NONE, hosts: ["*/*"] }, { hosts: ["./*"] }],
      outboundTrafficPolicy: { mode: ALLOW_ANY, egressProxy: { host: api, port: { number: 80 } } } }`,
  ),
].join("");

describe("our own proxies accept all they are given", () => {
  it.each<[string, NodeOptions]>([
    ["a sidecar", { labels: { app: "client" } }],
    ["a served workload", { labels: { app: "web" }, ports: [{ containerPort: 8080 }] }],
    ["a workload with a Sidecar", { labels: { app: "selected" }, ports: [{ containerPort: 8080 }] }],
    ["a gateway", { kind: "router", labels: { app: "edge" } }],
  ])("%s", (_title, node) => {
    const view = viewOf(MESH, node);
    const clusters = view.names("cluster").map((name) => clusterSpec(view.cluster(name), run()).spec.name);
    const listeners = view.names("listener").map((name) => listenerSpec(view.listener(name), run()).name);
    const routes = view.names("route").map((name) => compileRouteTable(routeTable(view.route(name), run())).spec.name);
    expect([clusters, listeners, routes]).toEqual([view.names("cluster"), view.names("listener"), view.names("route")]);
  });
});
