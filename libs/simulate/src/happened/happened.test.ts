import type { ForwardRecord, RequestRecord } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { causeOf } from "./cause.ts";
import { storyOf, storyText } from "./story.ts";

const RULE = "VirtualService shop/cart http[1]";
const DESTINATION = "/apis/networking.istio.io/v1alpha3/namespaces/shop/destination-rule/cart";

const FORWARD: ForwardRecord = {
  cluster: "outbound|80|v2|cart.shop.svc.cluster.local",
  origin: DESTINATION,
  exists: true,
  endpoints: 2,
  ejected: 0,
  timeoutMs: 500,
  perTryTimeoutMs: 100,
  retries: 0,
  attempts: 1,
  endpoint: "10.0.0.7:8080",
  workload: "shop/cart-v2",
  tls: "mutual",
  failures: [],
};

function record(
  details: string,
  more: Partial<RequestRecord> = {},
  forward: Partial<ForwardRecord> = {},
): RequestRecord {
  return {
    requestId: "id-1",
    startTimeMs: 1000,
    durationMs: 12,
    direction: "outbound",
    listener: "0.0.0.0_80",
    chain: "",
    protocol: "HTTP/1.1",
    method: "GET",
    authority: "cart",
    path: "/x",
    status: 503,
    grpcStatus: -1,
    flags: "",
    details,
    answeredBy: "proxy",
    client: { address: "10.0.0.1" },
    destination: "10.96.0.1:80",
    routeTable: "80",
    virtualHost: "cart.shop.svc.cluster.local:80",
    route: { name: "", origin: RULE },
    forward: { ...FORWARD, ...forward },
    ...more,
  };
}

/** A record without some fields. */
function without(one: RequestRecord, ...fields: readonly (keyof RequestRecord)[]): RequestRecord {
  return Object.fromEntries(
    Object.entries(one).filter(([name]) => !fields.some((field) => field === name)),
  ) as unknown as RequestRecord;
}

describe("the cause", () => {
  const overflow = "upstream_reset_before_response_started{overflow}";
  it.each<[string, RequestRecord, RegExp, readonly string[]]>([
    [
      "host",
      without(record("route_not_found"), "virtualHost", "route", "forward"),
      /table 80 serves the host cart/,
      [],
    ],
    ["table", without(record("route_not_found"), "routeTable"), /has not arrived/, []],
    ["route", record("route_not_found"), /cart\.shop\.svc\.cluster\.local:80 has no route for GET \/x/, []],
    ["cluster", record("cluster_not_found", {}, { exists: false }), /does not exist/, [RULE]],
    [
      "no endpoints",
      record("no_healthy_upstream", {}, { endpoints: 0 }),
      /has no endpoints/,
      ["DestinationRule shop/cart", RULE],
    ],
    [
      "ejected",
      record("no_healthy_upstream", {}, { ejected: 2 }),
      /outlier detection holds back 2/,
      ["DestinationRule shop/cart", RULE],
    ],
    [
      "overflow",
      record(
        overflow,
        {},
        { failures: [{ endpoint: "e", outcome: "overflow", detail: "max_pending_requests 1", atMs: 0 }] },
      ),
      /circuit breaker .* is open: max_pending_requests is 1/,
      ["DestinationRule shop/cart", RULE],
    ],
    [
      "connection",
      record(
        "upstream_reset_before_response_started{remote_connection_failure|refused}",
        {},
        { transportFailure: "refused" },
      ),
      /10\.0\.0\.7:8080 \(shop\/cart-v2\): remote connection failure before a response came: refused/,
      ["DestinationRule shop/cart", RULE],
    ],
    ["timeout", record("response_timeout"), /within the 500 ms/, [RULE]],
    ["per try", record("upstream_per_try_timeout"), /within the 100 ms/, [RULE]],
    ["fault", record("fault_filter_abort", { because: RULE }), /fault was injected/, [RULE]],
    [
      "deny",
      record("rbac_access_denied_matched_policy[ns[a]-policy[p]-rule[0]]", { because: "ns[a]-policy[p]-rule[0]" }),
      /DENY policy matches/,
      ["AuthorizationPolicy a/p rule[0]"],
    ],
    [
      "allow",
      record("rbac_access_denied_matched_policy[none]", {
        candidates: ["ns[a]-policy[p]-rule[0]", "ns[a]-policy[p]-rule[1]"],
      }),
      /none of the ALLOW policies matches/,
      ["AuthorizationPolicy a/p rule[0]", "AuthorizationPolicy a/p rule[1]"],
    ],
    ["token", record("jwt_authn_access_denied{Jwt_is_missing}"), /Jwt is missing/, []],
    [
      "authorizer",
      record("ext_authz_denied", { because: "outbound|9000||authz", shadowPolicies: ["ns[a]-policy[c]-rule[0]"] }),
      /authorizer outbound\|9000\|\|authz denied it/,
      ["AuthorizationPolicy a/c rule[0]"],
    ],
    ["registry only", record("direct_response", { virtualHost: "block_all" }), /REGISTRY_ONLY/, []],
    ["redirect", record("direct_response", { status: 301 }), /a redirect/, [RULE]],
    [
      "application",
      record("via_upstream", { status: 500, answeredBy: "upstream" }),
      /application answered 500/,
      [RULE],
    ],
    ["client", record("downstream_remote_disconnect", { status: 0 }), /went away after 12 ms/, []],
    [
      "parser",
      record("http1.codec_error", { because: "http1.invalid_method" }),
      /no proper HTTP \(http1\.invalid_method\)/,
      [],
    ],
    ["unknown", record("something_new", { because: "service x" }), /something_new/, ["service x"]],
  ])("of %s", (_, one, why, objects) => {
    const cause = causeOf(one);
    expect(cause.why).toMatch(why);
    expect(cause.objects).toEqual(objects);
  });

  it("names the field of a DestinationRule that limits, and the labels of a subset without pods", () => {
    const failures = [{ endpoint: "e", outcome: "overflow", detail: "max_requests 7", atMs: 0 }];
    expect(causeOf(record(overflow, {}, { failures })).next).toContain(
      "trafficPolicy.connectionPool.http.http2MaxRequests",
    );
    expect(causeOf(record("no_healthy_upstream", {}, { endpoints: 0 })).next).toContain("subset v2");
  });
});

describe("a story", () => {
  const client = { proxy: "shop/web-1", record: record("via_upstream", { status: 403, answeredBy: "upstream" }) };
  const server = {
    proxy: "shop/cart-1",
    record: without(
      record("rbac_access_denied_matched_policy[none]", {
        status: 403,
        direction: "inbound",
        candidates: ["ns[shop]-policy[p]-rule[0]"],
      }),
      "forward",
    ),
  };

  it("is decided by the proxy that answered, not by those that passed its answer on", () => {
    const story = storyOf([server, client]);
    expect(story?.hops.map(({ proxy }) => proxy)).toEqual(["shop/web-1", "shop/cart-1"]);
    expect(story?.decisive.proxy).toBe("shop/cart-1");
  });

  it("of a failure of the application is decided by the innermost that saw it, else by the outermost", () => {
    const hop = (proxy: string, status: number) => ({
      proxy,
      record: record("via_upstream", { status, answeredBy: "upstream" }),
    });
    expect(storyOf([hop("a", 500), hop("b", 500), hop("c", 200)])?.decisive.proxy).toBe("b");
    expect(storyOf([hop("a", 200), hop("b", 200)])?.decisive.proxy).toBe("a");
  });

  it("is told with the place of every object", () => {
    const story = storyOf([client, server]);
    if (story === undefined) throw new Error("no story");
    const text = storyText(story, (object) => (object.startsWith("AuthorizationPolicy") ? "authz.yaml:9" : undefined));
    expect(text).toBe(`request id-1: GET cart/x -> 403

at shop/web-1, outbound, 1970-01-01T00:00:01.000Z, 12 ms
  client       10.0.0.1
  listener     0.0.0.0_80
  routes       80
  virtual host cart.shop.svc.cluster.local:80
  route        unnamed   (VirtualService shop/cart http[1])
  cluster      outbound|80|v2|cart.shop.svc.cluster.local   (DestinationRule shop/cart)
  endpoint     10.0.0.7:8080 shop/cart-v2, mutual TLS
  answer       403 by the upstream: via_upstream

at shop/cart-1, inbound, 1970-01-01T00:00:01.000Z, 12 ms
  client       10.0.0.1
  listener     0.0.0.0_80
  routes       80
  virtual host cart.shop.svc.cluster.local:80
  route        unnamed   (VirtualService shop/cart http[1])
  answer       403 by the proxy: rbac_access_denied_matched_policy[none]

because: none of the ALLOW policies matches, at shop/cart-1
  AuthorizationPolicy shop/p rule[0], authz.yaml:9
next: one of these rules must match
`);
  });

  it("of nothing is none", () => {
    expect(storyOf([])).toBeUndefined();
  });
});
