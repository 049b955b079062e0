import { packAny, typeUrl } from "@lateen/proto";
import { Cluster, Cluster_DiscoveryType as Discovery } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "@lateen/proto/envoy/config/endpoint/v3/endpoint";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "@lateen/proto/envoy/config/route/v3/route";
import type { Route } from "@lateen/proto/envoy/config/route/v3/route_components";
import { HttpConnectionManager } from "@lateen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { TcpProxy } from "@lateen/proto/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { DownstreamTlsContext, UpstreamTlsContext } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import { HttpProtocolOptions } from "@lateen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import type { DeepPartial } from "@lateen/proto/typeRegistry";
import { describe, expect, it } from "vitest";
import {
  clusterSpec,
  type DecodeContext,
  decodeRun,
  listenerSpec,
  localities,
  nameTable,
  routeTable,
  secretSpec,
} from "./index.ts";

const context: DecodeContext = {
  httpFilters: [
    {
      name: "envoy.filters.http.fault",
      configType: "type.googleapis.com/fault",
      routeConfigType: "type.googleapis.com/fault",
      decodeConfig: (bytes) => bytes.toString(),
      decodeRouteConfig: () => {
        throw new Error("delay: must not be negative");
      },
      create: () => ({}),
    },
  ],
  networkFilters: [],
  readFile: (path) => {
    if (path.startsWith("/missing")) throw new Error("ENOENT");
    return Buffer.from(`<${path}>`);
  },
  readEnv: (name) => (name === "SET" ? "<env>" : undefined),
  systemRoots: () => "<system>",
};
const run = () => decodeRun(context);

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
    [{ lbPolicy: 2 }, "lb_policy: RING_HASH is not supported by this proxy"],
    [{ lbPolicy: 5 }, "lb_policy: MAGLEV is not supported by this proxy"],
    [{ healthChecks: [{}] }, "health_checks: not supported by this proxy"],
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
                value: { protocolConfig: { $case: "http2ProtocolOptions", value: {} } },
              },
            }),
          ),
        },
      },
      "explicit_http_config: only HTTP/1.1 upstreams are supported",
    ],
  ])("refuses %o", (fields, reason) => expect(() => cluster(fields)).toThrow(reason));

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

describe("endpoints", () => {
  const socket = (address: string, port = 80) => ({
    address: {
      $case: "socketAddress" as const,
      value: { address, portSpecifier: { $case: "portValue" as const, value: port } },
    },
  });
  const decode = (endpoint: object) =>
    localities(
      ClusterLoadAssignment.fromPartial({
        endpoints: [{ priority: 1, locality: { region: "r" }, lbEndpoints: [endpoint] }],
      }),
      "",
    );

  it("decodes address, weight, health, TLS mode and workload", () => {
    const [locality] = decode({
      hostIdentifier: { $case: "endpoint", value: { address: socket("10.0.0.1") } },
      healthStatus: 2,
      loadBalancingWeight: 3,
      metadata: {
        filterMetadata: {
          "envoy.transport_socket_match": { tlsMode: "istio" },
          istio: { workload: "w;ns;svc;v1;local" },
          lateen: { app: "a", version: "v" },
        },
      },
    });
    expect(locality).toMatchObject({ priority: 1, region: "r" });
    expect(locality?.endpoints).toEqual([
      {
        address: "10.0.0.1",
        port: 80,
        weight: 3,
        healthy: false,
        transportSocketMatch: { tlsMode: "istio" },
        workload: {
          workload: "w",
          namespace: "ns",
          canonicalService: "svc",
          canonicalRevision: "v1",
          cluster: "local",
          app: "a",
          version: "v",
        },
      },
    ]);
  });

  it.each([
    [{}, "endpoints[0].lb_endpoints[0]: endpoint is required"],
    [
      {
        hostIdentifier: {
          $case: "endpoint",
          value: { address: { address: { $case: "pipe", value: { path: "/x" } } } },
        },
      },
      "endpoints[0].lb_endpoints[0].endpoint.address: pipe is not supported",
    ],
    [
      { hostIdentifier: { $case: "endpoint", value: { address: socket("1.2.3.4", 70_000) } } },
      "70000 is not a port number",
    ],
  ])("refuses %o", (endpoint, reason) => expect(() => decode(endpoint)).toThrow(reason));
});

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

  const downstreamTls = (fields: DeepPartial<DownstreamTlsContext>) => ({
    name: "tls",
    configType: typed(packAny(DownstreamTlsContext, DownstreamTlsContext.fromPartial(fields))),
  });

  it.each<[DeepPartial<Listener>, string]>([
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
      { listenerFilters: [{ name: "envoy.filters.listener.proxy_protocol" }] },
      "listener filter envoy.filters.listener.proxy_protocol",
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
    [{ filterChains: [{ filters: [http({ codecType: 2 })] }] }, "codec_type: only AUTO and HTTP1"],
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
});

describe("routes", () => {
  const forward = { $case: "route" as const, value: { clusterSpecifier: { $case: "cluster" as const, value: "c" } } };
  const prefix = { pathSpecifier: { $case: "prefix" as const, value: "/" } };
  const decode = (route: DeepPartial<Route>) => {
    const table = RouteConfiguration.fromPartial({
      name: "r",
      virtualHosts: [{ name: "v", domains: ["*"], routes: [{ match: prefix, action: forward, ...route }] }],
    });
    const spec = routeTable(table, run()).virtualHosts[0]?.routes[0];
    if (spec === undefined) throw new Error("no route");
    return spec;
  };
  const routeTo = (fields: object) => ({ action: { $case: "route" as const, value: { ...forward.value, ...fields } } });

  it.each<[string, DeepPartial<Route>, object]>([
    [
      "a prefix without case",
      { match: { ...prefix, caseSensitive: false } },
      { match: { path: { kind: "prefix", value: "/", ignoreCase: true } } },
    ],
    [
      "a regex",
      { match: { pathSpecifier: { $case: "safeRegex", value: { regex: "/a.*" } } } },
      { match: { path: { kind: "regex", pattern: "/a.*" } } },
    ],
    [
      "an absent header",
      {
        match: { ...prefix, headers: [{ name: "X-A", headerMatchSpecifier: { $case: "presentMatch", value: false } }] },
      },
      { match: { headers: [{ name: "x-a", invert: true, match: { kind: "present" } }] } },
    ],
    ["the default timeout", {}, { action: { kind: "forward", timeoutMs: 15_000 } }],
    ["no timeout", routeTo({ timeout: seconds(0) }), { action: { timeoutMs: 0 } }],
    [
      "retries",
      routeTo({ retryPolicy: { retryOn: "5xx, reset", numRetries: 2, perTryTimeout: seconds(1) } }),
      {
        action: {
          retry: {
            attempts: 2,
            retryOn: ["5xx", "reset"],
            perTryTimeoutMs: 1000,
            baseIntervalMs: 25,
            maxIntervalMs: 250,
          },
        },
      },
    ],
    [
      "weights",
      {
        action: {
          $case: "route",
          value: {
            clusterSpecifier: {
              $case: "weightedClusters",
              value: {
                clusters: [
                  { name: "a", weight: 1 },
                  { name: "b", weight: 3 },
                ],
              },
            },
          },
        },
      },
      {
        action: {
          clusters: [
            { cluster: "a", weight: 1 },
            { cluster: "b", weight: 3 },
          ],
        },
      },
    ],
    [
      "a redirect",
      {
        action: {
          $case: "redirect",
          value: { schemeRewriteSpecifier: { $case: "httpsRedirect", value: true }, responseCode: 3 },
        },
      },
      { action: { kind: "redirect", status: 307, scheme: "https" } },
    ],
    [
      "a direct response",
      {
        action: {
          $case: "directResponse",
          value: { status: 418, body: { specifier: { $case: "inlineString", value: "tea" } } },
        },
      },
      { action: { kind: "direct", status: 418, body: "tea" } },
    ],
    [
      "header edits",
      {
        requestHeadersToAdd: [
          { header: { key: "A", value: "1" }, appendAction: 2 },
          { header: { key: "B", value: "2" } },
        ],
        requestHeadersToRemove: ["C"],
      },
      { requestHeaders: { set: [{ name: "a", value: "1" }], append: [{ name: "b", value: "2" }], remove: ["c"] } },
    ],
  ])("decodes %s", (_title, route, expected) => expect(decode(route)).toMatchObject(expected));

  it.each<[DeepPartial<Route>, string]>([
    [{ action: undefined }, "virtual_hosts[v].routes[0]: an action is required"],
    [
      { match: { pathSpecifier: { $case: "safeRegex", value: { regex: "a(?=b)" } } } },
      "match.safe_regex: not an RE2 expression",
    ],
    [{ match: { pathSpecifier: { $case: "connectMatcher", value: {} } } }, "connect_matcher: not supported"],
    [routeTo({ priority: 1 }), "route.priority: HIGH is not supported"],
    [routeTo({ hashPolicy: [{}] }), "route.hash_policy: not supported"],
    [{ action: { $case: "route", value: {} } }, "route: cluster_specifier is required"],
    [
      {
        action: {
          $case: "route",
          value: { clusterSpecifier: { $case: "weightedClusters", value: { clusters: [{ name: "a" }] } } },
        },
      },
      "the sum of weights must be greater than 0",
    ],
    [
      { action: { $case: "directResponse", value: { status: 100 } } },
      "direct_response.status: 100 is not a final status",
    ],
    [
      { typedPerFilterConfig: { fault: { typeUrl: "type.googleapis.com/fault", value: Buffer.alloc(0) } } },
      "typed_per_filter_config[fault]: delay: must not be negative",
    ],
    [
      { typedPerFilterConfig: { lua: unknown } },
      "typed_per_filter_config[lua]: type.googleapis.com/lua is not supported",
    ],
  ])("refuses %o", (route, reason) => expect(() => decode(route)).toThrow(reason));
});

describe("secrets and names", () => {
  it("decodes a certificate and refuses other kinds", () => {
    const secret = Secret.fromPartial({
      name: "s",
      type: {
        $case: "tlsCertificate",
        value: {
          certificateChain: { specifier: { $case: "inlineBytes", value: Buffer.from("chain") } },
          privateKey: { specifier: { $case: "inlineString", value: "key" } },
        },
      },
    });
    expect(secretSpec(secret, run())).toEqual({
      kind: "certificate",
      name: "s",
      certChainPem: "chain",
      privateKeyPem: "key",
    });
    expect(() => secretSpec(Secret.fromPartial({ name: "s" }), run())).toThrow("type: no type is not supported");
  });

  it("spells short names only where they mean the service", () => {
    const entry = (namespace: string) => ({
      ips: ["10.96.0.1"],
      registry: "Kubernetes",
      shortname: "reviews",
      namespace,
      altHosts: [],
    });
    const table = NameTable.fromPartial({
      table: {
        "reviews.shop.svc.cluster.local": entry("shop"),
        "ratings.other.svc.cluster.local": { ...entry("other"), shortname: "ratings" },
        "api.example.com": { ips: ["240.240.0.1"], registry: "External" },
      },
    });
    expect(Object.keys(nameTable(table, "shop")).sort()).toEqual([
      "api.example.com",
      "ratings.other",
      "ratings.other.svc",
      "ratings.other.svc.cluster.local",
      "reviews",
      "reviews.shop",
      "reviews.shop.svc",
      "reviews.shop.svc.cluster.local",
    ]);
  });

  it("names types as xDS does", () => {
    expect(typeUrl(Listener)).toBe("type.googleapis.com/envoy.config.listener.v3.Listener");
  });
});
