import { packAny } from "@lateen/proto";
import type { AccessLog } from "@lateen/proto/envoy/config/accesslog/v3/accesslog";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { ZipkinConfig } from "@lateen/proto/envoy/config/trace/v3/zipkin";
import { FileAccessLog } from "@lateen/proto/envoy/extensions/access_loggers/file/v3/file";
import { ExpressionFilter } from "@lateen/proto/envoy/extensions/access_loggers/filters/cel/v3/cel";
import { Router } from "@lateen/proto/envoy/extensions/filters/http/router/v3/router";
import {
  HttpConnectionManager,
  type HttpConnectionManager_Tracing,
} from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { TcpProxy } from "@lateen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import { DownstreamTlsContext } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import { PluginConfig } from "@lateen/proto/istio/stats/stats";
import type { DeepPartial } from "@lateen/proto/typeRegistry";
import { describe, expect, it } from "vitest";
import { listenerSpec } from "./index.ts";
import { run } from "./testing/context.ts";

const seconds = (value: number) => ({ seconds: BigInt(value), nanos: 0 });
const listenerAddress = {
  address: {
    $case: "socketAddress" as const,
    value: { address: "0.0.0.0", portSpecifier: { $case: "portValue" as const, value: 15006 } },
  },
};
const tcp = (fields: DeepPartial<TcpProxy> = { clusterSpecifier: { $case: "cluster", value: "c" } }) => ({
  name: "tcp",
  configType: { $case: "typedConfig" as const, value: packAny(TcpProxy, TcpProxy.fromPartial(fields)) },
});
const router = { name: "envoy.filters.http.router" };
const http = (fields: DeepPartial<HttpConnectionManager> = {}) => ({
  name: "http",
  configType: {
    $case: "typedConfig" as const,
    value: packAny(
      HttpConnectionManager,
      HttpConnectionManager.fromPartial({
        routeSpecifier: { $case: "rds", value: { routeConfigName: "r" } },
        httpFilters: [router],
        ...fields,
      }),
    ),
  },
});
const listener = (fields: DeepPartial<Listener>) =>
  listenerSpec(
    Listener.fromPartial({ name: "l", address: listenerAddress, filterChains: [{ filters: [tcp()] }], ...fields }),
    run(),
  );
const unknown = { typeUrl: "type.googleapis.com/lua", value: Buffer.alloc(0) };
const typed = (value: { typeUrl: string; value: Buffer }) => ({ $case: "typedConfig" as const, value });

describe("listeners", () => {
  it("decodes address, inspectors and chain matches", () => {
    const spec = listener({
      bindToPort: false,
      trafficDirection: 1,
      listenerFilters: [
        { name: "envoy.filters.listener.tls_inspector" },
        {
          name: "envoy.filters.listener.http_inspector",
          filterDisabled: { rule: { $case: "destinationPortRange", value: { start: 80, end: 82 } } },
        },
      ],
      filterChains: [
        {
          name: "one",
          filterChainMatch: {
            destinationPort: 80,
            prefixRanges: [{ addressPrefix: "10.0.0.0", prefixLen: 8 }],
            serverNames: ["A.Example"],
            transportProtocol: "tls",
            applicationProtocols: ["istio"],
          },
          filters: [tcp()],
        },
      ],
    });
    expect(spec).toMatchObject({
      port: 15006,
      bindToPort: false,
      direction: "inbound",
      inspectors: { tls: true, http: true, httpDisabledPorts: [80, 81], tlsDisabledPorts: [] },
    });
    expect(spec.chains[0]).toMatchObject({
      match: {
        destinationPort: 80,
        destinationPrefixes: ["10.0.0.0/8"],
        serverNames: ["a.example"],
        transportProtocol: "tls",
        applicationProtocols: ["istio"],
      },
      terminal: { kind: "tcp", clusters: [{ cluster: "c", weight: 1 }], idleTimeoutMs: 3_600_000 },
    });
  });

  it("decodes a connection manager", () => {
    const spec = listener({
      filterChains: [
        {
          filters: [
            http({
              serverName: "istio-envoy",
              forwardClientCertDetails: 2,
              normalizePath: true,
              upgradeConfigs: [{ upgradeType: "WebSocket" }],
              streamIdleTimeout: seconds(0),
              httpFilters: [
                { name: "f", configType: typed({ typeUrl: "type.googleapis.com/fault", value: Buffer.from("x") }) },
                { name: "o", configType: typed(unknown), isOptional: true },
                router,
              ],
            }),
          ],
        },
      ],
    });
    expect(spec.chains[0]?.terminal).toMatchObject({
      kind: "http",
      routes: { rds: "r" },
      httpFilters: [{ name: "envoy.filters.http.fault", config: "x" }],
      serverName: "istio-envoy",
      forwardClientCert: "appendForward",
      normalizePath: true,
      upgrades: ["websocket"],
      streamIdleTimeoutMs: 0,
    });
  });

  it.each([
    [0, undefined],
    [1, "reject"],
    [2, "drop"],
  ] as const)(
    "does with names that have an underscore what it is told: %s",
    (headersWithUnderscoresAction, expected) => {
      const options = { commonHttpProtocolOptions: { headersWithUnderscoresAction } };
      const { terminal } = listener({ filterChains: [{ filters: [http(options)] }] }).chains[0] ?? {};
      expect((terminal as { readonly underscores?: string }).underscores).toBe(expected);
    },
  );

  it.each([
    [undefined, undefined],
    [false, undefined],
    [true, true],
  ])("takes methods that nobody knows when it is told to: %s", (allowCustomMethods, customMethods) => {
    const options = allowCustomMethods === undefined ? {} : { httpProtocolOptions: { allowCustomMethods } };
    const { terminal } = listener({ filterChains: [{ filters: [http(options)] }] }).chains[0] ?? {};
    expect((terminal as { readonly customMethods?: boolean }).customMethods).toBe(customMethods);
  });

  it("knows when the router is to say nothing of its own work", () => {
    const quiet = (suppressEnvoyHeaders: boolean) => {
      const config = typed(packAny(Router, Router.fromPartial({ suppressEnvoyHeaders })));
      const spec = listener({
        filterChains: [{ filters: [http({ httpFilters: [{ ...router, configType: config }] })] }],
      });
      return spec.chains[0]?.terminal;
    };
    expect(quiet(true)).toMatchObject({ suppressEnvoyHeaders: true });
    expect(quiet(false)).not.toHaveProperty("suppressEnvoyHeaders");
  });

  const downstreamTls = (fields: DeepPartial<DownstreamTlsContext>) => ({
    name: "tls",
    configType: typed(packAny(DownstreamTlsContext, DownstreamTlsContext.fromPartial(fields))),
  });

  it("take the header of a load balancer where its filter is there", () => {
    const filter = { name: "envoy.filters.listener.proxy_protocol" };
    expect(listener({ listenerFilters: [filter] }).proxyProtocol).toEqual({ optional: false, refusedVersions: [] });
    expect(listener({}).proxyProtocol).toBeUndefined();
  });

  const stats = (fields: DeepPartial<PluginConfig>) => ({
    name: "istio.stats",
    configType: typed(packAny(PluginConfig, PluginConfig.fromPartial(fields))),
  });
  const log = (filter: DeepPartial<AccessLog["filter"]>) => ({
    filter,
    configType: typed(packAny(FileAccessLog, FileAccessLog.fromPartial({ path: "/dev/stdout" }))),
  });
  const expression = (text: string) => ({
    filterSpecifier: {
      $case: "extensionFilter" as const,
      value: { configType: typed(packAny(ExpressionFilter, ExpressionFilter.fromPartial({ expression: text }))) },
    },
  });
  const logging = (filter: DeepPartial<AccessLog["filter"]>) => ({
    filterChains: [{ filters: [http({ accessLog: [log(filter)], httpFilters: [router] })] }],
  });

  it("tell the metrics of connections what their filter says", () => {
    const config = { tcpReportingDuration: { seconds: 3n }, metrics: [{ name: "tcp_sent_bytes_total", drop: true }] };
    const { chains } = listener({ filterChains: [{ filters: [stats(config), tcp()] }] });
    expect(chains[0]?.networkFilters).toEqual([]);
    expect(chains[0]?.terminal).toMatchObject({
      metrics: {
        tcpReportingMs: 3000,
        changes: [{ metric: "tcp_sent_bytes_total", tags: {}, removedTags: [], drop: true }],
      },
    });
  });

  it("filter access logs", () => {
    expect(listener(logging(expression("response.code > 399"))).chains[0]?.terminal.accessLogs).toMatchObject([
      { kind: "file", filter: "response.code > 399" },
    ]);
  });

  const zipkin = (fields: DeepPartial<ZipkinConfig>) => ({
    name: "envoy.tracers.zipkin",
    configType: typed(packAny(ZipkinConfig, ZipkinConfig.fromPartial({ collectorEndpointVersion: 1, ...fields }))),
  });
  const traced = (tracing: DeepPartial<HttpConnectionManager_Tracing>) => ({
    filterChains: [{ filters: [http({ tracing, httpFilters: [router] })] }],
  });

  it("trace as they are told", () => {
    const provider = zipkin({ collectorCluster: "c", collectorEndpoint: "/spans", collectorHostname: "h" });
    const { chains } = listener(
      traced({
        provider,
        randomSampling: { value: 1.5 },
        customTags: [
          { tag: "a", type: { $case: "literal", value: { value: "b" } } },
          {
            tag: "m",
            type: {
              $case: "metadata",
              value: {
                metadataKey: { key: "n", path: [{ segment: { $case: "key", value: "p" } }] },
                defaultValue: "d",
              },
            },
          },
        ],
      }),
    );
    expect(chains[0]?.terminal).toMatchObject({
      tracing: {
        provider: {
          kind: "zipkin",
          cluster: "c",
          authority: "h",
          path: "/spans",
          longTraceIds: false,
          sharedSpans: true,
        },
        clientSampling: 100,
        randomSampling: 1.5,
        overallSampling: 100,
        maxPathLength: 256,
        customTags: [
          { tag: "a", kind: "literal", value: "b" },
          { tag: "m", kind: "metadata", namespace: "n", path: ["p"], fallback: "d" },
        ],
      },
    });
  });

  it.each<[DeepPartial<Listener>, string]>([
    [traced({ verbose: true }), "tracing.verbose: not supported"],
    [traced({ spawnUpstreamSpan: true }), "tracing.spawn_upstream_span: not supported"],
    [traced({ provider: { name: "x", configType: typed(unknown) } }), "tracing.provider: tracer x"],
    [traced({ provider: zipkin({ collectorEndpointVersion: 3 }) }), "collector_endpoint_version: only HTTP_JSON"],
    [traced({ provider: zipkin({}) }), "collector_cluster: required"],
    [
      traced({ provider: zipkin({ collectorCluster: "c" }), customTags: [{ tag: "a" }] }),
      "custom_tags[0]: a type is required",
    ],
    [
      { filterChains: [{ filters: [stats({}), http({ httpFilters: [router] })] }] },
      "filters[istio.stats]: is supported before a TCP proxy only",
    ],
    [
      logging(expression("response.nothing")),
      'access_log[0].filter.expression: "response.nothing" is not an attribute',
    ],
    [
      logging({ filterSpecifier: { $case: "notHealthCheckFilter", value: {} } }),
      "access_log[0].filter: only filters of expressions in CEL",
    ],
    [{ name: "" }, "name: required"],
    [{ address: undefined }, "address: no address is not supported"],
    [{ filterChains: [] }, "filter_chains: at least one is required"],
    [{ udpListenerConfig: {} }, "udp_listener_config: not supported"],
    [{ filterChains: [{ name: "x", filters: [] }] }, "filter_chains[x].filters: at least one is required"],
    [{ filterChains: [{ filters: [tcp({})] }] }, "filter_chains[0].filters[tcp].cluster_specifier: required"],
    [
      { filterChains: [{ filters: [{ name: "lua", configType: typed(unknown) }] }] },
      "filters[lua]: terminal filter type.googleapis.com/lua",
    ],
    [
      { filterChains: [{ filters: [{ name: "lua", configType: typed(unknown) }, tcp()] }] },
      "network filter type.googleapis.com/lua is not supported",
    ],
    [
      { listenerFilters: [{ name: "envoy.filters.listener.original_src" }] },
      "listener filter envoy.filters.listener.original_src",
    ],
    [
      { filterChains: [{ filters: [http({ httpFilters: [] })] }] },
      "http_filters: the last filter must be envoy.filters.http.router",
    ],
    [
      { filterChains: [{ filters: [http({ httpFilters: [router, { name: "x" }] })] }] },
      "the router must be the last filter",
    ],
    [
      { filterChains: [{ filters: [http({ httpFilters: [{ name: "lua", configType: typed(unknown) }, router] })] }] },
      "http_filters[lua]: filter type.googleapis.com/lua",
    ],
    [{ filterChains: [{ filters: [http({ codecType: 3 })] }] }, "codec_type: 3 is not known"],
    [
      { filterChains: [{ filters: [http({ routeSpecifier: { $case: "scopedRoutes", value: {} } })] }] },
      "scoped_routes: not supported",
    ],
    [{ filterChains: [{ filters: [tcp()], transportSocket: downstreamTls({}) }] }, "common_tls_context: required"],
    [
      { filterChains: [{ filters: [tcp()], transportSocket: downstreamTls({ commonTlsContext: {} }) }] },
      "a server certificate is required",
    ],
    [
      { filterChains: [{ filterChainMatch: { sourcePorts: [1] }, filters: [tcp()] }] },
      "filter_chain_match.source_ports: not supported",
    ],
  ])("refuses %o", (fields, reason) => expect(() => listener(fields)).toThrow(reason));

  const chain = (fields: DeepPartial<HttpConnectionManager>) =>
    listener({ filterChains: [{ filters: [http(fields)] }] });
  it.each<[DeepPartial<HttpConnectionManager>, string]>([
    [{ maxRequestHeadersKb: 96 }, "max_request_headers_kb: this proxy takes 60"],
    [{ commonHttpProtocolOptions: { maxHeadersCount: 200 } }, "common_http_protocol_options.max_headers_count"],
    [{ commonHttpProtocolOptions: { maxStreamDuration: seconds(1) } }, "max_stream_duration: not supported"],
    [
      { commonHttpProtocolOptions: { headersWithUnderscoresAction: 9 as 1 } },
      "headers_with_underscores_action: 9 is not known",
    ],
    [{ commonHttpProtocolOptions: { maxRequestsPerConnection: 1 } }, "max_requests_per_connection: not supported"],
    [{ httpProtocolOptions: { allowAbsoluteUrl: false } }, "allow_absolute_url: this proxy takes absolute URLs"],
    [{ httpProtocolOptions: { allowChunkedLength: true } }, "allow_chunked_length: not supported"],
    [{ httpProtocolOptions: { defaultHostForHttp10: "a" } }, "default_host_for_http10: not supported"],
    [
      { httpProtocolOptions: { headerKeyFormat: { headerFormat: { $case: "properCaseWords", value: {} } } } },
      "header_key_format.proper_case_words: not supported",
    ],
    [{ http2ProtocolOptions: { allowConnect: true } }, "http2_protocol_options.allow_connect: not supported"],
    [
      { http2ProtocolOptions: { connectionKeepalive: { interval: seconds(1) } } },
      "connection_keepalive: not supported",
    ],
    [{ proxyStatusConfig: {} }, "proxy_status_config: not supported"],
    [{ internalAddressConfig: { unixSockets: true } }, "internal_address_config: not supported"],
  ])("refuses a connection manager with %o", (fields, reason) => expect(() => chain(fields)).toThrow(reason));

  it.each<[DeepPartial<HttpConnectionManager>]>([
    [{ maxRequestHeadersKb: 60, commonHttpProtocolOptions: { idleTimeout: seconds(1), maxHeadersCount: 100 } }],
    [{ httpProtocolOptions: { acceptHttp10: true, allowAbsoluteUrl: true, enableTrailers: true } }],
    [{ http2ProtocolOptions: { maxConcurrentStreams: 10, hpackTableSize: 4096 } }],
  ])("takes a connection manager with %o", (fields) => expect(() => chain(fields)).not.toThrow());
});
