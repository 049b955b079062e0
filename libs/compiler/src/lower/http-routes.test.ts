import type { Route, RouteAction } from "@lateen/proto/envoy/config/route/v3/route_components";
import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { describe, expect, it } from "vitest";
import { ms, type NodeOptions, service, viewOf } from "../testing/mesh.ts";

const WORLD = [
  service("web", "10.0.0.1", ["http:80", "http-admin:8080"]),
  service("api", "10.0.0.2", ["http:9000"]),
].join("");
const API = (subset = "", port = 9000) => `outbound|${port}|${subset}|api.default.svc.cluster.local`;

function virtualService(rules: string, name = "web", hosts = "[web]"): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: ${hosts}
  http: ${rules}
---`;
}
function routesOf(rules: string, node: NodeOptions = {}, routes = "80", mesh = {}): readonly Route[] {
  return viewOf(WORLD + virtualService(rules), node, mesh).virtualHost(routes, "web.default.svc.cluster.local").routes;
}
function only(rules: string): Route {
  const [route, extra] = routesOf(rules);
  if (route === undefined || extra !== undefined) throw new Error("one route expected");
  return route;
}
function forward(route: Route | undefined): RouteAction {
  if (route?.action?.$case !== "route") throw new Error(`forwarding expected, not ${route?.action?.$case}`);
  return route.action.value;
}
const TO_API = "route: [{ destination: { host: api } }]";

describe("matches", () => {
  const match = (text: string) => only(`[{ match: [${text}], ${TO_API} }]`).match;

  it.each([
    ["{ uri: { exact: /a } }", { $case: "path", value: "/a" }],
    ["{ uri: { prefix: /a } }", { $case: "prefix", value: "/a" }],
    ["{ uri: { regex: '/a.*' } }", { $case: "safeRegex", value: { regex: "/a.*" } }],
    ["{ method: { exact: GET } }", { $case: "prefix", value: "/" }],
  ])("path of %s", (text, expected) => {
    expect(match(text)?.pathSpecifier).toEqual(expected);
  });

  it.each([
    [
      "{ headers: { end-user: { exact: x } } }",
      { name: "end-user", invertMatch: false, headerMatchSpecifier: { $case: "stringMatch" } },
    ],
    [
      "{ headers: { end-user: {} } }",
      { name: "end-user", headerMatchSpecifier: { $case: "presentMatch", value: true } },
    ],
    ["{ headers: { end-user: { regex: '*' } } }", { headerMatchSpecifier: { $case: "presentMatch", value: true } }],
    [
      "{ withoutHeaders: { dark: { exact: 'on' } } }",
      { name: "dark", invertMatch: true, treatMissingHeaderAsEmpty: true },
    ],
    ["{ method: { exact: GET } }", { name: ":method" }],
    ["{ authority: { prefix: a } }", { name: ":authority" }],
    ["{ scheme: { exact: https } }", { name: ":scheme" }],
  ])("header of %s", (text, expected) => {
    expect(match(text)?.headers[0]).toMatchObject(expected);
  });

  it("reads query parameters and ignores case where told", () => {
    const found = match("{ uri: { prefix: /A }, ignoreUriCase: true, queryParams: { v: { exact: '1' } } }");
    expect(found?.caseSensitive).toBe(false);
    expect(found?.queryParameters[0]).toMatchObject({ name: "v" });
  });

  it("is an OR over its items, in order, ending at the first that takes everything", () => {
    const routes = routesOf(
      `[{ match: [{ uri: { exact: /a } }, { uri: { exact: /b } }], ${TO_API} }, { ${TO_API} }, { match: [{ uri: { exact: /c } }], ${TO_API} }]`,
    );
    expect(routes.map((route) => route.match?.pathSpecifier?.value)).toEqual(["/a", "/b", "/"]);
  });

  it.each([
    ["{ port: 8080 }", {}, false],
    ["{ port: 80 }", {}, true],
    ["{ sourceLabels: { app: shop } }", { labels: { app: "shop" } }, true],
    ["{ sourceLabels: { app: shop } }", { labels: { app: "other" } }, false],
    ["{ sourceNamespace: default }", {}, true],
    ["{ sourceNamespace: prod }", {}, false],
    ["{ gateways: [mesh] }", {}, true],
    ["{ gateways: [edge] }", {}, false],
  ])("%s for %o is decided by the control plane", (text, node, taken) => {
    const [route] = routesOf(`[{ match: [${text}], name: special, ${TO_API} }]`, node);
    expect(route?.name === "special").toBe(taken);
  });

  it("rules that are for other ports leave the service as it is", () => {
    const [route] = routesOf(`[{ match: [{ port: 8080 }], ${TO_API} }]`);
    expect(forward(route).clusterSpecifier).toEqual({
      $case: "cluster",
      value: "outbound|80||web.default.svc.cluster.local",
    });
  });
});

describe("destinations", () => {
  const specifier = (rules: string) => forward(only(rules)).clusterSpecifier;

  it.each([
    ["the listener's port when the service has it", "{ host: web }", "outbound|80||web.default.svc.cluster.local"],
    ["the only port of the service", "{ host: api }", API()],
    ["the port that is named", "{ host: api, port: { number: 9000 }, subset: v1 }", API("v1")],
    ["a host nobody knows, as it is", "{ host: no.example.com }", "outbound|80||no.example.com"],
  ])("%s", (_title, destination, cluster) => {
    expect(specifier(`[{ route: [{ destination: ${destination} }] }]`)).toEqual({ $case: "cluster", value: cluster });
  });

  it("drops zero weights among several, keeps the rest in order", () => {
    const found = specifier(
      "[{ route: [{ destination: { host: api, subset: a }, weight: 30 }, { destination: { host: api, subset: b }, weight: 0 }, { destination: { host: api, subset: c }, weight: 70 }] }]",
    );
    expect(
      found?.$case === "weightedClusters" && found.value.clusters.map(({ name, weight }) => [name, weight]),
    ).toEqual([
      [API("a"), 30],
      [API("c"), 70],
    ]);
  });

  it("one of two left over needs no weights", () => {
    const found = specifier(
      "[{ route: [{ destination: { host: api }, weight: 0 }, { destination: { host: web }, weight: 1 }] }]",
    );
    expect(found?.$case).toBe("cluster");
  });
});

describe("timeouts and retries", () => {
  const DEFAULT = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
  const retry = (rule: string, mesh = {}) => forward(routesOf(`[{ ${TO_API}${rule} }]`, {}, "80", mesh)[0]).retryPolicy;

  it("there is no timeout unless one is set", () => {
    expect(ms(forward(only(`[{ ${TO_API} }]`)).timeout)).toBe(0);
    expect(ms(forward(only(`[{ ${TO_API}, timeout: 1.5s }]`)).timeout)).toBe(1500);
  });

  it("limits gRPC's own timeout without max_stream_duration, with which Envoy would ignore the route's", () => {
    const action = forward(only(`[{ timeout: 5s, ${TO_API} }]`));
    expect(action.maxGrpcTimeout).toEqual(action.timeout);
    expect(action.maxStreamDuration).toBeUndefined();
  });

  it("Istio's default applies to services with and without a virtual service", () => {
    expect(retry("")).toMatchObject({ retryOn: DEFAULT, numRetries: 2, hostSelectionRetryMaxAttempts: 5n });
    const [route] = viewOf(WORLD).virtualHost("80", "web").routes;
    expect(forward(route).retryPolicy).toMatchObject({ retryOn: DEFAULT, numRetries: 2 });
  });

  it.each([
    [", retries: { attempts: 0 }", undefined],
    [", retries: { attempts: 3 }", { numRetries: 3, retryOn: DEFAULT }],
    [
      ", retries: { attempts: 1, retryOn: '5xx,503' }",
      { retryOn: "5xx,retriable-status-codes", retriableStatusCodes: [503] },
    ],
    [", retries: { attempts: 1, retryIgnorePreviousHosts: false }", { retryHostPredicate: [] }],
  ])("%s", (rule, expected) => {
    if (expected === undefined) expect(retry(rule)).toBeUndefined();
    else expect(retry(rule)).toMatchObject(expected);
  });

  it("carries per-try timeout and back-off", () => {
    const policy = retry(", retries: { attempts: 1, perTryTimeout: 2s, backoff: 10ms }");
    expect(ms(policy?.perTryTimeout)).toBe(2000);
    expect(ms(policy?.retryBackOff?.baseInterval)).toBe(10);
  });

  it("the mesh's default replaces Istio's, and a rule's own replaces that", () => {
    const defaultHttpRetryPolicy = {
      attempts: 5,
      perTryTimeoutMs: undefined,
      retryOn: "reset",
      backoffMs: undefined,
      retryIgnorePreviousHosts: undefined,
    };
    expect(retry("", { defaultHttpRetryPolicy })).toMatchObject({ numRetries: 5, retryOn: "reset" });
    expect(retry(", retries: { attempts: 1 }", { defaultHttpRetryPolicy })).toMatchObject({
      numRetries: 1,
      retryOn: DEFAULT,
    });
  });
});

describe("descriptions for tracing", () => {
  it.each([
    [TO_API, "api:80/*"],
    [`match: [{ uri: { prefix: /a } }], ${TO_API}`, "api:80/a*"],
    [`match: [{ uri: { exact: /a } }], ${TO_API}`, "api:80/a"],
    ["route: [{ destination: { host: api }, weight: 1 }, { destination: { host: web }, weight: 1 }]", "web:80/*"],
    ["redirect: { uri: /new }", "web:80/*"],
    ["directResponse: { status: 200 }", "web:80/*"],
  ])("%s: %s", (rule, operation) => {
    expect(only(`[{ ${rule} }]`).decorator?.operation).toBe(operation);
  });
});

describe("headers and rewrites", () => {
  it("sets before it adds, and removes", () => {
    const route = only(
      `[{ ${TO_API}, headers: { request: { set: { a: "1" }, add: { b: "2" }, remove: [c] }, response: { set: { d: "3" }, remove: [e] } } }]`,
    );
    expect(
      route.requestHeadersToAdd.map(({ header, appendAction }) => [header?.key, header?.value, appendAction]),
    ).toEqual([
      ["a", "1", 2],
      ["b", "2", 0],
    ]);
    expect(route.requestHeadersToRemove).toEqual(["c"]);
    expect(route.responseHeadersToAdd.map(({ header }) => header?.key)).toEqual(["d"]);
    expect(route.responseHeadersToRemove).toEqual(["e"]);
  });

  it("operations of several destinations ride on their clusters", () => {
    const two =
      "{ destination: { host: api }, weight: 1, headers: { request: { set: { a: '1' } } } }, { destination: { host: web }, weight: 1 }";
    const found = forward(only(`[{ route: [${two}] }]`)).clusterSpecifier;
    expect(found?.$case === "weightedClusters" && found.value.clusters[0]?.requestHeadersToAdd[0]?.header?.key).toBe(
      "a",
    );
  });

  it("operations of a single destination follow those of the rule, so they win", () => {
    const route = only(
      "[{ headers: { request: { set: { a: rule }, remove: [x] } }, route: [{ destination: { host: api }, headers: { request: { set: { a: destination, Host: other }, remove: [y] } } }] }]",
    );
    expect(route.requestHeadersToAdd.map(({ header }) => `${header?.key}: ${header?.value}`)).toEqual([
      "a: rule",
      "a: destination",
    ]);
    expect(route.requestHeadersToRemove).toEqual(["x", "y"]);
    expect(forward(route)).toMatchObject({
      clusterSpecifier: { $case: "cluster" },
      hostRewriteSpecifier: { $case: "hostRewriteLiteral", value: "other" },
    });
  });

  it.each([
    ["rewrite: { authority: other }", { $case: "hostRewriteLiteral", value: "other" }],
    ["headers: { request: { set: { Host: other } } }", { $case: "hostRewriteLiteral", value: "other" }],
  ])("%s rewrites the host", (rule, expected) => {
    const route = only(`[{ ${TO_API}, ${rule} }]`);
    expect(forward(route).hostRewriteSpecifier).toEqual(expected);
    expect(route.requestHeadersToAdd).toEqual([]);
  });

  it("rewrites paths by prefix and by regex", () => {
    expect(forward(only(`[{ match: [{ uri: { prefix: /v1 } }], rewrite: { uri: / }, ${TO_API} }]`)).prefixRewrite).toBe(
      "/",
    );
    const regex = only(`[{ ${TO_API}, rewrite: { uriRegexRewrite: { match: '/(.*)', rewrite: '/x/\\1' } } }]`);
    expect(forward(regex).regexRewrite).toMatchObject({ pattern: { regex: "/(.*)" }, substitution: "/x/\\1" });
  });
});

describe("redirects and direct responses", () => {
  const redirect = (text: string) => {
    const { action } = only(`[{ redirect: ${text} }]`);
    return action?.$case === "redirect" ? action.value : undefined;
  };

  it.each([
    [
      "{ uri: /new }",
      { pathRewriteSpecifier: { $case: "pathRedirect", value: "/new" }, responseCode: 0, portRedirect: 0 },
    ],
    ["{ authority: a.example.com, redirectCode: 307 }", { hostRedirect: "a.example.com", responseCode: 3 }],
    [
      "{ prefixRewrite: /p, redirectCode: 302 }",
      { pathRewriteSpecifier: { $case: "prefixRewrite", value: "/p" }, responseCode: 1 },
    ],
    ["{ scheme: https, port: 8443 }", { portRedirect: 8443 }],
    ["{ scheme: https, port: 443 }", { portRedirect: 0 }],
    ["{ uri: /x, port: 80 }", { portRedirect: 0 }],
    ["{ scheme: https, derivePort: FROM_REQUEST_PORT }", { portRedirect: 80 }],
    ["{ uri: /x, derivePort: FROM_PROTOCOL_DEFAULT }", { portRedirect: 0 }],
  ])("%s", (text, expected) => {
    expect(redirect(text)).toMatchObject(expected);
  });

  it("answers itself with text or bytes", () => {
    const body = (text: string) => {
      const { action } = only(`[{ directResponse: { status: 503, body: ${text} } }]`);
      return action?.$case === "directResponse" ? action.value : undefined;
    };
    expect(body("{ string: sorry }")).toMatchObject({
      status: 503,
      body: { specifier: { $case: "inlineString", value: "sorry" } },
    });
    expect(body("{ bytes: aGk= }")?.body?.specifier?.value?.toString()).toBe("hi");
  });
});

describe("faults and mirrors", () => {
  const fault = (text: string) => {
    const packed = only(`[{ fault: ${text}, ${TO_API} }]`).typedPerFilterConfig["envoy.filters.http.fault"];
    return packed === undefined ? undefined : HTTPFault.decode(packed.value);
  };
  const percent = (value: { readonly numerator: number } | undefined) => (value?.numerator ?? 0) / 10_000;

  it.each([
    ["{ delay: { fixedDelay: 2s, percentage: { value: 12.5 } } }", 12.5],
    ["{ delay: { fixedDelay: 2s, percent: 40 } }", 40],
    ["{ delay: { fixedDelay: 2s } }", 0],
  ])("%s", (text, expected) => {
    const delay = fault(text)?.delay;
    expect(percent(delay?.percentage)).toBe(expected);
    expect(delay?.faultDelaySecifier?.$case === "fixedDelay" && ms(delay.faultDelaySecifier.value)).toBe(2000);
  });

  it.each([
    ["{ abort: { httpStatus: 500, percentage: { value: 100 } } }", 100, { $case: "httpStatus", value: 500 }],
    ["{ abort: { httpStatus: 500 } }", 0, { $case: "httpStatus", value: 500 }],
    ["{ abort: { grpcStatus: UNAVAILABLE, percentage: { value: 1 } } }", 1, { $case: "grpcStatus", value: 14 }],
    ['{ abort: { grpcStatus: "14", percentage: { value: 1 } } }', 1, { $case: "grpcStatus", value: 14 }],
  ])("%s", (text, expected, type) => {
    const abort = fault(text)?.abort;
    expect(percent(abort?.percentage)).toBe(expected);
    expect(abort?.errorType).toEqual(type);
  });

  it.each([
    ["mirror: { host: api }", [[API(), 100]]],
    ["mirror: { host: api }, mirrorPercentage: { value: 5.5 }", [[API(), 5.5]]],
    ["mirror: { host: api }, mirrorPercent: 20", [[API(), 20]]],
    ["mirror: { host: api }, mirrorPercentage: { value: 0 }", []],
    [
      "mirrors: [{ destination: { host: api } }, { destination: { host: web }, percentage: { value: 1 } }]",
      [
        [API(), 100],
        ["outbound|80||web.default.svc.cluster.local", 1],
      ],
    ],
  ])("%s", (text, expected) => {
    const policies = forward(only(`[{ ${text}, ${TO_API} }]`)).requestMirrorPolicies;
    expect(policies.map(({ cluster, runtimeFraction }) => [cluster, percent(runtimeFraction?.defaultValue)])).toEqual(
      expected,
    );
  });
});
