import { FilterConfig } from "@lateen/proto/envoy/extensions/filters/http/grpc_stats/v3/config";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeCluster, fakeContext } from "../testing/fake-exchange.ts";
import { decodeGrpcStats } from "./decode.ts";
import { grpcStatsRuntime } from "./grpc-stats.ts";

type Message = NonNullable<Parameters<typeof FilterConfig.fromPartial>[0]>;
const decode = (message: Message) => decodeGrpcStats(FilterConfig.encode(FilterConfig.fromPartial(message)).finish());
const ALL: Message = { perMethodStatSpecifier: { $case: "statsForAllMethods", value: true } };

/** A length-prefixed message. */
function message(length: number): Buffer {
  const bytes = Buffer.alloc(5 + length, 7);
  bytes[0] = 0;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

function run(config: Message, { path = "/shop.Cart/Add", type = "application/grpc", status = 0, chunk = 3 } = {}) {
  const fake = fakeContext("outbound");
  const filter = grpcStatsRuntime.create(decode(config), fake.context);
  const exchange = new FakeExchange({ method: "POST", path, headers: [["content-type", type]] });
  exchange.summary.cluster = fakeCluster("cart");
  exchange.summary.grpcStatus = status;
  expect(filter.onRequestHead?.(exchange)).toBe("continue");
  filter.onUpstream?.(exchange);
  const request = Buffer.concat([message(4), message(0)]);
  const response = Buffer.concat([message(1), message(300), message(2)]);
  for (let at = 0; at < request.length; at += chunk) {
    filter.onRequestBody?.(exchange, request, at, Math.min(request.length, at + chunk));
  }
  filter.onResponseBody?.(exchange, response, 0, response.length);
  fake.time.ms += 20;
  filter.onDone?.(exchange);
  const seen = Object.fromEntries(
    fake.stats.series.map(({ name, values }) => [name, values.reduce((a, b) => a + b, 0)]),
  );
  return { seen, labels: fake.stats.series[0]?.labels, exchange };
}

describe("gRPC stats", () => {
  it.each([1, 3, 5, 1000])("count calls and messages, in pieces of %d bytes", (chunk) => {
    const { seen, labels } = run(ALL, { chunk });
    expect(labels).toEqual({
      envoy_cluster_name: "cart",
      envoy_grpc_bridge_service: "shop.Cart",
      envoy_grpc_bridge_method: "Add",
    });
    expect(seen).toEqual({
      envoy_cluster_grpc_total: 1,
      envoy_cluster_grpc_success: 1,
      envoy_cluster_grpc_0: 1,
      envoy_cluster_grpc_request_message_count: 2,
      envoy_cluster_grpc_response_message_count: 3,
    });
  });

  it.each([
    [14, "envoy_cluster_grpc_14"],
    [-1, "envoy_cluster_grpc_failure"],
  ])("status %d is a failure", (status, name) => {
    const { seen } = run(ALL, { status });
    expect([seen.envoy_cluster_grpc_failure, seen[name]]).toEqual([1, 1]);
    expect(seen.envoy_cluster_grpc_success).toBeUndefined();
  });

  it.each<[string, Message, string | undefined]>([
    ["no method by default", {}, undefined],
    [
      "methods that are listed",
      {
        perMethodStatSpecifier: {
          $case: "individualMethodStatsAllowlist",
          value: { services: [{ name: "shop.Cart", methodNames: ["Add"] }] },
        },
      },
      "shop.Cart",
    ],
    [
      "none but those that are listed",
      {
        perMethodStatSpecifier: {
          $case: "individualMethodStatsAllowlist",
          value: { services: [{ name: "shop.Cart", methodNames: ["Drop"] }] },
        },
      },
      undefined,
    ],
    ["names without dots", { ...ALL, replaceDotsInGrpcServiceName: true }, "shop_Cart"],
  ])("name %s", (_title, config, service) => {
    expect(run(config).labels?.envoy_grpc_bridge_service).toBe(service);
  });

  it("leave other requests alone", () => {
    expect(run(ALL, { type: "application/json" }).seen).toEqual({});
    expect(run(ALL, { type: "application/grpcweb" }).seen).toEqual({});
  });

  it("tell the numbers of messages and measure the upstream when asked", () => {
    const { exchange, seen } = run({ emitFilterState: true, enableUpstreamStats: true });
    expect(exchange.metadata("envoy.filters.http.grpc_stats")).toEqual({
      request_message_count: 2,
      response_message_count: 3,
    });
    expect(seen.envoy_cluster_grpc_upstream_rq_time).toBe(20);
  });
});
