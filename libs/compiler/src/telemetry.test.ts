import { type ExtensionProvider, STANDARD_METRICS } from "@lateen/mesh-model";
import { OpenTelemetryConfig } from "@lateen/proto/envoy/config/trace/v3/opentelemetry";
import { ZipkinConfig } from "@lateen/proto/envoy/config/trace/v3/zipkin";
import { ExpressionFilter } from "@lateen/proto/envoy/extensions/access_loggers/filters/cel/v3/cel";
import type { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { PluginConfig } from "@lateen/proto/istio/stats/stats";
import { describe, expect, it } from "vitest";
import { compilerFor, httpManagerOf, type NodeOptions, objectsFrom, service, viewOf } from "./testing/mesh.ts";

const COLLECTOR = service("collector", "10.0.9.9", ["http:9411", "http-otlp:4318"]);
const WORLD = service("web", "10.0.9.1", ["http:80"]) + COLLECTOR;
const COLLECTOR_HOST = "collector.default.svc.cluster.local";

const providers: readonly ExtensionProvider[] = [
  { name: "prometheus", prometheus: true },
  { name: "second", prometheus: true },
  { name: "file", envoyFileAccessLog: { path: "/dev/stdout", logFormat: undefined } },
  { name: "other", envoyFileAccessLog: { path: "/tmp/other", logFormat: undefined } },
  {
    name: "zipkin",
    zipkin: {
      service: COLLECTOR_HOST,
      port: 9411,
      path: "/api/v2/spans",
      maxTagLength: 100,
      enable64bitTraceId: false,
    },
  },
  {
    name: "otel",
    opentelemetry: {
      service: `default/${COLLECTOR_HOST}`,
      port: 4318,
      maxTagLength: 256,
      http: { path: "/v1/traces", timeoutMs: 1000, headers: { a: "b" } },
    },
  },
  {
    name: "nowhere",
    zipkin: { service: "gone.example", port: 1, path: "/", maxTagLength: 256, enable64bitTraceId: true },
  },
];

function telemetry(name: string, spec: string, namespace = "default"): string {
  return `
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
---`;
}

const config = {
  extensionProviders: providers,
  defaultProviders: { accessLogging: ["file"], metrics: [], tracing: [] },
};

function manager(yaml: string, node: NodeOptions = {}, side: "CLIENT" | "SERVER" = "CLIENT"): HttpConnectionManager {
  const ports = [{ containerPort: 80 }];
  const view = viewOf(WORLD + yaml, { envoy: true, labels: { app: "web" }, ports, ...node }, config);
  const listener = view.listener(side === "CLIENT" ? "0.0.0.0_80" : "virtualInbound");
  const chains = [...(listener?.filterChains ?? []), listener?.defaultFilterChain];
  const filter = chains
    .flatMap((chain) => chain?.filters ?? [])
    .find(({ name }) => name === "envoy.filters.network.http_connection_manager");
  return httpManagerOf(filter);
}

/** Paths of the logs, with their filters. */
function logs(yaml: string, node?: NodeOptions, side?: "CLIENT" | "SERVER"): readonly string[] {
  return manager(yaml, node, side).accessLog.map(({ configType, filter }) => {
    const path = /\/dev\/stdout|\/tmp\/other/.exec(String(configType?.value.value))?.[0] ?? "?";
    const special = filter?.filterSpecifier?.$case === "extensionFilter" ? filter.filterSpecifier.value : undefined;
    const bytes = special?.configType?.value.value;
    return bytes === undefined ? path : `${path} if ${ExpressionFilter.decode(bytes).expression}`;
  });
}

describe("access logs", () => {
  const everywhere = (spec: string) => telemetry("mesh", spec, "istio-system");
  const file = "providers: [{ name: file }]";
  const other = "providers: [{ name: other }]";
  it.each<[string, string, readonly string[]]>([
    ["as the mesh says without any Telemetry", "", ["/dev/stdout"]],
    ["as the mesh says when none speaks of logs", everywhere("{}"), ["/dev/stdout"]],
    ["of another provider", everywhere(`{ accessLogging: [{ ${other} }] }`), ["/tmp/other"]],
    [
      "of both",
      everywhere(`{ accessLogging: [{ providers: [{ name: file }, { name: other }] }] }`),
      ["/dev/stdout", "/tmp/other"],
    ],
    ["off", everywhere("{ accessLogging: [{ disabled: true }] }"), []],
    [
      "off for servers only",
      everywhere("{ accessLogging: [{ match: { mode: SERVER }, disabled: true }] }"),
      ["/dev/stdout"],
    ],
    [
      "filtered",
      everywhere(`{ accessLogging: [{ filter: { expression: "response.code > 399" } }] }`),
      ["/dev/stdout if response.code > 399"],
    ],
    [
      "off for the mesh, on for the namespace",
      everywhere("{ accessLogging: [{ disabled: true }] }") + telemetry("ns", `{ accessLogging: [{ ${file} }] }`),
      ["/dev/stdout"],
    ],
    [
      "of the namespace instead of the mesh's",
      everywhere(`{ accessLogging: [{ ${file} }] }`) + telemetry("ns", `{ accessLogging: [{ ${other} }] }`),
      ["/tmp/other"],
    ],
    [
      "of the workload instead of the namespace's",
      telemetry("ns", `{ accessLogging: [{ ${file} }] }`) +
        telemetry("web", `{ selector: { matchLabels: { app: web } }, accessLogging: [{ ${other} }] }`),
      ["/tmp/other"],
    ],
    [
      "not those of another workload",
      telemetry("api", `{ selector: { matchLabels: { app: api } }, accessLogging: [{ ${other} }] }`),
      ["/dev/stdout"],
    ],
    ["of nobody that is known", everywhere("{ accessLogging: [{ providers: [{ name: unknown }] }] }"), []],
  ])("%s", (_title, yaml, expected) => {
    expect(logs(yaml)).toEqual(expected);
  });

  it("tell sides apart", () => {
    const yaml = everywhere(`{ accessLogging: [{ match: { mode: SERVER }, ${other} }] }`);
    expect(logs(yaml, {}, "SERVER")).toEqual(["/tmp/other"]);
  });

  it("with a filter are for every proxy", () => {
    const yaml = everywhere(`{ accessLogging: [{ ${file}, filter: { expression: "true" } }] }`);
    expect(logs(yaml, { envoy: false })).toEqual(["/dev/stdout if true"]);
    expect(compilerFor(objectsFrom(yaml), config).warnings()).toEqual([]);
  });
});

describe("metrics", () => {
  const STATS = "istio.stats";
  const lateen = { envoy: false };
  /** Configuration of the metrics filter before bytes or requests; undefined: there is none. */
  function metrics(yaml: string, side: "CLIENT" | "SERVER" = "CLIENT"): PluginConfig | undefined {
    const found = manager(yaml, lateen, side).httpFilters.find(({ name }) => name === STATS);
    return found?.configType?.$case === "typedConfig" ? PluginConfig.decode(found.configType.value.value) : undefined;
  }
  const mesh = (overrides: string) => telemetry("mesh", `{ metrics: [{ overrides: [${overrides}] }] }`, "istio-system");
  const namespaced = (overrides: string) => telemetry("ns", `{ metrics: [{ overrides: [${overrides}] }] }`);
  const NAMES = Object.values(STANDARD_METRICS);

  it.each<[string, string, PluginConfig["metrics"] | undefined]>([
    ["are Istio's by default", "", []],
    ["are Istio's where nothing differs", mesh("{ disabled: false }"), []],
    [
      "lack a label everywhere",
      mesh("{ tagOverrides: { source_app: { operation: REMOVE } } }"),
      [{ name: "", dimensions: {}, tagsToRemove: ["source_app"], match: "", drop: false }],
    ],
    [
      "have a label of one metric",
      mesh(
        `{ match: { metric: REQUEST_COUNT }, tagOverrides: { b: { value: request.method }, a: { value: request.host } } }`,
      ),
      [
        {
          name: "requests_total",
          dimensions: { a: "request.host", b: "request.method" },
          tagsToRemove: [],
          match: "",
          drop: false,
        },
      ],
    ],
    [
      "are disabled one by one",
      mesh("{ match: { metric: REQUEST_SIZE, mode: CLIENT }, disabled: true }"),
      [{ name: "request_bytes", dimensions: {}, tagsToRemove: [], match: "", drop: true }],
    ],
    ["are not those of the other side", mesh("{ match: { mode: SERVER }, disabled: true }"), []],
    ["are off", mesh("{ match: { metric: ALL_METRICS }, disabled: true }"), undefined],
    ["are on again in a namespace", mesh("{ disabled: true }") + namespaced("{ disabled: false }"), []],
    [
      "are on again one by one",
      mesh("{ disabled: true }") + namespaced("{ match: { customMetric: requests_total }, disabled: false }"),
      NAMES.filter((name) => name !== "requests_total").map((name) => ({
        name,
        dimensions: {},
        tagsToRemove: [],
        match: "",
        drop: true,
      })),
    ],
    [
      "add up, and the last word on a label holds",
      mesh("{ tagOverrides: { a: { value: request.host }, b: { value: request.host } } }") +
        namespaced("{ tagOverrides: { b: { operation: REMOVE } } }") +
        telemetry(
          "web",
          "{ selector: { matchLabels: { app: web } }, metrics: [{ overrides: [{ tagOverrides: { c: { value: request.path } } }] }] }",
        ),
      [{ name: "", dimensions: { a: "request.host", c: "request.path" }, tagsToRemove: ["b"], match: "", drop: false }],
    ],
    [
      "are not those of another workload",
      telemetry("api", "{ selector: { matchLabels: { app: api } }, metrics: [{ overrides: [{ disabled: true }] }] }"),
      [],
    ],
    [
      "are not those of a provider that a namespace replaced",
      mesh("{ disabled: true }") + telemetry("ns", "{ metrics: [{ providers: [{ name: second }] }] }"),
      [],
    ],
    [
      "are off where no provider takes them",
      telemetry("ns", "{ metrics: [{ providers: [{ name: file }] }] }"),
      undefined,
    ],
  ])("%s", (_title, yaml, expected) => {
    expect(metrics(yaml)?.metrics).toEqual(expected);
  });

  it("of servers are their own", () => {
    const yaml = mesh("{ match: { mode: SERVER, metric: REQUEST_COUNT }, disabled: true }");
    expect(metrics(yaml, "SERVER")?.metrics.map(({ name, drop }) => [name, drop])).toEqual([["requests_total", true]]);
    expect(metrics(yaml)?.metrics).toEqual([]);
  });

  it("of connections are said before the proxy of bytes, also that there are none", () => {
    const tcp = (yaml: string) => {
      const listener = viewOf(WORLD + yaml, { ...lateen, labels: { app: "web" } }, config).listener("virtualOutbound");
      return listener?.filterChains.map(({ filters }) => filters.map(({ name }) => name));
    };
    expect(tcp("")?.at(-1)).toEqual(["envoy.filters.network.tcp_proxy"]);
    expect(tcp(mesh("{ disabled: true }"))?.at(-1)).toEqual([STATS, "envoy.filters.network.tcp_proxy"]);
    const interval = telemetry("mesh", "{ metrics: [{ reportingInterval: 7s }] }", "istio-system");
    expect(metrics(interval)?.tcpReportingDuration).toEqual({ seconds: 7n, nanos: 0 });
    expect(tcp(interval)?.at(-1)).toEqual([STATS, "envoy.filters.network.tcp_proxy"]);
  });

  it("are never told to a stock Envoy, which would refuse the listener", () => {
    expect(
      manager(mesh("{ tagOverrides: { a: { operation: REMOVE } } }")).httpFilters.map(({ name }) => name),
    ).not.toContain(STATS);
  });

  it("by providers that take none are reported", () => {
    const yaml = telemetry("mesh", "{ metrics: [{ providers: [{ name: file }, { name: x }] }] }", "istio-system");
    expect(
      compilerFor(objectsFrom(yaml), config)
        .warnings()
        .map(({ message }) => message),
    ).toEqual([
      'Telemetry/istio-system/mesh: provider "file" is not of a kind for this',
      'Telemetry/istio-system/mesh: provider "x" is not defined in extensionProviders',
    ]);
  });
});

describe("tracing", () => {
  const traced = (spec: string) => manager(telemetry("mesh", `{ tracing: [${spec}] }`, "istio-system")).tracing;

  it("is off unless somebody asks for it", () => {
    expect(manager("").tracing).toBeUndefined();
    expect(traced("{ randomSamplingPercentage: 50 }")).toBeUndefined();
  });

  it("reports to Zipkin", () => {
    const made = traced("{ providers: [{ name: zipkin }] }");
    expect([made?.clientSampling, made?.randomSampling, made?.overallSampling]).toEqual([
      { value: 100 },
      { value: 1 },
      { value: 100 },
    ]);
    expect(made?.maxPathTagLength).toBe(100);
    expect(ZipkinConfig.decode(made?.provider?.configType?.value.value as Buffer)).toMatchObject({
      collectorCluster: `outbound|9411||${COLLECTOR_HOST}`,
      collectorEndpoint: "/api/v2/spans",
      traceId128bit: true,
    });
    expect(
      made?.customTags.map(({ tag, type }) => `${tag}=${(type?.value as { value: string } | undefined)?.value}`),
    ).toEqual([
      "istio.canonical_revision=latest",
      "istio.canonical_service=web",
      "istio.mesh_id=cluster.local",
      "istio.namespace=default",
    ]);
  });

  it("reports to OpenTelemetry, with tags of one's own", () => {
    const made = traced(
      "{ providers: [{ name: otel }], enableIstioTags: false, randomSamplingPercentage: 12.5, customTags: { z: { literal: { value: x } }, h: { header: { name: X-A } }, e: { environment: { name: E, defaultValue: d } } } }",
    );
    expect(OpenTelemetryConfig.decode(made?.provider?.configType?.value.value as Buffer)).toMatchObject({
      serviceName: "web.default",
      httpService: { httpUri: { httpUpstreamType: { value: `outbound|4318||${COLLECTOR_HOST}` } } },
    });
    expect(made?.randomSampling).toEqual({ value: 12.5 });
    expect(made?.customTags).toEqual([
      { tag: "e", type: { $case: "environment", value: { name: "E", defaultValue: "d" } } },
      { tag: "h", type: { $case: "requestHeader", value: { name: "x-a", defaultValue: "" } } },
      { tag: "z", type: { $case: "literal", value: { value: "x" } } },
    ]);
  });

  it("passes contexts on and reports nothing when told so", () => {
    const made = traced("{ providers: [{ name: zipkin }], disableSpanReporting: true }");
    expect([made?.clientSampling, made?.randomSampling, made?.overallSampling]).toEqual([
      { value: 0 },
      { value: 0 },
      { value: 0 },
    ]);
  });

  it("is left out where the collector is not known: Envoy would refuse the listener", () => {
    expect(traced("{ providers: [{ name: nowhere }] }")).toBeUndefined();
    expect(traced("{ providers: [{ name: file }] }")).toBeUndefined();
  });

  it("takes each setting from the most specific object that has it", () => {
    const yaml =
      telemetry(
        "mesh",
        "{ tracing: [{ providers: [{ name: zipkin }], randomSamplingPercentage: 5 }] }",
        "istio-system",
      ) +
      telemetry("ns", "{ tracing: [{ randomSamplingPercentage: 20 }] }") +
      telemetry(
        "web",
        "{ selector: { matchLabels: { app: web } }, tracing: [{ customTags: { a: { literal: { value: b } } } }] }",
      );
    const made = manager(yaml).tracing;
    expect(made?.randomSampling).toEqual({ value: 20 });
    expect(made?.provider?.name).toBe("envoy.tracers.zipkin");
    expect(made?.customTags.at(-1)?.tag).toBe("a");
  });

  it("is for every proxy", () => {
    const yaml = telemetry("mesh", "{ tracing: [{ providers: [{ name: zipkin }] }] }", "istio-system");
    expect(manager(yaml, { envoy: false }).tracing).toEqual(manager(yaml).tracing);
    expect(compilerFor(objectsFrom(WORLD, yaml), config).warnings()).toEqual([]);
  });

  it("by providers that are not there is reported", () => {
    const yaml = telemetry(
      "mesh",
      "{ tracing: [{ providers: [{ name: x }], disableSpanReporting: true }] }",
      "istio-system",
    );
    expect(
      compilerFor(objectsFrom(yaml), config)
        .warnings()
        .map(({ message }) => message),
    ).toEqual(['Telemetry/istio-system/mesh: provider "x" is not defined in extensionProviders']);
  });
});
