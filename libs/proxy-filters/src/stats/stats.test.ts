import { type MetricConfig, PluginConfig } from "@lateen/proto/istio/stats/stats";
import type { WorkloadFacts } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeCluster, fakeContext, fakeEndpoint } from "../testing/fake-exchange.ts";
import { decodeStats } from "./decode.ts";
import { statsRuntime } from "./stats.ts";

const reviews: WorkloadFacts = {
  workload: "reviews-v2",
  namespace: "back",
  app: "reviews",
  version: "v2",
  canonicalService: "reviews",
  canonicalRevision: "v2",
  cluster: "local",
};
const service = { host: "reviews.back.svc.cluster.local", name: "reviews", namespace: "back" };
const REVIEWS = "spiffe://cluster.local/ns/back/sa/reviews";
const cluster = fakeCluster("outbound|9080||reviews.back.svc.cluster.local", service);

function outbound(change: (exchange: FakeExchange) => void = () => undefined): FakeExchange {
  const exchange = new FakeExchange({ authority: "reviews:9080" });
  exchange.summary.cluster = cluster;
  exchange.summary.endpoint = fakeEndpoint(reviews);
  exchange.summary.upstreamMutualTls = true;
  exchange.summary.upstreamPrincipal = REVIEWS;
  change(exchange);
  return exchange;
}

function report(direction: "inbound" | "outbound", ...exchanges: readonly FakeExchange[]) {
  const { context, stats } = fakeContext(direction);
  const filter = statsRuntime.create({}, context);
  for (const exchange of exchanges) filter.onDone?.(exchange);
  return stats;
}
const labelsOf = (direction: "inbound" | "outbound", exchange: FakeExchange) =>
  report(direction, exchange).named("istio_requests_total")[0]?.labels;

describe("client side", () => {
  it("counts under Istio's names and labels", () => {
    const stats = report("outbound", outbound());
    expect(stats.named("istio_requests_total")).toEqual([
      {
        name: "istio_requests_total",
        values: [1],
        labels: {
          reporter: "source",
          source_workload: "productpage-v1",
          source_canonical_service: "productpage",
          source_canonical_revision: "v1",
          source_workload_namespace: "shop",
          source_principal: "spiffe://cluster.local/ns/shop/sa/productpage",
          source_app: "productpage",
          source_version: "v1",
          source_cluster: "local",
          destination_workload: "reviews-v2",
          destination_workload_namespace: "back",
          destination_principal: REVIEWS,
          destination_app: "reviews",
          destination_version: "v2",
          destination_service: "reviews.back.svc.cluster.local",
          destination_canonical_service: "reviews",
          destination_canonical_revision: "v2",
          destination_service_name: "reviews",
          destination_service_namespace: "back",
          destination_cluster: "local",
          connection_security_policy: "unknown",
          request_protocol: "http",
          response_code: "200",
          grpc_response_status: "",
          response_flags: "-",
        },
      },
    ]);
    expect(stats.named("istio_request_duration_milliseconds")[0]?.values).toEqual([12]);
    expect(stats.named("istio_request_bytes")[0]?.values).toEqual([100]);
    expect(stats.named("istio_response_bytes")[0]?.values).toEqual([2000]);
  });

  it("tells no principals of plaintext", () => {
    const plain = outbound((exchange) => {
      exchange.summary.upstreamMutualTls = false;
      exchange.summary.upstreamPrincipal = undefined;
    });
    expect(labelsOf("outbound", plain)).toMatchObject({
      source_principal: "unknown",
      destination_principal: "unknown",
    });
  });

  it("knows the service of a request that reached no endpoint", () => {
    const failed = outbound((exchange) => {
      Object.assign(exchange.summary, { endpoint: undefined, upstreamPrincipal: undefined, responseCode: 503 });
      exchange.summary.responseFlags = "UH";
    });
    expect(labelsOf("outbound", failed)).toMatchObject({
      destination_workload: "unknown",
      destination_service: "reviews.back.svc.cluster.local",
      destination_service_name: "reviews",
      response_code: "503",
      response_flags: "UH",
    });
  });

  it.each([
    ["PassthroughCluster", { destination_service: "example.com", destination_service_name: "PassthroughCluster" }],
    ["BlackHoleCluster", { destination_service: "example.com", destination_service_name: "BlackHoleCluster" }],
    ["outbound|80||a.b.svc", { destination_service: "a.b.svc", destination_service_name: "a" }],
  ])("names the destination of %s", (name, expected) => {
    const exchange = new FakeExchange({ authority: "example.com" });
    exchange.summary.cluster = fakeCluster(name);
    expect(labelsOf("outbound", exchange)).toMatchObject(expected);
  });

  it("counts a request without a route", () => {
    expect(labelsOf("outbound", new FakeExchange({ authority: "x" }))).toMatchObject({
      destination_service: "unknown",
      reporter: "source",
    });
  });
});

describe("server side", () => {
  const inbound = (change: (exchange: FakeExchange) => void = () => undefined) => {
    const exchange = new FakeExchange();
    exchange.summary.cluster = fakeCluster("inbound|9080||", {
      host: "productpage.shop.svc.cluster.local",
      name: "productpage",
      namespace: "shop",
    });
    exchange.peer = { ...exchange.peer, principal: REVIEWS };
    exchange.peerWorkload = reviews;
    change(exchange);
    return exchange;
  };

  it("names the caller", () => {
    expect(labelsOf("inbound", inbound())).toMatchObject({
      reporter: "destination",
      source_workload: "reviews-v2",
      source_principal: REVIEWS,
      destination_workload: "productpage-v1",
      destination_principal: "spiffe://cluster.local/ns/shop/sa/productpage",
      destination_service: "productpage.shop.svc.cluster.local",
      connection_security_policy: "mutual_tls",
    });
  });

  it("says none of plaintext", () => {
    const plain = inbound((exchange) => {
      exchange.peer = { ...exchange.peer, principal: undefined };
      exchange.peerWorkload = undefined;
    });
    expect(labelsOf("inbound", plain)).toMatchObject({
      source_workload: "unknown",
      source_principal: "unknown",
      destination_principal: "unknown",
      connection_security_policy: "none",
    });
  });

  it("takes the namespace of a silent peer from its certificate", () => {
    const silent = inbound((exchange) => {
      exchange.peerWorkload = undefined;
    });
    expect(labelsOf("inbound", silent)).toMatchObject({
      source_workload: "unknown",
      source_workload_namespace: "back",
      source_canonical_revision: "latest",
    });
  });

  it("bounds what callers can make it remember", () => {
    const many = Array.from({ length: 2100 }, (_, i) =>
      inbound((exchange) => {
        exchange.peerWorkload = { ...reviews, workload: `w${i}` };
      }),
    );
    const stats = report("inbound", ...many);
    expect(stats.named("istio_requests_total").length).toBe(2001);
    expect(stats.total("istio_requests_total")).toBe(2100);
  });
});

describe("series", () => {
  it("is the same for new objects that say the same", () => {
    const stats = report(
      "outbound",
      outbound(),
      outbound((exchange) => {
        exchange.summary.cluster = fakeCluster(cluster.name, { ...service });
        exchange.summary.endpoint = fakeEndpoint({ ...reviews });
      }),
    );
    expect(stats.named("istio_requests_total").map(({ values }) => values)).toEqual([[1, 1]]);
  });

  it("is told apart by code, flags and gRPC status", () => {
    const grpc = (status: number) => {
      const exchange = new FakeExchange({ headers: [["content-type", "application/grpc+proto"]] });
      exchange.summary.grpcStatus = status;
      return exchange;
    };
    const other = outbound((exchange) => {
      exchange.summary.responseCode = 503;
    });
    const flagged = outbound((exchange) => {
      exchange.summary.responseCode = 503;
      exchange.summary.responseFlags = "UF,URX";
    });
    const stats = report("outbound", outbound(), other, flagged, grpc(0), grpc(14), grpc(14), grpc(99), grpc(-1));
    const seen = stats
      .named("istio_requests_total")
      .map(({ labels: l, values }) => [
        l.request_protocol,
        l.response_code,
        l.response_flags,
        l.grpc_response_status,
        values.length,
      ]);
    expect(seen).toEqual([
      ["http", "200", "-", "", 1],
      ["http", "503", "-", "", 1],
      ["http", "503", "UF,URX", "", 1],
      ["grpc", "200", "-", "0", 1],
      ["grpc", "200", "-", "14", 2],
      ["grpc", "200", "-", "2", 1],
      ["grpc", "200", "-", "", 1],
    ]);
  });

  it.each([
    ["application/grpc", "grpc"],
    ["application/grpc;x=1", "grpc"],
    ["application/grpc-web", "http"],
    ["application/json", "http"],
  ])("takes %s for %s", (type, protocol) => {
    const exchange = new FakeExchange({ headers: [["Content-Type", type]] });
    expect(labelsOf("outbound", exchange)?.request_protocol).toBe(protocol);
  });
});

describe("metrics as they were asked for", () => {
  const REQUESTS = "istio_requests_total";
  const custom = (change: Partial<MetricConfig>, ...exchanges: readonly FakeExchange[]) => {
    const config = PluginConfig.fromPartial({ metrics: [change] });
    const { context, stats } = fakeContext("outbound");
    const filter = statsRuntime.create(decodeStats(PluginConfig.encode(config).finish()), context);
    for (const exchange of exchanges) filter.onDone?.(exchange);
    return stats;
  };

  it("lack a label that was removed, and count together then", () => {
    const failed = outbound((exchange) => {
      exchange.summary.responseCode = 503;
    });
    const stats = custom({ tagsToRemove: ["response_code", "source_app"] }, outbound(), failed);
    expect(Object.keys(stats.named(REQUESTS)[0]?.labels ?? {})).not.toContain("source_app");
    expect(Object.keys(stats.named("istio_request_bytes")[0]?.labels ?? {})).not.toContain("response_code");
    expect(stats.named(REQUESTS)[0]?.labels).toEqual(stats.named(REQUESTS)[1]?.labels);
  });

  it("have labels of one's own; what has no value is unknown", () => {
    const dimensions = {
      verb: "request.method",
      agent: "request.headers['user-agent']",
      reporter: "'me'",
      slow: "request.duration > duration('1s')",
    };
    const exchange = outbound();
    const labels = custom({ name: "requests_total", dimensions }, exchange).named(REQUESTS)[0]?.labels;
    expect(labels).toMatchObject({ agent: "unknown", reporter: "me", slow: "false" });
    const other = custom({ name: "requests_total", dimensions }, exchange).named("istio_request_bytes")[0]?.labels;
    expect(other).toMatchObject({ reporter: "source" });
    expect(other).not.toHaveProperty("agent");
  });

  it("are told apart by labels of one's own", () => {
    const to = (path: string) => {
      const exchange = new FakeExchange({ authority: "reviews:9080", path });
      exchange.summary.cluster = cluster;
      return exchange;
    };
    const stats = custom({ dimensions: { path: "request.path" } }, to("/a"), to("/b"), to("/a"));
    expect(stats.named(REQUESTS).map(({ labels, values }) => [labels.path, values])).toEqual([
      ["/a", [1, 1]],
      ["/b", [1]],
    ]);
  });

  it("have a bounded number of values, and exact totals", () => {
    const many = Array.from({ length: 700 }, (_, i) => {
      const exchange = new FakeExchange({ authority: "reviews:9080", path: `/${i}${"x".repeat(300)}` });
      exchange.summary.cluster = cluster;
      return exchange;
    });
    const stats = custom({ dimensions: { path: "request.path" } }, ...many);
    const series = stats.named(REQUESTS);
    expect(series.length).toBe(501);
    expect(series.at(-1)?.labels.path).toBe("__overflow__");
    expect(stats.total(REQUESTS)).toBe(700);
    expect(Math.max(...series.map(({ labels }) => labels.path?.length ?? 0))).toBe(256);
  });

  it("are not there when they are disabled", () => {
    const stats = custom({ name: "request_bytes", drop: true }, outbound());
    expect(stats.named("istio_request_bytes")).toEqual([]);
    expect(stats.named(REQUESTS)).toHaveLength(1);
    expect(custom({ drop: true }, outbound()).series).toEqual([]);
  });

  it("do not take the host that was asked for when told so", () => {
    const bytes = PluginConfig.encode(PluginConfig.fromPartial({ disableHostHeaderFallback: true })).finish();
    const { context, stats } = fakeContext("outbound");
    const exchange = new FakeExchange({ authority: "example.com" });
    exchange.summary.cluster = fakeCluster("PassthroughCluster");
    statsRuntime.create(decodeStats(bytes), context).onDone?.(exchange);
    expect(stats.named(REQUESTS)[0]?.labels.destination_service).toBe("unknown");
  });

  it.each<[string, Parameters<typeof PluginConfig.fromPartial>[0], string]>([
    ["metrics of one's own", { definitions: [{ name: "mine" }] }, "definitions"],
    ["conditions", { metrics: [{ match: "true" }] }, "metrics[0].match"],
    ["unknown metrics", { metrics: [{ name: "mine" }] }, "metrics[0].name: mine is no metric of this proxy"],
    ["values nobody can evaluate", { metrics: [{ dimensions: { a: "b" } }] }, "metrics[0].dimensions[a]"],
    ["shared gateways", { reporter: 1 }, "reporter"],
  ])("are refused with %s", (_title, config, message) => {
    expect(() => decodeStats(PluginConfig.encode(PluginConfig.fromPartial(config)).finish())).toThrow(message);
  });

  it("are the standard ones by default", () => {
    expect(decodeStats(new Uint8Array(0))).toEqual({});
  });
});
