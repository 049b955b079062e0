import { durationFromMs, packAny } from "@lateen/proto";
import { Cluster, Cluster_DiscoveryType as Discovery } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ProxyProtocolUpstreamTransport } from "@lateen/proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol";
import { UpstreamTlsContext } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import type { DeepPartial } from "@lateen/proto/typeRegistry";
import { describe, expect, it } from "vitest";
import { clusterSpec } from "./index.ts";
import { run } from "./testing/context.ts";

type ClusterFields = DeepPartial<Cluster>;
const type = (value: Discovery) => ({ $case: "type" as const, value });
const cluster = (fields: ClusterFields) => clusterSpec(Cluster.fromPartial({ name: "c", ...fields }), run());
const tlsSocket = (context: DeepPartial<UpstreamTlsContext>) => ({
  name: "envoy.transport_sockets.tls",
  configType: {
    $case: "typedConfig" as const,
    value: packAny(UpstreamTlsContext, UpstreamTlsContext.fromPartial(context)),
  },
});
const seconds = (value: number) => ({ seconds: BigInt(value), nanos: 0 });

describe("clusters", () => {
  it("takes Envoy's defaults for what is not set", () => {
    expect(cluster({}).spec).toMatchObject({
      discovery: "static",
      connectTimeoutMs: 5000,
      balance: "roundRobin",
      panicPercent: 50,
      circuitBreakers: { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 },
      outlier: undefined,
      idleTimeoutMs: 3_600_000,
      maxRequestsPerConnection: 0,
      transport: { kind: "raw" },
      direction: "outbound",
    });
  });

  it.each<[string, ClusterFields, object]>([
    [
      "EDS service name",
      { clusterDiscoveryType: type(Discovery.EDS), edsClusterConfig: { serviceName: "s" } },
      { edsName: "s" },
    ],
    ["EDS without a name", { clusterDiscoveryType: type(Discovery.EDS) }, { edsName: "c" }],
    ["no EDS", { clusterDiscoveryType: type(Discovery.STRICT_DNS) }, { edsName: undefined }],
  ])("finds the %s", (_title, fields, expected) => expect(cluster(fields)).toMatchObject(expected));

  it.each<[string, ClusterFields, object]>([
    ["an inbound name", { name: "inbound|80||" }, { direction: "inbound" }],
    [
      "least request",
      { lbPolicy: 1, lbConfig: { $case: "leastRequestLbConfig", value: { choiceCount: 4 } } },
      { balance: "leastRequest", choices: 4 },
    ],
    [
      "a hash ring",
      { lbPolicy: 2, lbConfig: { $case: "ringHashLbConfig", value: { minimumRingSize: 512n } } },
      { balance: "hash", hash: { kind: "ringHash", minimumSize: 512, maximumSize: 8_388_608 } },
    ],
    ["maglev", { lbPolicy: 5 }, { balance: "hash", hash: { kind: "maglev", tableSize: 65_537 } }],
    [
      "slow start",
      {
        lbPolicy: 0,
        lbConfig: {
          $case: "roundRobinLbConfig",
          value: { slowStartConfig: { slowStartWindow: seconds(30), minWeightPercent: { value: 20 } } },
        },
      },
      { slowStart: { windowMs: 30_000, minPercent: 20, aggression: 1 } },
    ],
    ["connect timeout", { connectTimeout: { seconds: 1n, nanos: 500_000_000 } }, { connectTimeoutMs: 1500 }],
    [
      "thresholds of the default priority",
      {
        circuitBreakers: {
          thresholds: [
            { priority: 1, maxRequests: 9 },
            { priority: 0, maxRequests: 7 },
          ],
        },
      },
      { circuitBreakers: { maxRequests: 7 } },
    ],
    [
      "gateway failures, enforced only on request",
      { outlierDetection: { consecutiveGatewayFailure: 3 } },
      { outlier: { consecutive5xx: 5, consecutiveGatewayFailure: 0 } },
    ],
    [
      "gateway failures enforced",
      { outlierDetection: { consecutiveGatewayFailure: 3, enforcingConsecutiveGatewayFailure: 100 } },
      { outlier: { consecutiveGatewayFailure: 3 } },
    ],
    [
      "outlier detection switched off",
      { outlierDetection: { enforcingConsecutive5xx: 0 } },
      { outlier: { consecutive5xx: 0 } },
    ],
    [
      "destination service",
      { metadata: { filterMetadata: { istio: { services: [{ host: "h", name: "n", namespace: "s" }] } } } },
      { destinationService: { host: "h", name: "n", namespace: "s" } },
    ],
    [
      "mesh TLS",
      {
        transportSocket: tlsSocket({
          sni: "outbound_.80",
          commonTlsContext: {
            alpnProtocols: ["istio"],
            tlsCertificateSdsSecretConfigs: [{ name: "default" }],
            validationContextType: { $case: "validationContextSdsSecretConfig", value: { name: "ROOTCA" } },
          },
        }),
      },
      {
        transport: {
          kind: "tls",
          sni: "outbound_.80",
          alpn: ["istio"],
          certificateSecret: "default",
          validation: { trust: { secret: "ROOTCA" }, sans: [] },
        },
      },
    ],
  ])("decodes %s", (_title, fields, expected) => expect(cluster(fields).spec).toMatchObject(expected));

  it.each<[ClusterFields, string]>([
    [{ name: "" }, "name: required"],
    [
      { lbPolicy: 2, lbConfig: { $case: "ringHashLbConfig", value: { hashFunction: 1 } } },
      "ring_hash_lb_config.hash_function: only XX_HASH is supported",
    ],
    [
      { lbPolicy: 5, lbConfig: { $case: "maglevLbConfig", value: { tableSize: 100n } } },
      "maglev_lb_config.table_size: 100 is not a prime number",
    ],
    [{ healthChecks: [{}] }, "health_checks[0].interval: must be more than nothing"],
    [{ circuitBreakers: { perHostThresholds: [{}] } }, "circuit_breakers.per_host_thresholds: not supported"],
    [
      { outlierDetection: { enforcingSuccessRate: 5 } },
      "outlier_detection.enforcing_success_rate: only 0 is supported",
    ],
    [{ connectTimeout: { seconds: -1n, nanos: 0 } }, "connect_timeout: must not be negative"],
    [
      { clusterDiscoveryType: { $case: "clusterType", value: { name: "redis" } } },
      "cluster_type: redis is not supported",
    ],
    [
      { clusterDiscoveryType: type(Discovery.EDS), loadAssignment: { clusterName: "c" } },
      "load_assignment: not allowed on an EDS cluster",
    ],
    [{ transportSocket: { name: "quic" } }, "transport_socket: transport socket quic (no config) is not supported"],
    [
      {
        transportSocket: tlsSocket({ commonTlsContext: { tlsCertificateSdsSecretConfigs: [{ name: "builtin://x" }] } }),
      },
      "secret builtin://x is not available",
    ],
    [
      {
        transportSocket: tlsSocket({
          commonTlsContext: { tlsCertificateSdsSecretConfigs: [{ name: "file-cert:/missing~/k" }] },
        }),
      },
      "cannot read /missing: ENOENT",
    ],
    [
      { transportSocket: tlsSocket({ commonTlsContext: { tlsParams: { tlsMaximumProtocolVersion: 1 } } }) },
      "tls_params.tls_maximum_protocol_version: TLS 1.0 and 1.1",
    ],
    [
      {
        typedExtensionProtocolOptions: {
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packAny(
            HttpProtocolOptions,
            HttpProtocolOptions.fromPartial({
              upstreamProtocolOptions: {
                $case: "explicitHttpConfig",
                value: { protocolConfig: { $case: "http3ProtocolOptions", value: {} } },
              },
            }),
          ),
        },
      },
      "explicit_http_config: only HTTP/1.1 and HTTP/2 are supported",
    ],
  ])("refuses %o", (fields, reason) => expect(() => cluster(fields)).toThrow(reason));

  it.each<[string, Parameters<typeof HttpProtocolOptions.fromPartial>[0]["upstreamProtocolOptions"], object]>([
    ["none", undefined, {}],
    [
      "explicit HTTP/1",
      { $case: "explicitHttpConfig", value: { protocolConfig: { $case: "httpProtocolOptions", value: {} } } },
      {},
    ],
    [
      "explicit HTTP/2",
      {
        $case: "explicitHttpConfig",
        value: { protocolConfig: { $case: "http2ProtocolOptions", value: { maxConcurrentStreams: 7 } } },
      },
      { protocol: "http2", http2: { maxConcurrentStreams: 7 } },
    ],
    [
      "the client's",
      { $case: "useDownstreamProtocolConfig", value: { httpProtocolOptions: {}, http2ProtocolOptions: {} } },
      { protocol: "downstream", http2: { maxConcurrentStreams: undefined } },
    ],
    [
      "HTTP/2 with PINGs",
      {
        $case: "explicitHttpConfig",
        value: {
          protocolConfig: {
            $case: "http2ProtocolOptions",
            value: { connectionKeepalive: { interval: durationFromMs(5000), timeout: durationFromMs(1000) } },
          },
        },
      },
      {
        protocol: "http2",
        http2: { maxConcurrentStreams: undefined, keepAlive: { intervalMs: 5000, timeoutMs: 1000 } },
      },
    ],
    ["ALPN's", { $case: "autoConfig", value: {} }, { protocol: "auto", http2: { maxConcurrentStreams: undefined } }],
  ])("reads which protocol is spoken: %s", (_title, upstreamProtocolOptions, expected) => {
    const options = HttpProtocolOptions.fromPartial({ upstreamProtocolOptions });
    const { protocol, http2 } = cluster({
      typedExtensionProtocolOptions: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packAny(HttpProtocolOptions, options),
      },
    }).spec;
    expect({ protocol, http2 }).toEqual({ protocol: undefined, http2: undefined, ...expected });
  });

  it("reads files named by SDS names and inline certificates beside the cluster", () => {
    const decoding = run();
    const { spec } = clusterSpec(
      Cluster.fromPartial({
        name: "c",
        transportSocket: tlsSocket({
          commonTlsContext: {
            tlsCertificates: [
              {
                certificateChain: { specifier: { $case: "inlineString", value: "chain" } },
                privateKey: { specifier: { $case: "environmentVariable", value: "SET" } },
              },
            ],
            validationContextType: { $case: "validationContextSdsSecretConfig", value: { name: "file-root:/ca" } },
          },
        }),
      }),
      decoding,
    );
    const name = spec.transport.kind === "tls" ? spec.transport.certificateSecret : undefined;
    expect(decoding.secrets.get(name ?? "")).toMatchObject({ certChainPem: "chain", privateKeyPem: "<env>" });
    expect(decoding.secrets.get("file-root:/ca")).toMatchObject({ kind: "trust", bundlePem: "</ca>" });
  });
});

describe("circuit breakers", () => {
  const thresholds = (...list: object[]) => cluster({ circuitBreakers: { thresholds: list } }).spec;

  it("are of a priority, the first entry of each counts", () => {
    const spec = thresholds(
      { priority: 1, maxConnections: 1 },
      { priority: 0, maxRequests: 2, retryBudget: { budgetPercent: { value: 50 } } },
      { priority: 0, maxRequests: 3 },
    );
    expect(spec.circuitBreakers).toMatchObject({ maxConnections: 1024, maxRequests: 2, retryBudget: { percent: 50 } });
    expect(spec.highCircuitBreakers).toMatchObject({ maxConnections: 1, maxRequests: 1024 });
    expect(thresholds({ maxRequests: 2 }).highCircuitBreakers).toBeUndefined();
  });

  it("are refused where they bound pools", () => {
    expect(() => thresholds({ maxConnectionPools: 1 })).toThrow("circuit_breakers.thresholds.max_connection_pools");
    expect(() => thresholds({ priority: 1, maxConnectionPools: 1 })).toThrow("max_connection_pools");
  });
});

describe("names to look up", () => {
  const named = (fields: ClusterFields) =>
    cluster({
      clusterDiscoveryType: type(Discovery.STRICT_DNS),
      loadAssignment: { clusterName: "c", endpoints: [{ lbEndpoints: [endpoint("shop.test")] }] },
      ...fields,
    }).spec.dns;
  const endpoint = (address: string) => ({
    hostIdentifier: {
      $case: "endpoint" as const,
      value: { address: socket(address, 80) },
    },
  });
  const socket = (address: string, port: number) => ({
    address: {
      $case: "socketAddress" as const,
      value: { address, portSpecifier: { $case: "portValue" as const, value: port } },
    },
  });

  it.each<[string, ClusterFields, object]>([
    ["nothing", {}, { refreshMs: 5000, respectTtl: false, failure: undefined, family: "auto" }],
    ["a rate", { dnsRefreshRate: seconds(7), respectDnsTtl: true }, { refreshMs: 7000, respectTtl: true }],
    ["a family", { dnsLookupFamily: 4 }, { family: "all" }],
    [
      "a rate after failures",
      { dnsFailureRefreshRate: { baseInterval: seconds(2) } },
      { failure: { baseMs: 2000, maxMs: 20_000 } },
    ],
    [
      "servers",
      { dnsResolvers: [socket("192.0.2.1", 5353), socket("2001:db8::1", 0)] },
      { servers: ["192.0.2.1:5353", "[2001:db8::1]:53"] },
    ],
    [
      "servers and full names",
      {
        dnsResolutionConfig: {
          resolvers: [socket("192.0.2.1", 53)],
          dnsResolverOptions: { noDefaultSearchDomain: true },
        },
      },
      { servers: ["192.0.2.1:53"], exact: true },
    ],
  ])("by %s", (_title, fields, expected) => expect(named(fields)).toMatchObject(expected));

  it.each<[string, ClusterFields]>([
    ["dns_failure_refresh_rate.base_interval", { dnsFailureRefreshRate: {} }],
    [
      "dns_failure_refresh_rate.max_interval",
      { dnsFailureRefreshRate: { baseInterval: seconds(2), maxInterval: seconds(1) } },
    ],
    ["dns_refresh_rate", { dnsRefreshRate: seconds(0) }],
    ["dns_lookup_family", { dnsLookupFamily: 9 as 0 }],
    ["dns_resolvers", { dnsResolvers: [socket("dns.test", 53)] }],
    [
      "dns_resolution_config.dns_resolver_options",
      { dnsResolutionConfig: { dnsResolverOptions: { useTcpForDnsLookups: true } } },
    ],
    ["use_tcp_for_dns_lookups", { useTcpForDnsLookups: true }],
    [
      "load_assignment",
      {
        clusterDiscoveryType: type(Discovery.LOGICAL_DNS),
        loadAssignment: { endpoints: [{ lbEndpoints: [endpoint("a.test"), endpoint("b.test")] }] },
      },
    ],
  ])("refuses what it cannot honour: %s", (field, fields) => expect(() => named(fields)).toThrow(field));
});

describe("a PROXY line", () => {
  const behind = (inner: object | undefined, config: DeepPartial<ProxyProtocolUpstreamTransport>["config"] = {}) => ({
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    configType: {
      $case: "typedConfig" as const,
      value: packAny(
        ProxyProtocolUpstreamTransport,
        ProxyProtocolUpstreamTransport.fromPartial({
          config,
          ...(inner === undefined ? {} : { transportSocket: inner }),
        }),
      ),
    },
  });
  const raw = { name: "envoy.transport_sockets.raw_buffer" };

  it.each<[number, object, object]>([
    [0, raw, { kind: "raw", proxyLine: 1 }],
    [1, tlsSocket({ sni: "a" }), { kind: "tls", sni: "a", proxyLine: 2 }],
  ])("of version %s comes before what is inside", (version, inner, expected) => {
    const made = cluster({ transportSocket: behind(inner, { version: version as 0 }) });
    expect(made.spec.transport).toMatchObject(expected);
  });

  it.each<[string, object]>([
    ["transport_socket.transport_socket: required", behind(undefined)],
    ["transport_socket.transport_socket: one PROXY line", behind(behind(raw))],
    ["transport_socket.config.pass_through_tlvs", behind(raw, { passThroughTlvs: { tlvType: [1] } })],
  ])("is refused: %s", (message, transportSocket) => expect(() => cluster({ transportSocket })).toThrow(message));
});
