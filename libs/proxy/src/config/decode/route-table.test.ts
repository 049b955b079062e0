import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import type { Route } from "@lateen/proto/envoy/config/route/v3/route_components";
import type { DeepPartial } from "@lateen/proto/typeRegistry";
import { describe, expect, it } from "vitest";
import { routeTable } from "./index.ts";
import { run } from "./testing/context.ts";

const seconds = (value: number) => ({ seconds: BigInt(value), nanos: 0 });
const unknown = { typeUrl: "type.googleapis.com/lua", value: Buffer.alloc(0) };
const _typed = (value: { typeUrl: string; value: Buffer }) => ({ $case: "typedConfig" as const, value });
describe("routes", () => {
  const forward = { $case: "route" as const, value: { clusterSpecifier: { $case: "cluster" as const, value: "c" } } };
  const prefix = { pathSpecifier: { $case: "prefix" as const, value: "/" } };
  const decode = (route: DeepPartial<Route>) => {
    const table = RouteConfiguration.fromPartial({
      name: "r",
      virtualHosts: [{ name: "v", domains: ["*"], routes: [{ match: prefix, action: forward, ...route }] }],
    });
    const spec = routeTable(table, run()).virtualHosts[0]?.routes[0];
    if (spec === undefined) throw new Error("no route");
    return spec;
  };
  const routeTo = (fields: object) => ({ action: { $case: "route" as const, value: { ...forward.value, ...fields } } });

  it.each<[string, DeepPartial<Route>, object]>([
    [
      "a prefix without case",
      { match: { ...prefix, caseSensitive: false } },
      { match: { path: { kind: "prefix", value: "/", ignoreCase: true } } },
    ],
    [
      "a regex",
      { match: { pathSpecifier: { $case: "safeRegex", value: { regex: "/a.*" } } } },
      { match: { path: { kind: "regex", pattern: "/a.*" } } },
    ],
    [
      "an absent header",
      {
        match: { ...prefix, headers: [{ name: "X-A", headerMatchSpecifier: { $case: "presentMatch", value: false } }] },
      },
      { match: { headers: [{ name: "x-a", invert: true, match: { kind: "present" } }] } },
    ],
    ["the default timeout", {}, { action: { kind: "forward", timeoutMs: 15_000 } }],
    ["no timeout", routeTo({ timeout: seconds(0) }), { action: { timeoutMs: 0 } }],
    ["a high priority", routeTo({ priority: 1 }), { action: { highPriority: true } }],
    [
      "retries",
      routeTo({ retryPolicy: { retryOn: "5xx, reset", numRetries: 2, perTryTimeout: seconds(1) } }),
      {
        action: {
          retry: {
            attempts: 2,
            retryOn: ["5xx", "reset"],
            perTryTimeoutMs: 1000,
            baseIntervalMs: 25,
            maxIntervalMs: 250,
          },
        },
      },
    ],
    [
      "weights",
      {
        action: {
          $case: "route",
          value: {
            clusterSpecifier: {
              $case: "weightedClusters",
              value: {
                clusters: [
                  { name: "a", weight: 1 },
                  { name: "b", weight: 3 },
                ],
              },
            },
          },
        },
      },
      {
        action: {
          clusters: [
            { cluster: "a", weight: 1 },
            { cluster: "b", weight: 3 },
          ],
        },
      },
    ],
    [
      "a redirect",
      {
        action: {
          $case: "redirect",
          value: { schemeRewriteSpecifier: { $case: "httpsRedirect", value: true }, responseCode: 3 },
        },
      },
      { action: { kind: "redirect", status: 307, scheme: "https" } },
    ],
    [
      "a direct response",
      {
        action: {
          $case: "directResponse",
          value: { status: 418, body: { specifier: { $case: "inlineString", value: "tea" } } },
        },
      },
      { action: { kind: "direct", status: 418, body: "tea" } },
    ],
    [
      "hash policies",
      routeTo({
        hashPolicy: [
          { policySpecifier: { $case: "header", value: { headerName: "X-User" } }, terminal: true },
          { policySpecifier: { $case: "connectionProperties", value: { sourceIp: true } } },
          { policySpecifier: { $case: "cookie", value: { name: "c", ttl: { seconds: 60n, nanos: 0 }, path: "/" } } },
        ],
      }),
      {
        action: {
          hashPolicies: [
            { kind: "header", name: "x-user", terminal: true },
            { kind: "sourceIp", terminal: false },
            { kind: "cookie", name: "c", ttlSeconds: 60, path: "/", attributes: [], terminal: false },
          ],
        },
      },
    ],
    [
      "header edits",
      {
        requestHeadersToAdd: [
          { header: { key: "A", value: "1" }, appendAction: 2 },
          { header: { key: "B", value: "2" } },
        ],
        requestHeadersToRemove: ["C"],
      },
      { requestHeaders: { set: [{ name: "a", value: "1" }], append: [{ name: "b", value: "2" }], remove: ["c"] } },
    ],
  ])("decodes %s", (_title, route, expected) => expect(decode(route)).toMatchObject(expected));

  it.each<[DeepPartial<Route>, string]>([
    [{ action: undefined }, "virtual_hosts[v].routes[0]: an action is required"],
    [
      { match: { pathSpecifier: { $case: "safeRegex", value: { regex: "a(?=b)" } } } },
      "match.safe_regex: not an RE2 expression",
    ],
    [{ match: { pathSpecifier: { $case: "connectMatcher", value: {} } } }, "connect_matcher: not supported"],
    [routeTo({ hashPolicy: [{}] }), "route.hash_policy[0]: policy_specifier is required"],
    [{ action: { $case: "route", value: {} } }, "route: cluster_specifier is required"],
    [
      {
        action: {
          $case: "route",
          value: { clusterSpecifier: { $case: "weightedClusters", value: { clusters: [{ name: "a" }] } } },
        },
      },
      "the sum of weights must be greater than 0",
    ],
    [
      { action: { $case: "directResponse", value: { status: 100 } } },
      "direct_response.status: 100 is not a final status",
    ],
    [
      { typedPerFilterConfig: { fault: { typeUrl: "type.googleapis.com/fault", value: Buffer.alloc(0) } } },
      "typed_per_filter_config[fault]: delay: must not be negative",
    ],
    [
      { typedPerFilterConfig: { lua: unknown } },
      "typed_per_filter_config[lua]: type.googleapis.com/lua is not supported",
    ],
  ])("refuses %o", (route, reason) => expect(() => decode(route)).toThrow(reason));
});
