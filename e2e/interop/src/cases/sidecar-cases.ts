import { type Case, object, SUBSETS, to, virtualService } from "./case.ts";

const WEB = ["web:80"];
const paths = ["/", "/a", "/a/b", "/A/b", "/ab", "/b?x=1", "/a?x=2&y=3", "/c/12", "/c/x", "/d%2Fe", "/a//b", "/a/../b"];

/** `web` routed by these HTTP rules (YAML list items, indented by four). */
const routed = (rules: string, more = "") =>
  SUBSETS + virtualService("web", `  hosts: [web]\n  http:\n${rules}`) + more;

/** VirtualService, DestinationRule, ServiceEntry and Sidecar as a client's proxy sees them. */
export const sidecarCases: readonly Case[] = [
  { name: "no rules", yaml: "", pool: true, requests: { to: ["web:80", "legacy:80", "api:80"], paths } },
  {
    name: "no rules, names of every form",
    yaml: "",
    pool: true,
    requests: {
      to: WEB,
      hosts: [
        "web",
        "web.default",
        "web.default.svc",
        "web.default.svc.cluster.local",
        "WEB",
        "web:80",
        "web.default.svc.cluster.local:80",
        "10.96.0.11",
        "10.96.0.11:80",
        "legacy",
      ],
      paths: ["/"],
    },
  },
  {
    name: "uri: exact, prefix, regex",
    yaml: routed(`    - match: [{ uri: { exact: /a } }]
      ${to("v1")}
    - match: [{ uri: { prefix: /a } }]
      ${to("v2")}
    - match: [{ uri: { regex: "/c/[0-9]+" } }]
      ${to("v1")}
    - ${to("v3")}`),
    requests: { to: WEB, paths },
  },
  {
    name: "uri without regard to case",
    yaml: routed(`    - match: [{ uri: { exact: /A/B }, ignoreUriCase: true }]
      ${to("v1")}
    - match: [{ uri: { prefix: /AB }, ignoreUriCase: true }]
      ${to("v2")}
    - ${to("v3")}`),
    requests: { to: WEB, paths },
  },
  {
    name: "headers: exact, prefix, regex, presence, absence",
    yaml: routed(`    - match: [{ headers: { x-user: { exact: jason } } }]
      ${to("v1")}
    - match: [{ headers: { x-user: { prefix: ja } } }, { headers: { x-team: { regex: "a+b?" } } }]
      ${to("v2")}
    - match: [{ headers: { x-any: {} }, withoutHeaders: { x-not: { exact: "1" } } }]
      ${to("v1")}
    - match: [{ withoutHeaders: { x-user: {} } }]
      ${to("v3")}`),
    requests: {
      to: WEB,
      paths: ["/"],
      headers: [
        {},
        { "x-user": "jason" },
        { "x-user": "jane" },
        { "x-user": "bob" },
        { "x-user": "bob", "x-team": "aab" },
        { "x-user": "bob", "x-team": "aabb" },
        { "x-user": "bob", "x-any": "1" },
        { "x-user": "bob", "x-any": "1", "x-not": "1" },
        { "x-user": "bob", "x-any": "", "x-not": "2" },
        { "x-user": "" },
        { "X-User": "jason", "X-Team": "a" },
      ],
    },
  },
  {
    name: "query parameters",
    yaml: routed(`    - match: [{ queryParams: { x: { exact: "1" } } }]
      ${to("v1")}
    - match: [{ queryParams: { x: { regex: "[0-9]+" }, y: { exact: "3" } } }]
      ${to("v2")}
    - match: [{ queryParams: { z: { exact: "" } } }]
      ${to("v1")}
    - match: [{ queryParams: { p: { prefix: ab } } }]
      ${to("v2")}
    - ${to("v3")}`),
    requests: {
      to: WEB,
      paths: [
        "/?x=1",
        "/?x=2&y=3",
        "/?y=3&x=22",
        "/?x=a&y=3",
        "/?z",
        "/?z=",
        "/?z=1",
        "/?x=1&x=2",
        "/?x=2&x=1",
        "/?p=abc",
        "/?p=a",
        "/?%78=1",
        "/?x=%31",
        "/",
      ],
    },
  },
  {
    name: "method, authority, scheme",
    yaml:
      SUBSETS +
      virtualService(
        "web",
        `  hosts: [web, api]
  http:
    - match: [{ method: { exact: POST } }, { method: { regex: "PU.*" } }]
      ${to("v1")}
    - match: [{ authority: { prefix: api } }]
      ${to("v2")}
    - match: [{ scheme: { exact: https } }]
      ${to("v1")}
    - match: [{ scheme: { exact: http }, method: { exact: DELETE } }]
      ${to("v2")}
    - ${to("v3")}`,
      ),
    requests: {
      to: ["web:80", "api:80"],
      hosts: ["web", "api", "api.default", "web:80"],
      methods: ["GET", "POST", "PUT", "DELETE", "OPTIONS"],
      paths: ["/", "/a"],
    },
  },
  {
    name: "redirects",
    yaml: routed(`    - match: [{ uri: { exact: /a } }]
      redirect: { uri: /new }
    - match: [{ uri: { prefix: /a/b } }]
      redirect: { authority: other.example, redirectCode: 302 }
    - match: [{ uri: { prefix: /ab } }]
      redirect: { scheme: https, uri: /s, redirectCode: 308 }
    - match: [{ uri: { prefix: /c } }]
      redirect: { uri: /p, port: 8443, scheme: https, redirectCode: 307 }
    - match: [{ uri: { prefix: /b } }]
      redirect: { authority: b.example, derivePort: FROM_PROTOCOL_DEFAULT, redirectCode: 303 }
    - ${to("v1")}`),
    requests: { to: WEB, hosts: ["web", "web:80"], paths: [...paths, "/a?q=1", "/c?q=1", "/b/c?q=1"] },
  },
  {
    name: "rewrites",
    yaml: routed(`    - match: [{ uri: { exact: /a } }]
      rewrite: { uri: /new }
      ${to("v1")}
    - match: [{ uri: { prefix: /a/ } }]
      rewrite: { uri: / }
      ${to("v2")}
    - match: [{ uri: { prefix: /ab } }]
      rewrite: { authority: other.example }
      ${to("v1")}
    - match: [{ uri: { prefix: /c/ } }]
      rewrite: { uriRegexRewrite: { match: "/c/([0-9]+)", rewrite: "/number/\\\\1" } }
      ${to("v2")}
    - match: [{ uri: { prefix: /b } }]
      rewrite: { uri: /x/y, authority: b.example }
      ${to("v1")}
    - ${to("v3")}`),
    requests: { to: WEB, paths: [...paths, "/a/?q", "/a/x/y?z=1", "/c/1/2/3", "/bb"] },
  },
  {
    name: "direct responses",
    yaml: routed(`    - match: [{ uri: { exact: /a } }]
      directResponse: { status: 418, body: { string: "teapot\\n" } }
    - match: [{ uri: { prefix: /a } }]
      directResponse: { status: 204 }
    - match: [{ uri: { prefix: /b } }]
      directResponse: { status: 503, body: { string: down } }
      headers: { response: { set: { x-why: because } } }
    - ${to("v1")}`),
    requests: { to: WEB, methods: ["GET", "HEAD", "POST"], paths },
  },
  {
    name: "faults: aborts",
    yaml: routed(`    - match: [{ headers: { x-fail: { exact: "1" } } }]
      fault: { abort: { httpStatus: 555, percentage: { value: 100 } } }
      ${to("v1")}
    - match: [{ headers: { x-fail: { exact: "2" } } }]
      fault: { abort: { grpcStatus: "UNAVAILABLE", percentage: { value: 100 } } }
      ${to("v2")}
    - match: [{ headers: { x-fail: { exact: "3" } } }]
      fault: { delay: { fixedDelay: 5ms, percentage: { value: 100 } }, abort: { httpStatus: 400, percentage: { value: 100 } } }
      ${to("v2")}
    - match: [{ headers: { x-fail: { exact: "4" } } }]
      fault: { abort: { httpStatus: 500 } }
      ${to("v2")}
    - ${to("v3")}`),
    requests: {
      to: WEB,
      paths: ["/", "/x"],
      headers: [
        {},
        { "x-fail": "1" },
        { "x-fail": "2" },
        { "x-fail": "3" },
        { "x-fail": "4" },
        { "x-fail": "1", "content-type": "application/grpc" },
        { "x-fail": "2", "content-type": "application/grpc" },
      ],
    },
  },
  {
    name: "header operations at both levels",
    yaml: routed(`    - match: [{ uri: { prefix: /a } }]
      headers:
        request: { set: { x-set: route, x-both: route }, add: { x-add: route }, remove: [x-gone] }
        response: { set: { x-res: route }, add: { x-res-add: route }, remove: [content-type] }
      route:
        - destination: { host: web, subset: v1 }
          headers:
            request: { set: { x-both: destination }, add: { x-add: destination }, remove: [x-gone-too] }
            response: { set: { x-res: destination }, add: { x-res-add: destination } }
    - match: [{ uri: { prefix: /b } }]
      headers: { request: { set: { Host: host.example, x-path: "%REQ(:PATH)%" } } }
      ${to("v2")}
    - headers: { request: { add: { x-list: more } }, response: { remove: [x-secret] } }
      ${to("v3")}`),
    requests: {
      to: WEB,
      paths: ["/a", "/b", "/c"],
      headers: [
        {},
        { "x-set": "client", "x-add": "client", "x-both": "client", "x-gone": "1", "x-gone-too": "1" },
        { "x-list": "first", "x-want-header": "x-secret=yes" },
        { "x-want-header": "x-res=upstream" },
        { "x-want-header": "x-res-add=upstream" },
      ],
    },
  },
  {
    name: "nothing matches, nothing there",
    yaml: routed(`    - match: [{ uri: { exact: /a } }]
      ${to("nowhere")}
    - match: [{ uri: { exact: /ab } }]
      route: [{ destination: { host: nobody.default.svc.cluster.local } }]
    - match: [{ uri: { prefix: /b } }]
      ${to("v1")}`),
    requests: { to: WEB, methods: ["GET", "POST"], paths },
  },
  {
    name: "source labels, source namespace, gateways, port",
    yaml: routed(`    - match: [{ sourceLabels: { app: other } }]
      ${to("v1")}
    - match: [{ sourceNamespace: elsewhere }]
      ${to("v1")}
    - match: [{ gateways: [some-gateway] }]
      ${to("v1")}
    - match: [{ port: 81 }]
      ${to("v1")}
    - match: [{ sourceLabels: { app: client }, sourceNamespace: default, gateways: [mesh], port: 80, uri: { prefix: /a } }]
      ${to("v2")}
    - ${to("v3")}`),
    requests: { to: WEB, paths },
  },
  {
    name: "retries and timeouts",
    yaml: routed(`    - match: [{ uri: { prefix: /a } }]
      retries: { attempts: 2, retryOn: 5xx, perTryTimeout: 2s }
      ${to("v1")}
    - match: [{ uri: { prefix: /b } }]
      retries: { attempts: 0 }
      timeout: 5s
      ${to("v2")}
    - match: [{ uri: { prefix: /c } }]
      retries: { attempts: 3, retryOn: "gateway-error,connect-failure,409" }
      ${to("v2")}
    - ${to("v3")}`),
    requests: {
      to: WEB,
      methods: ["GET", "POST"],
      paths: ["/a", "/b", "/c", "/d"],
      headers: [
        {},
        { "x-want-status": "500" },
        { "x-want-status": "503" },
        { "x-want-status": "409" },
        { "x-want-status": "204" },
      ],
    },
  },
  {
    name: "mirrors",
    yaml: routed(`    - mirrors: [{ destination: { host: web, subset: v3 }, percentage: { value: 100 } }]
      ${to("v2")}`),
    requests: { to: WEB, methods: ["GET", "POST"], paths },
  },
  {
    name: "connection pools, outliers, policies by port and subset",
    yaml: `${object(
      "DestinationRule",
      "web",
      `  host: web
  trafficPolicy:
    loadBalancer: { simple: ROUND_ROBIN }
    connectionPool:
      tcp: { maxConnections: 100, connectTimeout: 3s, tcpKeepalive: { probes: 3, time: 7200s, interval: 75s } }
      http: { http1MaxPendingRequests: 100, http2MaxRequests: 100, maxRequestsPerConnection: 10, maxRetries: 3, idleTimeout: 30s }
    outlierDetection: { consecutive5xxErrors: 100, interval: 10s, baseEjectionTime: 30s, maxEjectionPercent: 50, minHealthPercent: 10 }
    portLevelSettings:
      - { port: { number: 80 }, loadBalancer: { simple: RANDOM } }
  subsets:
    - { name: v1, labels: { version: v1 }, trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST } } }
    - { name: v2, labels: { version: v2 }, trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } } }`,
    )}${virtualService(
      "web",
      `  hosts: [web]\n  http:\n    - match: [{ uri: { prefix: /a } }]\n      ${to("v1")}\n    - ${to("v2")}`,
    )}`,
    requests: { to: WEB, paths },
  },
  {
    name: "mTLS off for one version",
    yaml:
      object(
        "DestinationRule",
        "web",
        `  host: web
  subsets:
    - { name: v1, labels: { version: v1 }, trafficPolicy: { tls: { mode: DISABLE } } }
    - { name: v2, labels: { version: v2 } }`,
      ) +
      virtualService(
        "web",
        `  hosts: [web]\n  http:\n    - match: [{ uri: { prefix: /a } }]\n      ${to("v1")}\n    - ${to("v2")}`,
      ),
    requests: { to: WEB, paths },
  },
  {
    name: "mTLS demanded of an endpoint that has none",
    yaml:
      object("DestinationRule", "legacy", "  host: legacy\n  trafficPolicy: { tls: { mode: ISTIO_MUTUAL } }") +
      virtualService(
        "legacy",
        "  hosts: [legacy]\n  http: [{ retries: { attempts: 0 }, route: [{ destination: { host: legacy } }] }]",
      ),
    requests: { to: ["legacy:80"], paths: ["/"] },
  },
  {
    name: "external services",
    yaml:
      object(
        "ServiceEntry",
        "external",
        `  hosts: [ext.example, "*.wild.example"]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  location: MESH_EXTERNAL
  endpoints: [{ address: 127.70.0.14, ports: { http: 9080 } }]`,
      ) +
      virtualService(
        "external",
        `  hosts: [ext.example]
  http:
    - match: [{ uri: { prefix: /a } }]
      rewrite: { uri: /external }
      route: [{ destination: { host: ext.example } }]
    - route: [{ destination: { host: web } }]`,
      ),
    pool: true,
    requests: { to: WEB, hosts: ["ext.example", "a.wild.example", "wild.example", "web", "ext.example:80"], paths },
  },
  {
    name: "only what is registered",
    yaml: object(
      "Sidecar",
      "default",
      `  outboundTrafficPolicy: { mode: REGISTRY_ONLY }
  egress: [{ hosts: ["./web.default.svc.cluster.local"] }]`,
    ),
    pool: true,
    requests: { to: WEB, hosts: ["web", "legacy", "api", "unknown.example"], paths: ["/", "/a"] },
  },
  {
    name: "rules of several hosts, oldest and most specific first",
    yaml:
      SUBSETS +
      virtualService(
        "both",
        `  hosts: [web.default.svc.cluster.local, api]\n  http: [{ match: [{ uri: { prefix: /a } }], ${to("v1")} }, { ${to("v2")} }]`,
      ) +
      virtualService("wide", `  hosts: ["*.default.svc.cluster.local"]\n  http: [{ ${to("v3")} }]`),
    requests: { to: ["web:80", "api:80", "legacy:80"], paths },
  },
];
