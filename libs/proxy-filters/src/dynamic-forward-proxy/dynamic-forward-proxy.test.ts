import { FilterConfig } from "@lateen/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy";
import type { HostOutcome } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeCluster, fakeContext } from "../testing/fake-exchange.ts";
import { decodeDynamicForwardProxy } from "./decode.ts";
import { dynamicForwardProxyRuntime } from "./dynamic-forward-proxy.ts";

const FAILED = { status: 503, body: "DNS resolution failure", flag: "DF", details: "dns_resolution_failure" };
const FULL = { status: 503, body: "DNS cache overflow", flag: "UO", details: "dns_cache_overflow" };

/** @param at what the cluster says at once; undefined: it is of another kind. */
function run(at: HostOutcome | (() => void) | undefined) {
  const asked: string[] = [];
  let answer: (outcome: HostOutcome) => void = () => {};
  const { context } = fakeContext("outbound");
  const filter = dynamicForwardProxyRuntime.create(null, {
    ...context,
    requireHost: (cluster, authority, done) => {
      asked.push(`${cluster} ${authority}`);
      answer = done;
      return at;
    },
  });
  const exchange = new FakeExchange({ authority: "a.example:81" });
  Object.assign(exchange.summary, { cluster: fakeCluster("wild") });
  const verdict = filter.onRequestHead?.(exchange);
  return { asked, verdict, exchange, filter, answer: (outcome: HostOutcome) => answer(outcome) };
}

describe("a request", () => {
  it.each([
    [undefined, "continue", []],
    ["ready", "continue", []],
    ["failed", "replied", [FAILED]],
    ["overflow", "replied", [FULL]],
  ] as const)("whose cluster says %s at once: %s", (at, verdict, replies) => {
    const seen = run(at);
    expect([seen.verdict, seen.exchange.replies, seen.asked]).toEqual([verdict, replies, ["wild a.example:81"]]);
  });

  it.each([
    ["ready", 1, []],
    ["failed", 0, [FAILED]],
  ] as const)("that waits goes on as the host is %s", (outcome, resumed, replies) => {
    const seen = run(() => {});
    expect(seen.verdict).toBe("wait");
    seen.answer(outcome);
    expect([seen.exchange.resumed, seen.exchange.replies]).toEqual([resumed, replies]);
  });

  it("that goes away gives up waiting", () => {
    let given = 0;
    const seen = run(() => {
      given++;
    });
    seen.filter.onDone?.(seen.exchange);
    expect(given).toBe(1);
  });
});

it("takes a cache it could keep, and no other", () => {
  const decode = (value: Parameters<typeof FilterConfig.fromPartial>[0]) =>
    decodeDynamicForwardProxy(FilterConfig.encode(FilterConfig.fromPartial(value)).finish());
  const cache = { name: "dynamic_dns" };
  expect(decode({ implementationSpecifier: { $case: "dnsCacheConfig", value: cache } })).toBeNull();
  expect(() => decode({})).toThrow("dns_cache_config: required");
  expect(() => decode({ implementationSpecifier: { $case: "dnsCacheConfig", value: {} } })).toThrow("name: required");
  const kept = { ...cache, preresolveHostnames: [{ address: "a" }] };
  expect(() => decode({ implementationSpecifier: { $case: "dnsCacheConfig", value: kept } })).toThrow(
    "dns_cache_config.preresolve_hostnames",
  );
});
