import { CorsPolicy } from "@lateen/proto/envoy/extensions/filters/http/cors/v3/cors";
import { describe, expect, it } from "vitest";
import { apiObject, ask, gatewayOf, gatewayView, httpRoute, SERVICES, to } from "../testing/gateway-api.ts";
import { compilerFor, objectsFrom, service, viewOf } from "../testing/mesh.ts";

const only = (rules: string, more = "") => gatewayView(gatewayOf() + httpRoute("r", rules, more));
const path = (value: string, type = "PathPrefix") => `{ path: { type: ${type}, value: '${value}' } }`;

describe("a path matches", () => {
  it.each([
    [path("/foo"), "/foo", true],
    [path("/foo"), "/foo/", true],
    [path("/foo"), "/foo/bar?x=1", true],
    [path("/foo"), "/foobar", false],
    [path("/foo/"), "/foo", true],
    [path("/foo/"), "/foo/bar", true],
    [path("/"), "/anything", true],
    [path("/foo", "Exact"), "/foo", true],
    [path("/foo", "Exact"), "/foo/", false],
    [path("/foo/", "Exact"), "/foo", false],
    [path("/v[0-9]+/x", "RegularExpression"), "/v12/x", true],
    [path("/v[0-9]+/x", "RegularExpression"), "/v12/x/y", false],
    ["{ path: {} }", "/any", true],
  ])("%s %s: %s", (match, target, expected) => {
    expect(ask(only(to("a", match)), `GET x.com${target}`)).toBe(expected ? "→ a" : "404 no route");
  });
});

describe("the other parts of a match", () => {
  it.each([
    ["{ method: POST }", "POST x.com/", true],
    ["{ method: POST }", "GET x.com/", false],
    ["{ headers: [{ name: X-A, value: b }] }", "GET x.com/ x-a=b", true],
    ["{ headers: [{ name: X-A, value: b }] }", "GET x.com/ x-a=c", false],
    ["{ headers: [{ name: x-a, type: RegularExpression, value: 'b+' }] }", "GET x.com/ x-a=bb", true],
    ["{ headers: [{ name: x-a, type: RegularExpression, value: 'b+' }] }", "GET x.com/ x-a=bc", false],
    ["{ headers: [{ name: x-a, value: b }, { name: x-c, value: d }] }", "GET x.com/ x-a=b", false],
    ["{ queryParams: [{ name: q, value: '1' }] }", "GET x.com/?q=1", true],
    ["{ queryParams: [{ name: q, value: '1' }] }", "GET x.com/?q=2", false],
    ["{ queryParams: [{ name: q, type: RegularExpression, value: '[0-9]' }] }", "GET x.com/?q=7", true],
  ])("%s %s: %s", (match, request, expected) => {
    expect(ask(only(to("a", match)), request)).toBe(expected ? "→ a" : "404 no route");
  });

  it("of several matches one is enough", () => {
    const view = only(to("a", path("/x"), "{ method: POST }"));
    expect(["GET x.com/x", "POST x.com/y", "GET x.com/y"].map((request) => ask(view, request))).toEqual([
      "→ a",
      "→ a",
      "404 no route",
    ]);
  });
});

describe("hostnames", () => {
  it.each([
    ["", "[]", "any.com", true],
    ["", "[a.com]", "a.com", true],
    ["", "[a.com]", "b.com", false],
    ["", "['*.a.com']", "x.y.a.com", true],
    ["", "['*.a.com']", "a.com", false],
    ["*.a.com", "[]", "x.a.com", true],
    ["*.a.com", "[]", "b.com", false],
    ["*.a.com", "[x.a.com, b.com]", "x.a.com", true],
    ["*.a.com", "[x.a.com, b.com]", "b.com", false],
    ["x.a.com", "['*.a.com']", "x.a.com", true],
    ["x.a.com", "['*.a.com']", "y.a.com", false],
    ["*.a.com", "['*.b.a.com']", "x.b.a.com", true],
    ["*.a.com", "['*.b.a.com']", "x.a.com", false],
  ])("listener %j, route %s, request to %s: %s", (listener, route, host, expected) => {
    const hostname = listener === "" ? "" : `, hostname: '${listener}'`;
    const view = gatewayView(
      gatewayOf(`{ name: http, port: 80, protocol: HTTP${hostname} }`) +
        httpRoute("r", to("a"), `hostnames: ${route},`),
    );
    expect(ask(view, `GET ${host}/`)).toMatch(expected ? "→ a" : /^404/);
  });

  it("a host that a closer listener names is served by that listener's routes alone", () => {
    const view = gatewayView(
      gatewayOf(
        "{ name: wide, port: 80, protocol: HTTP, hostname: '*.a.com' }, { name: close, port: 80, protocol: HTTP, hostname: x.a.com }",
      ) +
        apiObject("HTTPRoute", "wide", `{ parentRefs: [{ name: gw, sectionName: wide }], rules: [${to("a")}] }`) +
        apiObject(
          "HTTPRoute",
          "close",
          `{ parentRefs: [{ name: gw, sectionName: close }], rules: [${to("b", path("/b"))}] }`,
        ),
    );
    expect(["y.a.com/b", "x.a.com/b", "x.a.com/c"].map((url) => ask(view, `GET ${url}`))).toEqual([
      "→ a",
      "→ b",
      "404 no route",
    ]);
  });
});

describe("filters", () => {
  const redirect = (settings: string, match = path("/foo")) =>
    `{ matches: [${match}], filters: [{ type: RequestRedirect, requestRedirect: { ${settings} } }] }`;
  const rewrite = (settings: string, match = path("/foo")) =>
    `{ matches: [${match}], filters: [{ type: URLRewrite, urlRewrite: { ${settings} } }], backendRefs: [{ name: a, port: 80 }] }`;
  const prefix = (value: string) => `path: { type: ReplacePrefixMatch, replacePrefixMatch: '${value}' }`;
  const full = (value: string) => `path: { type: ReplaceFullPath, replaceFullPath: '${value}' }`;

  it.each([
    [redirect("hostname: o.com"), "/foo", "302 http://o.com/foo"],
    [redirect("scheme: https"), "/foo?q=1", "302 https://x.com/foo?q=1"],
    [redirect("scheme: https, statusCode: 301"), "/foo", "301 https://x.com/foo"],
    [redirect("port: 8080"), "/foo", "302 http://x.com:8080/foo"],
    [redirect("port: 80"), "/foo", "302 http://x.com/foo"],
    [redirect(full("/new")), "/foo/bar?q=1", "302 http://x.com/new?q=1"],
    [redirect(prefix("/xyz")), "/foo/bar", "302 http://x.com/xyz/bar"],
    [redirect(prefix("/xyz/")), "/foo/bar", "302 http://x.com/xyz/bar"],
    [redirect(prefix("/xyz")), "/foo", "302 http://x.com/xyz"],
    [redirect(prefix("/")), "/foo/bar", "302 http://x.com/bar"],
    [redirect(prefix("/")), "/foo", "302 http://x.com/"],
    [redirect(prefix("/xyz"), path("/")), "/bar", "302 http://x.com/xyz/bar"],
    [rewrite(prefix("/xyz")), "/foo/bar?q=1", "→ a as /xyz/bar?q=1"],
    [rewrite(prefix("/xyz")), "/foo", "→ a as /xyz"],
    [rewrite(prefix("/xyz/"), path("/foo/")), "/foo/bar", "→ a as /xyz/bar"],
    [rewrite(prefix("/")), "/foo/bar", "→ a as /bar"],
    [rewrite(prefix("")), "/foo/", "→ a as /"],
    [rewrite(prefix("/")), "/foo", "→ a as /"],
    [rewrite(prefix("/xyz"), path("/")), "/bar", "→ a as /xyz/bar"],
    [rewrite(prefix("/xyz"), path("/")), "/", "→ a as /xyz/"],
    [rewrite(prefix("/"), path("/a.b")), "/a.b/c", "→ a as /c"],
    [rewrite(full("/one")), "/foo/bar?q=1", "→ a as /one?q=1"],
  ])("%s %s", (rule, target, expected) => {
    expect(ask(only(rule), `GET x.com${target}`)).toBe(expected);
  });

  const routeOf = (rule: string) => only(rule).virtualHost("http.80", "*").routes[0]!;
  const actionOf = (rule: string) => {
    const { action } = routeOf(rule);
    if (action?.$case !== "route") throw new Error(`${action?.$case}`);
    return action.value;
  };

  it("change headers; a percent sign in a value is one", () => {
    const modifier = "{ set: [{ name: x-a, value: '100%' }], add: [{ name: x-b, value: b }], remove: [x-c] }";
    const route = routeOf(
      `{ filters: [{ type: RequestHeaderModifier, requestHeaderModifier: ${modifier} }, { type: ResponseHeaderModifier, responseHeaderModifier: { remove: [server] } }], backendRefs: [{ name: a, port: 80 }] }`,
    );
    const set = route.requestHeadersToAdd.map(({ header, appendAction }) => [header?.key, header?.value, appendAction]);
    expect(set).toEqual([
      ["x-a", "100%%", 2],
      ["x-b", "b", 0],
    ]);
    expect([route.requestHeadersToRemove, route.responseHeadersToRemove]).toEqual([["x-c"], ["server"]]);
  });

  it("rewrite the host", () => {
    expect(actionOf(rewrite("hostname: o.com")).hostRewriteSpecifier).toEqual({
      $case: "hostRewriteLiteral",
      value: "o.com",
    });
  });

  it.each([
    ["", 1_000_000],
    [", percent: 25", 250_000],
    [", fraction: { numerator: 1, denominator: 1000 }", 1_000],
  ])("mirror%s", (share, millionths) => {
    const mirror = `{ type: RequestMirror, requestMirror: { backendRef: { name: b, port: 80 }${share} } }`;
    const [policy] = actionOf(`{ filters: [${mirror}], backendRefs: [{ name: a, port: 80 }] }`).requestMirrorPolicies;
    expect(policy?.cluster).toBe("outbound|80||b.default.svc.cluster.local");
    const { numerator = 0, denominator = 0 } = policy?.runtimeFraction?.defaultValue ?? {};
    expect(numerator * (denominator === 0 ? 10_000 : denominator === 1 ? 100 : 1)).toBe(millionths);
  });

  it("of one backend change its headers only", () => {
    const filters =
      "filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x, value: y }] } }]";
    const specifier = actionOf(
      `{ backendRefs: [{ name: a, port: 80, ${filters} }, { name: b, port: 80, weight: 3 }] }`,
    ).clusterSpecifier;
    const clusters = specifier?.$case === "weightedClusters" ? specifier.value.clusters : [];
    expect(clusters.map(({ weight, requestHeadersToAdd }) => [weight, requestHeadersToAdd.length])).toEqual([
      [1, 1],
      [3, 0],
    ]);
  });

  it("allow other origins", () => {
    const cors =
      "{ allowOrigins: ['https://a.com', 'https://*.b.com'], allowMethods: [GET, PUT], allowCredentials: true }";
    const route = routeOf(`{ filters: [{ type: CORS, cors: ${cors} }], backendRefs: [{ name: a, port: 80 }] }`);
    const packed = route.typedPerFilterConfig["envoy.filters.http.cors"];
    const policy = CorsPolicy.decode(packed?.value ?? new Uint8Array());
    expect(policy.allowOriginStringMatch.map(({ matchPattern }) => matchPattern)).toEqual([
      { $case: "exact", value: "https://a.com" },
      { $case: "safeRegex", value: expect.objectContaining({ regex: "https://.+\\.b\\.com" }) },
    ]);
    expect([policy.allowMethods, policy.maxAge, policy.allowCredentials]).toEqual(["GET,PUT", "5", true]);
  });

  it.each([
    ["timeouts: { request: 10s }", 10, undefined],
    ["timeouts: { request: 0s }", 0, undefined],
    ["timeouts: { request: 10s, backendRequest: 2s }", 10, 2],
    ["timeouts: { backendRequest: 0s }", 0, undefined],
    ["retry: { codes: [503], attempts: 4 }", 0, undefined],
  ])("%s", (text, request, perTry) => {
    const action = actionOf(`{ ${text}, backendRefs: [{ name: a, port: 80 }] }`);
    expect(action.timeout?.seconds).toBe(BigInt(request));
    expect(action.retryPolicy?.perTryTimeout?.seconds).toBe(perTry === undefined ? undefined : BigInt(perTry));
    expect(action.retryPolicy?.numRetries).toBe(text.startsWith("retry") ? 4 : 2);
  });
});

describe("backends", () => {
  const backends = (list: string) => ask(only(`{ backendRefs: [${list}] }`), "GET x.com/");

  it.each([
    ["{ name: a, port: 80, weight: 1 }, { name: b, port: 80, weight: 9 }", "→ 1×a 9×b"],
    ["{ name: a, port: 80, weight: 0 }, { name: b, port: 80 }", "→ b"],
    ["{ name: a, port: 80, weight: 0 }", "500 "],
    ["", "500 "],
    ["{ name: nobody, port: 80 }", "500 "],
    ["{ name: a, port: 81 }", "500 "],
    ["{ name: a, port: 80, namespace: other }", "500 "],
    ["{ name: a, port: 80, kind: Bucket }", "500 "],
    ["{ name: a, port: 80 }, { name: nobody, port: 80 }", "→ 1×a 1×invalid-backend"],
    ["{ group: networking.istio.io, kind: Hostname, name: a.default.svc.cluster.local, port: 80 }", "→ a"],
  ])("%s: %s", (list, expected) => {
    expect(backends(list)).toBe(expected);
  });

  it("what cannot be used answers 500", () => {
    const view = only("{ backendRefs: [{ name: a, port: 80 }, { name: nobody, port: 80 }] }");
    const action = view.virtualHost("http.80", "*").routes[0]?.action;
    expect(action?.$case === "route" && action.value.clusterNotFoundResponseCode).toBe(2);
  });

  it.each([
    ["{ group: '', kind: Service }", "→ a"],
    ["{ group: '', kind: Service, name: a }", "→ a"],
    ["{ group: '', kind: Service, name: b }", "500 "],
    ["{ group: '', kind: Secret }", "500 "],
  ])("in another namespace need a grant there: %s", (target, expected) => {
    const grant = apiObject(
      "ReferenceGrant",
      "g",
      `{ from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default }], to: [${target}] }`,
      { namespace: "other" },
    );
    const there = SERVICES.replaceAll("namespace: default", "namespace: other");
    const view = gatewayView(
      there + gatewayOf() + grant + httpRoute("r", "{ backendRefs: [{ name: a, namespace: other, port: 80 }] }"),
    );
    expect(ask(view, "GET x.com/")).toBe(expected);
  });
});

describe("a route of the mesh", () => {
  const mesh = (name: string, namespace: string, backend: string, port = "") =>
    apiObject(
      "HTTPRoute",
      name,
      `{ parentRefs: [{ group: '', kind: Service, name: a, namespace: default${port} }], rules: [{ matches: [${path("/x")}], backendRefs: [{ name: ${backend}, namespace: default, port: 80 }] }] }`,
      { namespace },
    );
  const grant = apiObject(
    "ReferenceGrant",
    "g",
    "{ from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: user }], to: [{ group: '', kind: Service }] }",
  );
  const asked = (yaml: string, namespace: string, url = "a.default.svc.cluster.local/x") =>
    ask(viewOf(SERVICES + yaml, { namespace }), `GET ${url}`, "80");

  it("of the service's namespace is for all clients", () => {
    const yaml = mesh("r", "default", "b");
    expect(["default", "user", "other"].map((namespace) => asked(yaml, namespace))).toEqual(["→ b", "→ b", "→ b"]);
    expect(asked(yaml, "user", "a.default.svc.cluster.local/y")).toBe("404 no route");
  });

  it("of another namespace is for the clients there, and counts there before the service's own", () => {
    const yaml = grant + mesh("own", "default", "b") + mesh("mine", "user", "c");
    expect(["default", "user", "other"].map((namespace) => asked(yaml, namespace))).toEqual(["→ b", "→ c", "→ b"]);
  });

  it("may be for one port", () => {
    expect(asked(mesh("r", "default", "b", ", port: 80"), "default")).toBe("→ b");
    const two = SERVICES.replace("[{ name: http, port: 80 }]", "[{ name: http, port: 80 }, { name: http2, port: 81 }]");
    const view = viewOf(two + mesh("r", "default", "b", ", port: 81"));
    expect(ask(view, "GET a.default.svc.cluster.local/x", "80")).toBe("→ a");
  });
});

describe("a GRPCRoute", () => {
  const grpc = (match: string) =>
    gatewayView(
      gatewayOf() +
        apiObject(
          "GRPCRoute",
          "r",
          `{ parentRefs: [{ name: gw }], rules: [{ matches: [${match}], backendRefs: [{ name: a, port: 80 }] }] }`,
        ),
    );

  it.each([
    ["{ method: { service: s.S, method: M } }", "/s.S/M", true],
    ["{ method: { service: s.S, method: M } }", "/s.S/N", false],
    ["{ method: { service: s.S } }", "/s.S/N", true],
    ["{ method: { service: s.S } }", "/s.Sx/N", false],
    ["{ method: { method: M } }", "/any/M", true],
    ["{ method: { method: M } }", "/any/N", false],
    ["{ method: { type: RegularExpression, service: 's\\..*', method: 'M|N' } }", "/s.X/N", true],
    ["{ headers: [{ name: x, value: 'y' }] }", "/s.S/M", false],
  ])("%s %s: %s", (match, target, expected) => {
    expect(ask(grpc(match), `POST x.com${target}`)).toBe(expected ? "→ a" : "404 no route");
  });
});

it("what proxies without HTTP/2 cannot do is told of the route", () => {
  const grpc = service("g", "10.0.0.20", ["grpc:90"]);
  const spec = "rules: [{ backendRefs: [{ name: g, port: 90 }] }]";
  const yaml =
    SERVICES +
    grpc +
    gatewayOf() +
    apiObject("GRPCRoute", "edge", `{ parentRefs: [{ name: gw }], ${spec} }`) +
    apiObject("HTTPRoute", "mesh", `{ parentRefs: [{ group: '', kind: Service, name: g }], ${spec} }`);
  const warnings = compilerFor(objectsFrom(yaml)).warnings();
  expect(warnings.map(({ code, message }) => `${code} ${message.split(":")[0]}`).sort()).toEqual([
    "LTN3103 HTTPRoute/default/mesh",
    "LTN3110 GRPCRoute/default/edge",
  ]);
});
