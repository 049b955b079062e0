import { Cluster, Cluster_DiscoveryType as Discovery } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import type { HealthCheck } from "@lateen/proto/envoy/config/core/v3/health_check";
import type { DeepPartial } from "@lateen/proto/typeRegistry";
import { describe, expect, it } from "vitest";
import { clusterSpec } from "./index.ts";
import { run } from "./testing/context.ts";

const seconds = (value: number) => ({ seconds: BigInt(value), nanos: 0 });
const BASE: DeepPartial<HealthCheck> = {
  timeout: seconds(1),
  interval: seconds(5),
  unhealthyThreshold: 3,
  healthyThreshold: 2,
};
const HTTP: DeepPartial<HealthCheck>["healthChecker"] = { $case: "httpHealthCheck", value: { path: "/healthz" } };
const decode = (check: DeepPartial<HealthCheck>, more: DeepPartial<Cluster> = {}) =>
  clusterSpec(Cluster.fromPartial({ name: "c", healthChecks: [{ ...BASE, ...check }], ...more }), run()).spec
    .healthCheck;

describe("health checks", () => {
  it("take Envoy's defaults for what is not set", () => {
    expect(decode({ healthChecker: HTTP })).toEqual({
      timeoutMs: 1000,
      intervalMs: 5000,
      noTrafficMs: 60_000,
      unhealthyMs: 5000,
      unhealthyEdgeMs: 5000,
      healthyEdgeMs: 5000,
      initialJitterMs: 0,
      jitterMs: 0,
      jitterPercent: 0,
      unhealthyThreshold: 3,
      healthyThreshold: 2,
      ask: {
        kind: "http",
        method: "GET",
        host: "c",
        path: "/healthz",
        headers: [],
        http2: false,
        expected: [[200, 201]],
        retriable: [],
      },
    });
  });

  it.each<[string, DeepPartial<HealthCheck>["healthChecker"], object]>([
    ["gRPC", { $case: "grpcHealthCheck", value: { serviceName: "s" } }, { kind: "grpc", service: "s", authority: "c" }],
    [
      "TCP",
      {
        $case: "tcpHealthCheck",
        value: {
          send: { payload: { $case: "text", value: "50494e47" } },
          receive: [{ payload: { $case: "text", value: "504f4e47" } }],
        },
      },
      { kind: "tcp", send: Uint8Array.from(Buffer.from("PING")), receive: [Uint8Array.from(Buffer.from("PONG"))] },
    ],
    [
      "HTTP with statuses",
      {
        $case: "httpHealthCheck",
        value: { path: "/", host: "h", method: 2, expectedStatuses: [{ start: 200n, end: 300n }] },
      },
      { kind: "http", method: "HEAD", host: "h", expected: [[200, 300]] },
    ],
  ])("over %s", (_title, healthChecker, expected) => {
    expect(decode({ healthChecker })?.ask).toMatchObject(expected);
  });

  it.each<[string, DeepPartial<HealthCheck>, DeepPartial<Cluster>, string]>([
    [
      "no time limit",
      { healthChecker: HTTP, timeout: seconds(0) },
      {},
      "health_checks[0].timeout: must be more than nothing",
    ],
    [
      "no threshold",
      { healthChecker: HTTP, unhealthyThreshold: undefined },
      {},
      "health_checks[0].unhealthy_threshold: required",
    ],
    ["nothing to ask", {}, {}, "health_checks[0].health_checker: required"],
    [
      "a path that is none",
      { healthChecker: { $case: "httpHealthCheck", value: { path: "x" } } },
      {},
      'path: must begin with "/"',
    ],
    ["another port", { healthChecker: HTTP, altPort: 80 }, {}, "health_checks[0].alt_port: not supported"],
    ["connections used once", { healthChecker: HTTP, reuseConnection: false }, {}, "reuse_connection: only true"],
    [
      "checkers of others",
      { healthChecker: { $case: "customHealthCheck", value: {} } },
      {},
      "custom_health_check: not supported",
    ],
    [
      "original destinations",
      { healthChecker: HTTP },
      { clusterDiscoveryType: { $case: "type", value: Discovery.ORIGINAL_DST } },
      "ORIGINAL_DST",
    ],
    ["two checks", {}, { healthChecks: [{ ...BASE }, { ...BASE }] }, "health_checks: more than one"],
  ])("refuses %s", (_title, check, more, expected) => {
    expect(() => decode(check, more)).toThrow(expected);
  });
});
