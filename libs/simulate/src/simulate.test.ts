import { describe, expect, it } from "vitest";
import { parseCall } from "./call.ts";
import { app, meshOf, traceOf, verdictOf } from "./testing/world.ts";
import { explainCall } from "./text.ts";

const SHOP = `${app("web")}${app("reviews")}${app("reviews", { version: "v2", service: false })}${app("bare", { inject: false })}${app("db", { ports: ["tcp:5432"] })}`;
const REVIEWS = "outbound|9080||reviews.default.svc.cluster.local";
const v = (subset: string) => `outbound|9080|${subset}|reviews.default.svc.cluster.local`;

const SUBSETS = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
---`;
const RULES = `${SUBSETS}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - match: [{ headers: { end-user: { exact: tester } } }]
      rewrite: { uri: /other, authority: reviews.example.com }
      timeout: 2s
      retries: { attempts: 3, retryOn: 5xx, perTryTimeout: 1s }
      mirror: { host: web, port: { number: 9080 } }
      mirrorPercentage: { value: 50 }
      headers: { request: { set: { x-a: "1" }, remove: [x-b] }, response: { add: { x-c: "2" } } }
      route: [{ destination: { host: reviews, subset: v2 } }]
    - match: [{ uri: { prefix: /old } }]
      redirect: { uri: /new, redirectCode: 308 }
    - match: [{ uri: { exact: /gone } }]
      directResponse: { status: 410, body: { string: gone } }
    - match: [{ uri: { prefix: /fail } }]
      fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
      route: [{ destination: { host: reviews, subset: v1 } }]
    - match: [{ uri: { prefix: /lost } }]
      route: [{ destination: { host: reviews, subset: v9 } }]
    - match: [{ uri: { prefix: /r } }]
      route:
        - { destination: { host: reviews, subset: v1 }, weight: 90 }
        - { destination: { host: reviews, subset: v2 }, weight: 10 }
---`;
const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-admin }
spec:
  selector: { matchLabels: { app: reviews } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }]
---`;

describe("a call in a mesh", () => {
  it.each([
    ["a service", "GET http://reviews:9080/", REVIEWS],
    ["its full name", "http://reviews.default.svc.cluster.local:9080/", REVIEWS],
    ["a service without HTTP", "tcp://db:5432", "outbound|5432||db.default.svc.cluster.local"],
    ["an unknown host", "http://nobody.example.com:9080/", "PassthroughCluster"],
    ["an unknown port", "http://nobody.example.com:4711/", "PassthroughCluster"],
    ["an address", "tcp://203.0.113.9:3306", "PassthroughCluster"],
  ])("goes to %s", (_, request, verdict) => {
    expect(verdictOf(meshOf(SHOP), "web-v1", request)).toBe(verdict);
  });

  it("is answered where nothing else is allowed", () => {
    const mesh = meshOf(SHOP, { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } });
    expect(verdictOf(mesh, "web-v1", "http://nobody.example.com:9080/")).toBe("502");
  });

  it.each([
    ["/r/1", [], `90% ${v("v1")}, 10% ${v("v2")}`],
    ["/old/x?y", [], "308 http://reviews:9080/new?y"],
    ["/gone", [], "410"],
    ["/fail", [], "418"],
    ["/lost", [], `503: no cluster ${v("v9")}`],
    ["/elsewhere", [], "404"],
    ["/r/1", [["End-User", "tester"]], v("v2")],
  ] as [string, [string, string][], string][])("%s %j by the virtual service: %s", (path, headers, verdict) => {
    expect(verdictOf(meshOf(SHOP + RULES), "web-v1", `http://reviews:9080${path}`, headers)).toBe(verdict);
  });

  it("tells what the route changes, and whose rule it is", () => {
    const headers: [string, string][] = [
      ["end-user", "tester"],
      ["x-b", "1"],
    ];
    const { client } = traceOf(meshOf(SHOP + RULES), "web-v1", "http://reviews:9080/", headers);
    expect(client.route?.object).toBe("VirtualService default/reviews http[0]");
    expect(client.outcome).toMatchObject({
      kind: "forward",
      path: "/other",
      timeoutMs: 2000,
      retries: { attempts: 3, on: ["5xx"], perTryTimeoutMs: 1000 },
      mirrors: [{ cluster: "outbound|9080||web.default.svc.cluster.local", share: 0.5 }],
      requestEdits: [
        { change: "remove", name: "x-b", value: "" },
        { change: "set", name: "x-a", value: "1" },
      ],
      responseEdits: [{ change: "append", name: "x-c", value: "2" }],
      destinations: [
        {
          authority: "reviews.example.com",
          object: "DestinationRule default/reviews",
          endpoints: [{ tls: "mesh mTLS" }],
        },
      ],
    });
  });

  it("is judged where it arrives, by the identity of the caller's proxy", () => {
    const mesh = meshOf(SHOP + DENY);
    const { servers } = traceOf(mesh, "web-v1", "http://reviews:9080/admin/x");
    expect(servers.map(({ workload }) => workload).sort()).toEqual(["default/reviews-v1", "default/reviews-v2"]);
    expect(verdictOf(mesh, "web-v1", "http://reviews:9080/admin/x")).toBe(
      `${REVIEWS}; 403 at default/reviews-v1: AuthorizationPolicy default/no-admin rule[0]; 403 at default/reviews-v2: AuthorizationPolicy default/no-admin rule[0]`,
    );
    expect(verdictOf(mesh, "web-v1", "http://reviews:9080/")).toBe(REVIEWS);
  });

  it("normalises the path before it is judged", () => {
    expect(verdictOf(meshOf(SHOP + DENY), "web-v1", "http://reviews:9080/x/../admin/y")).toContain("403 at");
  });

  it("without a proxy is refused where mTLS is required", () => {
    const strict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---`;
    const mesh = meshOf(SHOP + strict);
    const web = mesh.find("reviews-v1")?.workload.address;
    expect(verdictOf(mesh, "bare-v1", `http://${web}:9080/`)).toMatch(/^straight on; close at default\/reviews-v1/);
    expect(verdictOf(mesh, "web-v1", "http://reviews:9080/")).toBe(REVIEWS);
  });
});

describe("a call from outside", () => {
  const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front }
spec:
  selector: { istio: ingressgateway }
  servers:
    - { port: { number: 80, name: http, protocol: HTTP }, hosts: [a.example.com, b.example.com] }
    - { port: { number: 443, name: https, protocol: HTTPS }, hosts: [a.example.com], tls: { mode: SIMPLE, credentialName: a } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: front }
spec:
  hosts: [a.example.com]
  gateways: [front]
  http: [{ match: [{ uri: { prefix: /r } }], route: [{ destination: { host: reviews } }] }]
---`;
  const mesh = meshOf(SHOP + GATEWAY);

  it.each([
    ["http://a.example.com/r", REVIEWS],
    ["http://a.example.com/x", "404"],
    ["http://c.example.com/r", "404"],
    ["https://a.example.com/r", REVIEWS],
    ["https://c.example.com/r", "close: no filter chain of the listener is for such a connection"],
    ["http://a.example.com:81/r", "close: nothing listens on port 81"],
  ])("%s: %s", (request, verdict) => {
    expect(verdictOf(mesh, "istio-ingressgateway", request)).toBe(verdict);
  });

  it("is explained step by step", () => {
    expect(explainCall(traceOf(mesh, "istio-ingressgateway", "http://a.example.com/r"))).toMatch(
      /listener +0\.0\.0\.0_8080[\s\S]+route +unnamed +\(VirtualService default\/front http\[0\]\)[\s\S]+at default\/reviews-v1/,
    );
  });
});

describe("the text of a call", () => {
  it.each([
    ["get http://a:80/x?y=1", { method: "GET", host: "a", port: 80, path: "/x?y=1" }],
    ["https://a", { method: "GET", port: 443, path: "/" }],
    ["POST http://[::1]:8080/", { method: "POST", host: "::1", port: 8080 }],
    ["tcp://db:5432", { scheme: "tcp", port: 5432 }],
  ])("%s", (text, expected) => {
    const call = parseCall(text);
    expect(call.ok && call.value).toMatchObject(expected);
  });
  it.each(["reviews", "GET ftp://a/", "tcp://a", "http://a:99999/"])("%s is none", (text) => {
    expect(parseCall(text).ok).toBe(false);
  });
});
