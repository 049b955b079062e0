import { RBAC_Action } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import { RBAC as HttpRbac, RBACPerRoute } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { RBAC as NetworkRbac } from "@lateen/proto/envoy/extensions/filters/network/rbac/v3/rbac";
import { describe, expect, it } from "vitest";
import { FakeExchange, FakeStats, fakeContext } from "../testing/fake-exchange.ts";
import { decodeHttpRbac, decodeNetworkRbac, decodeRbacPerRoute } from "./decode.ts";
import { httpRbacRuntime } from "./http-rbac.ts";
import { networkRbacRuntime } from "./network-rbac.ts";

type Rules = NonNullable<Parameters<typeof HttpRbac.fromPartial>[0]>["rules"];
const any = { rule: { $case: "any", value: true } } as const;
const anyone = { identifier: { $case: "any", value: true } } as const;
const caller = (principal: string) =>
  ({
    identifier: {
      $case: "authenticated",
      value: { principalName: { matchPattern: { $case: "exact", value: principal } } },
    },
  }) as const;
const path = (value: string) =>
  ({
    rule: {
      $case: "urlPath",
      value: { rule: { $case: "path", value: { matchPattern: { $case: "prefix", value } } } },
    },
  }) as const;
const bytesOf = (rules: Rules) => HttpRbac.encode(HttpRbac.fromPartial({ rules })).finish();

const ALICE = "spiffe://cluster.local/ns/shop/sa/alice";
const onlyAlice: Rules = {
  action: RBAC_Action.ALLOW,
  policies: { "ns[shop]-policy[p q]-rule[0]": { permissions: [path("/api")], principals: [caller(ALICE)] } },
};

function judge(rules: Rules, principal: string | undefined, requestPath: string) {
  const { context, stats } = fakeContext("inbound", undefined, "envoy.filters.http.rbac");
  const exchange = new FakeExchange({ path: requestPath });
  exchange.peer = { ...exchange.peer, principal };
  const verdict = httpRbacRuntime.create(decodeHttpRbac(bytesOf(rules)), context).onRequestHead?.(exchange);
  return { verdict, exchange, stats };
}

describe("http rbac", () => {
  it.each([
    [ALICE, "/api/x?y", "continue"],
    [ALICE, "/other", "replied"],
    ["spiffe://cluster.local/ns/shop/sa/bob", "/api", "replied"],
    [undefined, "/api", "replied"],
  ])("allows what an ALLOW policy names: %s %s → %s", (principal, requestPath, expected) => {
    expect(judge(onlyAlice, principal, requestPath).verdict).toBe(expected);
  });

  it("answers a denial as Envoy does", () => {
    const { exchange, stats } = judge(onlyAlice, undefined, "/api");
    expect(exchange.replies).toEqual([
      {
        status: 403,
        body: "RBAC: access denied",
        flag: "",
        details: "rbac_access_denied_matched_policy[none]",
        grpcStatus: 7,
        candidates: ["ns[shop]-policy[p q]-rule[0]"],
      },
    ]);
    expect([stats.total("envoy_http_rbac_denied"), stats.total("envoy_http_rbac_allowed")]).toEqual([1, 0]);
  });

  it("names the DENY policy that matched", () => {
    const deny: Rules = {
      action: RBAC_Action.DENY,
      policies: { "ns[shop]-policy[p q]-rule[0]": { permissions: [path("/api")], principals: [anyone] } },
    };
    expect(judge(deny, undefined, "/").verdict).toBe("continue");
    const { exchange } = judge(deny, undefined, "/api");
    expect(exchange.replies[0]).toMatchObject({
      details: "rbac_access_denied_matched_policy[ns[shop]-policy[p_q]-rule[0]]",
      because: "ns[shop]-policy[p q]-rule[0]",
    });
  });

  it.each([
    ["ALLOW without policies denies", { action: RBAC_Action.ALLOW, policies: {} }, "replied"],
    ["DENY without policies allows", { action: RBAC_Action.DENY, policies: {} }, "continue"],
    ["LOG never denies", { action: RBAC_Action.LOG, policies: {} }, "continue"],
    ["no rules allow", undefined, "continue"],
  ])("%s", (_, rules: Rules, expected) => {
    expect(judge(rules, undefined, "/").verdict).toBe(expected);
  });

  it("takes a route's rules instead of its own; none there means off", () => {
    const { context } = fakeContext("inbound", undefined, "envoy.filters.http.rbac");
    const filter = httpRbacRuntime.create(
      decodeHttpRbac(bytesOf({ action: RBAC_Action.ALLOW, policies: {} })),
      context,
    );
    const exchange = new FakeExchange();
    exchange.configs["envoy.filters.http.rbac"] = decodeRbacPerRoute(
      RBACPerRoute.encode(RBACPerRoute.fromPartial({})).finish(),
    );
    expect(filter.onRequestHead?.(exchange)).toBe("continue");
    exchange.configs["envoy.filters.http.rbac"] = decodeRbacPerRoute(
      RBACPerRoute.encode(RBACPerRoute.fromPartial({ rbac: { rules: onlyAlice } })).finish(),
    );
    expect(filter.onRequestHead?.(exchange)).toBe("replied");
  });
});

describe("shadow rules", () => {
  it.each([
    ["/api/x", { "p.shadow_engine_result": "denied", "p.shadow_effective_policy_id": "custom" }],
    ["/", { "p.shadow_engine_result": "allowed" }],
  ])("say what they would do with %s and let it pass", (requestPath, expected) => {
    const shadowRules = {
      action: RBAC_Action.DENY,
      policies: { custom: { permissions: [path("/api")], principals: [anyone] } },
    };
    const bytes = HttpRbac.encode(HttpRbac.fromPartial({ shadowRules, shadowRulesStatPrefix: "p." })).finish();
    const { context } = fakeContext();
    const exchange = new FakeExchange({ path: requestPath });
    expect(httpRbacRuntime.create(decodeHttpRbac(bytes), context).onRequestHead?.(exchange)).toBe("continue");
    expect(exchange.metadata("envoy.filters.http.rbac")).toEqual(expected);
  });
});

describe("rules of a dry run", () => {
  const shadowRules: Rules = {
    action: RBAC_Action.DENY,
    policies: { p: { permissions: [any], principals: [caller(ALICE)] } },
  };
  const rules = { shadowRules, shadowRulesStatPrefix: "istio_dry_run_deny_" };
  const series = (result: string) => ({ authz_dry_run_action: "deny", authz_dry_run_result: result });
  const counted = (stats: FakeStats, metric: string) =>
    stats.named(metric).map(({ labels, values }) => [labels, values.length]);

  it("are counted by what they would have done with requests", () => {
    const { context, stats } = fakeContext();
    const config = decodeHttpRbac(HttpRbac.encode(HttpRbac.fromPartial(rules)).finish());
    const filter = httpRbacRuntime.create(config, context);
    for (const principal of [ALICE, ALICE, undefined]) {
      const exchange = new FakeExchange({ path: "/" });
      exchange.peer = { ...exchange.peer, principal };
      expect(filter.onRequestHead?.(exchange)).toBe("continue");
    }
    expect(counted(stats, "envoy_http_rbac")).toEqual([
      [series("allowed"), 1],
      [series("denied"), 2],
    ]);
  });

  it("are counted by what they would have done with connections", () => {
    const stats = new FakeStats();
    const config = decodeNetworkRbac(NetworkRbac.encode(NetworkRbac.fromPartial(rules)).finish());
    const filter = networkRbacRuntime.create(config, stats);
    const { peer } = new FakeExchange({ path: "/" });
    for (const principal of [ALICE, undefined]) {
      expect(filter.onConnection({ ...peer, principal }).allowed).toBe(true);
    }
    expect(counted(stats, "envoy_rbac")).toEqual([
      [series("allowed"), 1],
      [series("denied"), 1],
    ]);
  });
});

describe("decoding", () => {
  const policy = (permission: object, principal: object = anyone): Rules => ({
    action: RBAC_Action.ALLOW,
    policies: { p: { permissions: [permission], principals: [principal] } },
  });
  it.each([
    ["a rule that is missing", policy({}), "rules.policies[p].permissions[0]: rule is required"],
    ["any: false", policy({ rule: { $case: "any", value: false } }), "permissions[0].any: must be true"],
    ["metadata", policy({ rule: { $case: "metadata", value: {} } }), "metadata.path: at least one segment is required"],
    ["filter state", policy(any, { identifier: { $case: "filterState", value: {} } }), "identifier filterState"],
    [
      "an expression that is not RE2",
      policy({
        rule: {
          $case: "requestedServerName",
          value: { matchPattern: { $case: "safeRegex", value: { regex: "(?=a)" } } },
        },
      }),
      "not an RE2 expression",
    ],
    [
      "a bad range",
      policy({ rule: { $case: "destinationIp", value: { addressPrefix: "10.0.0", prefixLen: 8 } } }),
      "not an address range",
    ],
  ])("refuses %s", (_, rules, message) => {
    expect(() => decodeHttpRbac(bytesOf(rules))).toThrow(message);
  });

  it("gives data that survives the way to a worker", () => {
    const config = decodeHttpRbac(bytesOf(onlyAlice));
    expect(structuredClone(config)).toEqual(config);
  });
});

describe("network rbac", () => {
  const create = (rules: Rules) =>
    networkRbacRuntime.create(
      decodeNetworkRbac(NetworkRbac.encode(NetworkRbac.fromPartial({ rules, statPrefix: "tcp." })).finish()),
      new FakeStats(),
    );
  const peer = new FakeExchange().peer;
  const port: Rules = {
    action: RBAC_Action.DENY,
    policies: {
      p: { permissions: [{ rule: { $case: "destinationPort", value: 9080 } }], principals: [anyone] },
    },
  };

  it("judges a connection", () => {
    expect(create(port).onConnection(peer)).toEqual({
      allowed: false,
      details: "rbac_access_denied_matched_policy[p]",
      because: "p",
    });
    expect(create(port).onConnection({ ...peer, destinationPort: 1 }).allowed).toBe(true);
    expect(create(undefined).onConnection(peer).allowed).toBe(true);
  });

  it("sees no request", () => {
    const rules: Rules = {
      action: RBAC_Action.ALLOW,
      policies: { p: { permissions: [path("/")], principals: [anyone] } },
    };
    expect(create(rules).onConnection(peer)).toMatchObject({ allowed: false, candidates: ["p"] });
  });
});
