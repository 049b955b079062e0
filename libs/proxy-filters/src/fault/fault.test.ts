import { HTTPFault } from "@lateen/proto/envoy/extensions/filters/http/fault/v3/fault";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeCluster, fakeContext } from "../testing/fake-exchange.ts";
import { FAULT } from "./config.ts";
import { decodeFault } from "./decode.ts";
import { faultRuntime } from "./fault.ts";

type Fault = Parameters<typeof HTTPFault.fromPartial>[0];
const decode = (fault: Fault) => decodeFault(HTTPFault.encode(HTTPFault.fromPartial(fault)).finish());
const percent = (numerator: number) => ({ numerator, denominator: 0 }) as const;
const delay = (ms: number, numerator = 100): NonNullable<Fault>["delay"] => ({
  faultDelaySecifier: { $case: "fixedDelay", value: { seconds: 0n, nanos: ms * 1_000_000 } },
  percentage: percent(numerator),
});
const abort = (status: number, numerator = 100): NonNullable<Fault>["abort"] => ({
  errorType: { $case: "httpStatus", value: status },
  percentage: percent(numerator),
});

function run(fault: Fault, headers: readonly (readonly [string, string])[] = [], random = 0.5) {
  const { context, stats } = fakeContext("outbound", () => random, FAULT);
  const filter = faultRuntime.create(decode({}), context);
  const exchange = new FakeExchange({ headers });
  exchange.configs[FAULT] = decode(fault);
  return { filter, exchange, stats, verdict: filter.onRequestHead?.(exchange) };
}

describe("fault", () => {
  it("does nothing without configuration", () => {
    const { context } = fakeContext();
    const exchange = new FakeExchange();
    expect(faultRuntime.create(decode({}), context).onRequestHead?.(exchange)).toBe("continue");
  });

  it("aborts as Envoy does", () => {
    const { verdict, exchange, stats } = run({ abort: abort(418) });
    expect(verdict).toBe("replied");
    expect(exchange.replies).toEqual([
      { status: 418, body: "fault filter abort", flag: "FI", details: "fault_filter_abort" },
    ]);
    expect(stats.total("envoy_http_fault_aborts_injected")).toBe(1);
  });

  it("aborts with a gRPC status", () => {
    const { exchange } = run({ abort: { errorType: { $case: "grpcStatus", value: 14 }, percentage: percent(100) } });
    expect(exchange.replies[0]).toMatchObject({ status: 200, grpcStatus: 14 });
  });

  it("delays, then goes on", () => {
    const { verdict, exchange, filter } = run({ delay: delay(250) });
    expect(verdict).toBe("wait");
    expect(exchange.flags).toEqual(["DI"]);
    expect(exchange.timers.map(({ ms }) => ms)).toEqual([250]);
    exchange.timers[0]?.run();
    expect([exchange.resumed, exchange.replies.length]).toEqual([1, 0]);
    filter.onDone?.(exchange);
  });

  it("delays, then aborts", () => {
    const { exchange } = run({ delay: delay(250), abort: abort(503) });
    expect(exchange.replies).toEqual([]);
    exchange.timers[0]?.run();
    expect([exchange.resumed, exchange.replies[0]?.status]).toEqual([0, 503]);
  });

  it.each([
    [30, 0.29, "replied"],
    [30, 0.3, "continue"],
    [0, 0, "continue"],
    [100, 0.999, "replied"],
  ])("hits %d %% of requests (chance %d → %s)", (share, random, expected) => {
    expect(run({ abort: abort(500, share) }, [], random).verdict).toBe(expected);
  });

  it("never happens without a percentage", () => {
    expect(run({ abort: { errorType: { $case: "httpStatus", value: 500 } } }).verdict).toBe("continue");
  });

  it("touches only requests with the headers it names", () => {
    const fault: Fault = {
      abort: abort(500),
      headers: [{ name: "End-User", headerMatchSpecifier: { $case: "exactMatch", value: "jason" } }],
    };
    expect(run(fault, [["end-user", "jason"]]).verdict).toBe("replied");
    expect(run(fault, [["end-user", "other"]]).verdict).toBe("continue");
    expect(run(fault).verdict).toBe("continue");
  });

  it("touches only requests for the cluster it names", () => {
    const { context } = fakeContext();
    const filter = faultRuntime.create(decode({ abort: abort(500), upstreamCluster: "a" }), context);
    const exchange = new FakeExchange();
    exchange.summary.cluster = fakeCluster("b");
    expect(filter.onRequestHead?.(exchange)).toBe("continue");
    exchange.summary.cluster = fakeCluster("a");
    expect(filter.onRequestHead?.(exchange)).toBe("replied");
  });

  it("bounds the faults under way", () => {
    const { context, stats } = fakeContext();
    const filter = faultRuntime.create(decode({ delay: delay(1), maxActiveFaults: 1 }), context);
    const first = new FakeExchange();
    expect(filter.onRequestHead?.(first)).toBe("wait");
    expect(filter.onRequestHead?.(new FakeExchange())).toBe("continue");
    expect(stats.total("envoy_http_fault_faults_overflow")).toBe(1);
    filter.onDone?.(first);
    expect(filter.onRequestHead?.(new FakeExchange())).toBe("wait");
  });

  describe("asked for by the request", () => {
    const byHeader: Fault = {
      delay: { faultDelaySecifier: { $case: "headerDelay", value: {} }, percentage: percent(100) },
      abort: { errorType: { $case: "headerAbort", value: {} }, percentage: percent(50) },
    };
    it("waits and answers as the headers say", () => {
      const { exchange } = run(
        byHeader,
        [
          ["x-envoy-fault-delay-request", "30"],
          ["x-envoy-fault-abort-request", "429"],
        ],
        0.49,
      );
      expect(exchange.timers[0]?.ms).toBe(30);
      exchange.timers[0]?.run();
      expect(exchange.replies[0]?.status).toBe(429);
    });
    it("may lower the share, not raise it", () => {
      const ask = (share: string) =>
        run(
          byHeader,
          [
            ["x-envoy-fault-abort-grpc-request", "5"],
            ["x-envoy-fault-abort-request-percentage", share],
          ],
          0.4,
        );
      expect(ask("100").exchange.replies[0]).toMatchObject({ status: 200, grpcStatus: 5 });
      expect(ask("30").verdict).toBe("continue");
    });
    it("ignores what is no number", () => {
      expect(run(byHeader, [["x-envoy-fault-delay-request", "soon"]], 0).verdict).toBe("continue");
    });
  });

  it.each<[string, Fault, string]>([
    ["a status no response has", { abort: abort(199) }, "abort.http_status: 199"],
    ["an abort with nothing to answer", { abort: { percentage: percent(1) } }, "abort: http_status"],
    ["a delay without duration", { delay: { percentage: percent(1) } }, "delay: fixed_delay"],
    ["a delay of nothing", { delay: delay(0) }, "delay.fixed_delay"],
    ["rate limits", { responseRateLimit: { percentage: percent(1) } }, "response_rate_limit: not supported"],
    ["downstream nodes", { downstreamNodes: ["a"] }, "downstream_nodes: not supported"],
  ])("refuses %s", (_, fault, message) => {
    expect(() => decode(fault)).toThrow(message);
  });
});
