import { HealthCheck } from "@lateen/proto/envoy/extensions/filters/http/health_check/v3/health_check";
import { headFrom } from "@lateen/traffic";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { decodeHealthCheck } from "./decode.ts";
import { healthCheckRuntime } from "./health-check.ts";

type Message = NonNullable<Parameters<typeof HealthCheck.fromPartial>[0]>;
const decode = (message: Message) => decodeHealthCheck(HealthCheck.encode(HealthCheck.fromPartial(message)).finish());
const at = (path: string): NonNullable<Message["headers"]> => [
  {
    name: ":path",
    headerMatchSpecifier: { $case: "stringMatch", value: { matchPattern: { $case: "exact", value: path } } },
  },
];

function start(message: Message) {
  const fake = fakeContext("inbound");
  const filter = healthCheckRuntime.create(decode({ headers: at("/healthz"), ...message }), fake.context);
  const ask = (path = "/healthz", upstream?: number) => {
    const exchange = new FakeExchange({ path });
    const verdict = filter.onRequestHead?.(exchange);
    if (upstream !== undefined) exchange.response = headFrom({ status: upstream });
    filter.onResponseHead?.(exchange);
    const [reply] = exchange.replies;
    return { verdict, answer: reply && [reply.status, reply.flag, reply.details], edits: exchange.responseEdits.log };
  };
  return { ...fake, ask };
}

describe("health check", () => {
  it("answers itself", () => {
    const { ask } = start({ passThroughMode: false });
    expect(ask()).toEqual({
      verdict: "replied",
      answer: [200, "", "health_check_ok"],
      edits: ["set x-envoy-upstream-healthchecked-cluster=productpage.shop"],
    });
    expect(ask("/other")).toEqual({ verdict: "continue", answer: undefined, edits: [] });
  });

  it("fails while the proxy drains", () => {
    const { ask, state } = start({ passThroughMode: true });
    expect(ask().verdict).toBe("continue");
    state.draining = true;
    expect(ask().answer).toEqual([503, "LH", "health_check_failed"]);
    expect(ask().edits).toContain("set x-envoy-immediate-health-check-fail=true");
  });

  it.each([
    [50, { healthy: 1, total: 2 }, 200],
    [51, { healthy: 1, total: 2 }, 503],
    [0, { healthy: 0, total: 0 }, 200],
    [1, { healthy: 0, total: 0 }, 503],
    [0, undefined, 503],
  ])("with at least %d %% of a cluster with %j: %d", (share, cluster, status) => {
    const { ask, health } = start({ passThroughMode: false, clusterMinHealthyPercentages: { app: { value: share } } });
    if (cluster !== undefined) health.app = cluster;
    expect(ask().answer?.slice(0, 2)).toEqual([status, status === 200 ? "" : "LH"]);
  });

  it("repeats the application's answer for a while", () => {
    const { ask, time } = start({ passThroughMode: true, cacheTime: { seconds: 2n, nanos: 0 } });
    expect(ask("/healthz", 500).verdict).toBe("continue");
    expect(ask().answer).toEqual([500, "LH", "health_check_cached"]);
    time.ms += 2000;
    expect(ask("/healthz", 204).verdict).toBe("continue");
    expect(ask().answer).toEqual([204, "", "health_check_cached"]);
  });

  it.each<[string, Message, string]>([
    ["no mode", {}, "pass_through_mode: required"],
    [
      "a cache of its own answers",
      { passThroughMode: false, cacheTime: { seconds: 1n, nanos: 0 } },
      "cache_time: makes sense with",
    ],
  ])("refuses %s", (_title, message, expected) => {
    expect(() => decode(message)).toThrow(expected);
  });
});
