import { RateLimit, RateLimitPerRoute } from "@lateen/proto/envoy/extensions/filters/http/ratelimit/v3/rate_limit";
import { RateLimitRequest, RateLimitResponse } from "@lateen/proto/envoy/service/ratelimit/v3/rls";
import type { SideOutcome } from "@lateen/proxy";
import type { RateLimitActionSpec, RouteMatch } from "@lateen/traffic";
import { describe, expect, it } from "vitest";
import { type FakeCall, FakeExchange, fakeCluster, fakeContext } from "../testing/fake-exchange.ts";
import { RATE_LIMIT } from "./config.ts";
import { decodeRateLimit, decodeRateLimitPerRoute } from "./decode.ts";
import { rateLimitRuntime } from "./ratelimit.ts";

type Message = NonNullable<Parameters<typeof RateLimit.fromPartial>[0]>;
const decode = (message: Message) => decodeRateLimit(RateLimit.encode(RateLimit.fromPartial(message)).finish());
const BASE: Message = {
  domain: "shop",
  rateLimitService: {
    grpcService: { targetSpecifier: { $case: "envoyGrpc", value: { clusterName: "rls" } } },
    transportApiVersion: 2,
  },
};
const key = (value: string): RateLimitActionSpec => ({ kind: "genericKey", key: "k", value });

function routed(own: readonly RateLimitActionSpec[][], host: readonly RateLimitActionSpec[][] = []): RouteMatch {
  const limits = (lists: readonly RateLimitActionSpec[][]) => lists.map((actions) => ({ stage: 0, actions }));
  const route = {
    action: { kind: "forward", rateLimits: limits(own) },
    spec: { metadata: { m: { deep: { x: "route" } } } },
  };
  return { route, virtualHost: { spec: { filterConfig: {}, rateLimits: limits(host) }, routes: [route] } } as never;
}

function start(
  message: Message = {},
  match: RouteMatch = routed([[key("a")]]),
  perRoute?: Parameters<typeof RateLimitPerRoute.fromPartial>[0],
) {
  const fake = fakeContext("inbound", () => 0.5, RATE_LIMIT);
  const filter = rateLimitRuntime.create(decode({ ...BASE, ...message }), fake.context);
  const exchange = new FakeExchange({ path: "/a?x=1", headers: [["x-user", "ann"]] });
  exchange.route = match;
  exchange.summary.cluster = fakeCluster("cart");
  exchange.setMetadata("d", { who: "bob" });
  if (perRoute !== undefined) {
    exchange.configs[RATE_LIMIT] = decodeRateLimitPerRoute(
      RateLimitPerRoute.encode(RateLimitPerRoute.fromPartial(perRoute)).finish(),
    );
  }
  const verdict = filter.onRequestHead?.(exchange);
  const call = fake.calls[0] as FakeCall;
  const asked = call === undefined ? undefined : RateLimitRequest.decode(call.request.body.subarray(5));
  const entries = asked?.descriptors.map((descriptor) =>
    descriptor.entries.map((entry) => `${entry.key}=${entry.value}`).join("&"),
  );
  return { ...fake, filter, exchange, verdict, call, asked, entries };
}

function says(response: Parameters<typeof RateLimitResponse.fromPartial>[0]): SideOutcome {
  const message = RateLimitResponse.encode(RateLimitResponse.fromPartial(response)).finish();
  const body = Buffer.alloc(5 + message.length);
  body.writeUInt32BE(message.length, 1);
  body.set(message, 5);
  return { kind: "response", status: 200, headers: [], body, trailers: [["grpc-status", "0"]] };
}

describe("rate limit", () => {
  it("asks nobody about requests that nothing counts", () => {
    expect(start({}, routed([])).verdict).toBe("continue");
    expect(start({ stage: 1 }).verdict).toBe("continue");
  });

  it("asks the service and waits", () => {
    const { verdict, call, asked, entries } = start();
    expect([verdict, asked?.domain, entries]).toEqual(["wait", "shop", ["k=a"]]);
    expect(call.request).toMatchObject({
      cluster: "rls",
      path: "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
      timeoutMs: 20,
    });
  });

  const header = (skipIfAbsent: boolean): RateLimitActionSpec => ({
    kind: "requestHeader",
    header: "x-no",
    key: "no",
    skipIfAbsent,
  });
  const metadata = (
    source: "dynamic" | "route",
    namespace: string,
    path: string[],
    fallback = "",
  ): RateLimitActionSpec => ({
    ...{ kind: "metadata", key: "m", source, namespace, path, fallback, skipIfAbsent: false },
  });
  const matched = (value: string, expect: boolean): RateLimitActionSpec => ({
    kind: "headerMatch",
    key: "h",
    value: "v",
    expect,
    headers: [
      { name: "x-user", match: { kind: "exact", value, ignoreCase: false }, invert: false, treatMissingAsEmpty: false },
    ],
  });
  it.each<[string, RateLimitActionSpec[], string[] | undefined]>([
    ["a header", [{ kind: "requestHeader", header: "x-user", key: "user", skipIfAbsent: false }], ["user=ann"]],
    ["a header that is missing", [key("a"), header(false)], undefined],
    ["a header that may be missing", [key("a"), header(true)], ["k=a"]],
    [
      "addresses",
      [{ kind: "remoteAddress" }, { kind: "maskedRemoteAddress", v4Bits: 8, v6Bits: 64 }],
      ["remote_address=10.0.0.1&masked_remote_address=10.0.0.0/8"],
    ],
    [
      "clusters",
      [{ kind: "sourceCluster" }, { kind: "destinationCluster" }],
      ["source_cluster=productpage.shop&destination_cluster=cart"],
    ],
    ["matching headers", [matched("ann", true), matched("bob", false)], ["h=v&h=v"]],
    ["headers that do not match", [matched("bob", true)], undefined],
    ["dynamic metadata", [metadata("dynamic", "d", ["who"])], ["m=bob"]],
    ["metadata of the route", [metadata("route", "m", ["deep", "x"])], ["m=route"]],
    ["what stands for missing metadata", [metadata("route", "m", ["deep", "y"], "none")], ["m=none"]],
    ["missing metadata", [metadata("dynamic", "other", ["who"])], undefined],
  ])("counts by %s", (_title, actions, expected) => {
    expect(start({}, routed([actions])).entries).toEqual(expected);
  });

  it("masks IPv6 addresses", () => {
    const fake = fakeContext("inbound", () => 0.5, RATE_LIMIT);
    const filter = rateLimitRuntime.create(decode(BASE), fake.context);
    const exchange = new FakeExchange();
    exchange.route = routed([[{ kind: "maskedRemoteAddress", v4Bits: 8, v6Bits: 44 }]]);
    exchange.peer = { ...exchange.peer, remoteAddress: "2001:db8:abcd:12::34" };
    filter.onRequestHead?.(exchange);
    const asked = RateLimitRequest.decode((fake.calls[0] as FakeCall).request.body.subarray(5));
    expect(asked.descriptors[0]?.entries[0]?.value).toBe("2001:db8:abc0::/44");
  });

  it.each([
    ["the route's own, when it has some", [[key("a")]], 0, ["k=a"]],
    ["the host's for routes without", [], 0, ["k=h"]],
    ["both, when included", [[key("a")]], 1, ["k=a", "k=h"]],
    ["none of the host, when ignored", [], 2, undefined],
  ])("counts %s", (_title, own, vhRateLimits, expected) => {
    expect(start({}, routed(own, [[key("h")]]), { vhRateLimits: vhRateLimits as 0 }).entries).toEqual(expected);
  });

  it("lets pass what is within its limit, and passes on what it is told", () => {
    const { exchange, call, filter } = start({ enableXRatelimitHeaders: 1 });
    call.answer(
      says({
        overallCode: 1,
        statuses: [
          {
            code: 1,
            currentLimit: { requestsPerUnit: 10, unit: 2, name: "n" },
            limitRemaining: 3,
            durationUntilReset: { seconds: 7n },
          },
        ],
        requestHeadersToAdd: [{ key: "X-Req", value: "1" }],
        responseHeadersToAdd: [{ key: "X-Res", value: "2" }],
      }),
    );
    filter.onResponseHead?.(exchange);
    expect([exchange.resumed, exchange.requestEdits.log]).toEqual([1, ["append x-req=1"]]);
    expect(exchange.responseEdits.log).toEqual([
      "append x-res=2",
      'set x-ratelimit-limit=10, 10;w=60;name="n"',
      "set x-ratelimit-remaining=3",
      "set x-ratelimit-reset=7",
    ]);
  });

  it("refuses what is over its limit as Envoy does", () => {
    const { exchange, call, stats } = start();
    call.answer(says({ overallCode: 2, rawBody: Buffer.from("slow down") }));
    expect(exchange.replies).toEqual([
      { status: 429, grpcStatus: 14, body: "slow down", flag: "RL", details: "request_rate_limited", because: "rls" },
    ]);
    expect(exchange.responseEdits.log).toEqual(["set x-envoy-ratelimited=true"]);
    expect(stats.total("envoy_http_ratelimit_over_limit")).toBe(1);
  });

  it.each<[string, SideOutcome]>([
    ["is slow", { kind: "failed", reason: "timeout", detail: "" }],
    ["is gone", { kind: "failed", reason: "noEndpoint", detail: "" }],
    ["does not say", says({ overallCode: 0 })],
    ["fails", { kind: "response", status: 200, headers: [["grpc-status", "14"]], body: Buffer.alloc(0), trailers: [] }],
    [
      "talks nonsense",
      {
        kind: "response",
        status: 200,
        headers: [["grpc-status", "0"]],
        body: Buffer.from([0, 0, 0, 0, 1, 255]),
        trailers: [],
      },
    ],
  ])("a service that %s lets pass, unless told otherwise", (_title, outcome) => {
    const open = start();
    open.call.answer(outcome);
    expect([open.exchange.resumed, open.exchange.replies]).toEqual([1, []]);
    const closed = start({ failureModeDeny: true });
    closed.call.answer(outcome);
    expect(closed.exchange.resumed).toBe(0);
    expect(closed.exchange.replies).toMatchObject([{ status: 500, flag: "RLSE", details: "rate_limiter_error" }]);
  });

  it("gives up when the client does", () => {
    const { filter, exchange, call } = start();
    filter.onDone?.(exchange);
    expect(call.cancelled).toBe(true);
  });

  it.each<[string, Message, string]>([
    ["no domain", { domain: "" }, "domain: required"],
    ["no service", { rateLimitService: {} }, "rate_limit_service.grpc_service: required"],
    ["internal requests alone", { requestType: "internal" }, "request_type: only both is supported"],
  ])("refuses %s", (_title, message, expected) => {
    expect(() => decode({ ...BASE, ...message })).toThrow(expected);
  });
});
