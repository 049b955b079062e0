import type { FilterChainMatchSpec, HashAlgorithm, RouteTableSpec, StringMatchSpec } from "@lateen/traffic";
import type { DnsFamily } from "../io/resolver.ts";
import type { TracingSpec } from "../tracing/spec.ts";

/**
 * What the agent thread hands to the data-path workers: plain data, made from xDS resources, structured-clone safe.
 * A {@link PlanDelta} is applied as a whole: cluster and endpoint changes first, then routes and listeners, one swap, so that a
 * request sees either the old state or the new one. Requests in flight keep what they started with.
 */
export interface PlanDelta {
  /** Grows with every delta; workers answer `applied` with it, and only then does the agent ACK. */
  readonly generation: number;
  readonly clusters: readonly ClusterSpec[];
  readonly removedClusters: readonly string[];
  readonly endpoints: readonly ClusterEndpointsSpec[];
  readonly routes: readonly RouteTableSpec[];
  readonly removedRoutes: readonly string[];
  readonly listeners: readonly ListenerSpec[];
  readonly removedListeners: readonly string[];
  readonly secrets: readonly SecretSpec[];
  /** The whole mesh name table when it changed: every spelling this workload may use (short, ns-qualified, FQDN; lower case) to its addresses. */
  readonly names: Readonly<Record<string, readonly string[]>> | undefined;
}

// ---------------------------------------------------------------- clusters

/** @see envoy.config.cluster.v3.Cluster */
export interface ClusterSpec {
  readonly name: string;
  readonly discovery: "eds" | "static" | "strictDns" | "logicalDns" | "originalDst" | "dynamicForward";
  /** For `static`: final. For the DNS kinds: host names to resolve. For `eds` these come in {@link PlanDelta.endpoints}. */
  readonly endpoints: readonly LocalityEndpointsSpec[];
  readonly connectTimeoutMs: number;
  /** Of the DNS kinds. Default: Envoy's. */
  readonly dns?: DnsRules;
  /** Of `dynamicForward`, whose endpoints are the hosts of the requests. */
  readonly dynamicHosts?: DynamicHostsSpec;
  /** TLS with each request's host: its name is the server name, or one that the certificate must have. `dynamicForward` only. */
  readonly autoSni?: { readonly name: boolean; readonly validate: boolean };
  readonly balance: "roundRobin" | "leastRequest" | "random" | "clusterProvided" | "hash";
  /** Required by balance `hash`. */
  readonly hash?: HashAlgorithm;
  /** Endpoints that are new get their full weight only after a while. */
  readonly slowStart?: SlowStartSpec;
  /** Least request: how many endpoints are compared (P2C = 2). */
  readonly choices: number;
  /** Below this share of healthy endpoints all are used; 0 disables. Percent, default 50. */
  readonly panicPercent: number;
  /** First entry whose `match` is a subset of the endpoint's transportSocketMatch wins; else `transport`. */
  readonly transportMatches: readonly {
    readonly name: string;
    readonly match: Readonly<Record<string, string>>;
    readonly transport: UpstreamTransportSpec;
  }[];
  readonly transport: UpstreamTransportSpec;
  readonly circuitBreakers: BreakerLimits;
  /** Of routes with priority HIGH. Default: Envoy's defaults. */
  readonly highCircuitBreakers?: BreakerLimits;
  readonly outlier: OutlierSpec | undefined;
  /** Asks endpoints whether they are well; those that were not asked yet count as ill. */
  readonly healthCheck?: HealthCheckSpec;
  readonly idleTimeoutMs: number;
  /** 0 = unlimited. */
  readonly maxRequestsPerConnection: number;
  /** HTTP connections take no request any more when they are this old. */
  readonly maxConnectionDurationMs?: number;
  readonly tcpKeepaliveMs: number | undefined;
  /** Labels of the destination for the standard metrics, from the cluster's `istio` metadata. */
  readonly destinationService: { readonly host: string; readonly name: string; readonly namespace: string } | undefined;
  readonly direction: "inbound" | "outbound";
  /** Local addresses to connect from; the first of the destination's family counts. Default: the system's choice. */
  readonly sourceAddresses?: readonly string[];
  /** `originalDst`: the port to go to instead of the one that was asked for. */
  readonly portOverride?: number;
  /** What is spoken to its endpoints; `downstream`: what the client speaks; `auto`: what ALPN finds. Default `http1`. */
  readonly protocol?: "http1" | "http2" | "downstream" | "auto";
  readonly http2?: {
    readonly maxConcurrentStreams: number | undefined;
    /** A connection whose server leaves a PING without answer is closed; undefined: none are sent. */
    readonly keepAlive?: { readonly intervalMs: number; readonly timeoutMs: number } | undefined;
  };
  /** Which user object shaped it, for explain. */
  readonly origin: string | undefined;
}

/** Milliseconds all. @see envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig */
export interface DynamicHostsSpec {
  /** However short the time to live is. */
  readonly minRefreshMs: number;
  /** A host that was not asked for so long is forgotten. */
  readonly hostTtlMs: number;
  /** Of a host's first look-up; 0 = as long as it takes. */
  readonly queryTimeoutMs: number;
  readonly maxHosts: number;
  /** First look-ups under way. */
  readonly maxPending: number;
}

/** How the host names of a DNS cluster are looked up. @see envoy.config.cluster.v3.Cluster (`dns_*` fields) */
export interface DnsRules {
  /** Milliseconds until a name is asked for again; with `respectTtl` only where the answer names no time. */
  readonly refreshMs: number;
  readonly respectTtl: boolean;
  /** Grows from `baseMs` to `maxMs` after failures; undefined: `refreshMs`. */
  readonly failure: { readonly baseMs: number; readonly maxMs: number } | undefined;
  readonly family: DnsFamily;
  /** `address:port` of the servers to ask instead of the system's. */
  readonly servers?: readonly string[];
  /** Names are full names: no search domains. */
  readonly exact?: boolean;
}

/** Circuit breakers of one priority. @see envoy.config.cluster.v3.CircuitBreakers.Thresholds */
export interface BreakerLimits {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** Replaces `maxRetries`: retries under way may be a share (0–100) of the active requests, and so many always. */
  readonly retryBudget?: { readonly percent: number; readonly minimum: number };
}

/** @see envoy.config.cluster.v3.Cluster.SlowStartConfig */
export interface SlowStartSpec {
  readonly windowMs: number;
  /** Least share of an endpoint's weight, 0–100. */
  readonly minPercent: number;
  /** 1 grows evenly; larger grows faster at first. */
  readonly aggression: number;
}

/** Milliseconds all. @see envoy.config.core.v3.HealthCheck */
export interface HealthCheckSpec {
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** While the cluster has not been used. */
  readonly noTrafficMs: number;
  /** While the endpoint is ill. */
  readonly unhealthyMs: number;
  /** After it became ill, or well. */
  readonly unhealthyEdgeMs: number;
  readonly healthyEdgeMs: number;
  /** Up to so much is waited before the first check, and added to every interval, beside a share (0–100) of the interval. */
  readonly initialJitterMs: number;
  readonly jitterMs: number;
  readonly jitterPercent: number;
  /** Failures in a row that make an endpoint ill, successes in a row that make it well again. */
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  readonly ask:
    | {
        readonly kind: "http";
        readonly method: string;
        readonly host: string;
        readonly path: string;
        readonly headers: readonly (readonly [name: string, value: string])[];
        readonly http2: boolean;
        /** First status and the one behind the last. Another status makes ill at once, unless it is `retriable`. */
        readonly expected: readonly (readonly [from: number, to: number])[];
        readonly retriable: readonly (readonly [from: number, to: number])[];
      }
    | { readonly kind: "grpc"; readonly service: string; readonly authority: string }
    /** Parts of the answer must come in this order; none: a connection is enough. */
    | { readonly kind: "tcp"; readonly send: Uint8Array; readonly receive: readonly Uint8Array[] };
}

export interface OutlierSpec {
  /** 0 = off. */
  readonly consecutive5xx: number;
  readonly consecutiveGatewayFailure: number;
  readonly splitExternalLocalOriginErrors: boolean;
  readonly consecutiveLocalOriginFailure: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
}

export type UpstreamTransportSpec = ({ readonly kind: "raw" } | ({ readonly kind: "tls" } & UpstreamTlsSpec)) & {
  /** Connections begin with a PROXY protocol header of this version, before any handshake. */
  readonly proxyLine?: 1 | 2;
};

export interface TlsValidationSpec {
  /** SDS name of the trust bundle (`ROOTCA`, `file-root:…`), or inline PEM; undefined: do not verify the chain. */
  readonly trust: { readonly secret: string } | { readonly pem: string } | undefined;
  /** The peer must carry one matching SAN; empty = any. */
  /** Revocation lists, beside those that come with the trust bundle; with any, every certificate authority of a chain needs one. */
  readonly crlPem?: string;
  readonly sans: readonly { readonly type: "uri" | "dns"; readonly match: StringMatchSpec }[];
}

export interface UpstreamTlsSpec {
  readonly sni: string | undefined;
  readonly alpn: readonly string[];
  /** SDS name of the client certificate, when one is presented. */
  readonly certificateSecret: string | undefined;
  readonly validation: TlsValidationSpec;
  readonly minVersion: TlsVersion | undefined;
  readonly maxVersion: TlsVersion | undefined;
  readonly ciphers: readonly string[];
  /** Groups for the key exchange, the preferred first; absent: Node's. */
  readonly curves?: readonly string[];
}
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** @see envoy.config.endpoint.v3.ClusterLoadAssignment */
export interface ClusterEndpointsSpec {
  readonly cluster: string;
  readonly localities: readonly LocalityEndpointsSpec[];
}
export interface LocalityEndpointsSpec {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
  /** Relative weight of this locality; 0 or undefined = by endpoint count. */
  readonly weight: number | undefined;
  /** 0 is preferred. */
  readonly priority: number;
  /** How much more than its share each healthy endpoint of the priority may carry; default 1.4, one value for all localities. */
  readonly overprovisioning?: number;
  readonly endpoints: readonly EndpointSpec[];
}
export interface EndpointSpec {
  /** IP address, or a host name for DNS clusters. */
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  /** What it is hashed by in place of address and port (`envoy.lb` metadata, `hash_key`). */
  readonly hashKey?: string;
  readonly healthy: boolean;
  /** filter_metadata `envoy.transport_socket_match`. */
  readonly transportSocketMatch: Readonly<Record<string, string>>;
  readonly workload: WorkloadFacts | undefined;
}

/** Who a peer is, for metrics and logs. Unknown parts are empty strings. */
export interface WorkloadFacts {
  readonly workload: string;
  readonly namespace: string;
  readonly app: string;
  readonly version: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
}

// ---------------------------------------------------------------- listeners

/** @see envoy.config.listener.v3.Listener */
export interface ListenerSpec {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** False: reached only by original-destination hand-off, no socket of its own. */
  readonly bindToPort: boolean;
  readonly useOriginalDst: boolean;
  /** Connections begin with a PROXY protocol header, which says where they really come from and go to. Default: they do not. */
  readonly proxyProtocol?: { readonly optional: boolean; readonly refusedVersions: readonly (1 | 2)[] };
  /** The kernel is asked where its connections were sent to before they were redirected. */
  readonly restoresDestination?: boolean;
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly inspectors: {
    readonly tls: boolean;
    readonly http: boolean;
    /** Destination ports on which the http inspector is off because the protocol is declared. */
    readonly httpDisabledPorts: readonly number[];
    readonly tlsDisabledPorts: readonly number[];
    /** How long inspection waits for bytes. 0 = for ever. */
    readonly timeoutMs: number;
    readonly continueOnTimeout: boolean;
  };
  readonly chains: readonly FilterChainSpec[];
  readonly defaultChain: FilterChainSpec | undefined;
  readonly origin: string | undefined;
  /** Objects that demand mutual TLS, by destination port and for all others; for explain. */
  readonly peerAuthentication?: {
    readonly ports: Readonly<Record<string, string>>;
    readonly others: string | undefined;
  };
}

export interface FilterChainSpec {
  readonly name: string;
  readonly match: FilterChainMatchSpec;
  readonly transport: { readonly kind: "raw" } | ({ readonly kind: "tls" } & DownstreamTlsSpec);
  /** Network filters before the terminal one, in order; `config` comes from that filter's own decoder. */
  readonly networkFilters: readonly { readonly name: string; readonly config: unknown }[];
  readonly terminal: HttpConnectionManagerSpec | TcpProxySpec;
}

export interface DownstreamTlsSpec {
  readonly alpn: readonly string[];
  readonly certificateSecret: string;
  /** Further certificates of other key types: a client gets the one that it can verify. */
  readonly otherCertificates?: readonly string[];
  readonly requireClientCertificate: boolean;
  readonly validation: TlsValidationSpec | undefined;
  readonly minVersion: TlsVersion | undefined;
  readonly maxVersion: TlsVersion | undefined;
  readonly ciphers: readonly string[];
  /** Groups for the key exchange, the preferred first; absent: Node's. */
  readonly curves?: readonly string[];
}

/** @see envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy */
export interface TcpProxySpec {
  readonly kind: "tcp";
  readonly statPrefix: string;
  readonly clusters: readonly { readonly cluster: string; readonly weight: number }[];
  /** 0 = none; Envoy's default is one hour. */
  readonly idleTimeoutMs: number;
  readonly maxConnectAttempts: number;
  /** Connections are closed when they are this old. */
  readonly maxDurationMs?: number;
  /** Connections of one client address go to one endpoint, where the cluster has a hash ring. */
  readonly hashSourceIp?: boolean;
  readonly accessLogs: readonly AccessLogSpec[];
  /** How the standard metrics differ from what they are by default. */
  readonly metrics?: MetricsSpec;
}

/** Changes to Istio's standard metrics. @see stats.PluginConfig */
export interface MetricsSpec {
  /** One after the other; the last word on a metric or a label holds. Default: none. */
  readonly changes?: readonly MetricChangeSpec[];
  /** How often the byte counts of a connection are reported. Default: at once. */
  readonly tcpReportingMs?: number;
  /** What clients ask for is not taken for the name of a service. Default false. */
  readonly ignoresHost?: boolean;
}
export interface MetricChangeSpec {
  /** Without `istio_`; empty: all. */
  readonly metric: string;
  /** CEL by label. */
  readonly tags: Readonly<Record<string, string>>;
  readonly removedTags: readonly string[];
  readonly drop: boolean;
}

/** One filter of a chain. @see envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter */
export interface HttpFilterSpec {
  /** What it is: the name of its factory. */
  readonly name: string;
  readonly config: unknown;
  /** What the chain calls it, when that is something else: configuration of routes is found under it. */
  readonly configName?: string;
  /** Off unless a route switches it on. */
  readonly disabled?: boolean;
}

/** @see envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager */
export interface HttpConnectionManagerSpec {
  readonly kind: "http";
  readonly statPrefix: string;
  readonly routes: { readonly rds: string } | { readonly inline: RouteTableSpec };
  /** In order; the router is implied at the end and not listed. `config` comes from that filter's own decoder. */
  readonly httpFilters: readonly HttpFilterSpec[];
  /** Value of the `server` header, and whether an upstream's own is kept. */
  readonly serverName: string;
  readonly serverHeader: "overwrite" | "appendIfAbsent" | "passThrough";
  readonly useRemoteAddress: boolean;
  readonly xffTrustedHops: number;
  /** Upstreams are told the port that clients connect to, unless a proxy before this one said it. Default: they are not. */
  readonly forwardedPort?: true;
  readonly forwardClientCert: "sanitize" | "forwardOnly" | "appendForward" | "sanitizeSet" | "alwaysForwardOnly";
  readonly setClientCertDetails: {
    readonly subject: boolean;
    readonly uri: boolean;
    readonly dns: boolean;
    readonly cert: boolean;
  };
  /** Milliseconds; 0 = none. Envoy's default is five minutes. */
  readonly streamIdleTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: "keep" | "reject" | "unescapeRedirect" | "unescapeForward";
  readonly acceptHttp10: boolean;
  /** HTTP/1 requests may have methods that nobody knows; others get 400. Default false. */
  readonly customMethods?: boolean;
  /** What becomes of headers with `_` in their names. Default: they are like others. @see envoy HeadersWithUnderscoresAction */
  readonly underscores?: "reject" | "drop";
  /** What is spoken to clients; `auto` tells by their first bytes. Default `auto`. */
  readonly codec?: "auto" | "http1" | "http2";
  /** Streams that one HTTP/2 connection may have open at a time. */
  readonly maxConcurrentStreams?: number;
  readonly generateRequestId: boolean;
  readonly preserveExternalRequestId: boolean;
  readonly alwaysSetRequestIdInResponse: boolean;
  /** Nothing is told in `x-envoy-` headers of the router: how long it took, what was rewritten, that it was too much. Default false. */
  readonly suppressEnvoyHeaders?: boolean;
  readonly stripPortMode: "none" | "matching" | "any";
  readonly upgrades: readonly string[];
  readonly accessLogs: readonly AccessLogSpec[];
  /** Default: requests are not traced. */
  readonly tracing?: TracingSpec;
}

/** Where access-log records go. Text and JSON formats keep Envoy's command operators; the worker compiles them. */
export type AccessLogSpec = AccessLogSink & {
  /** CEL: only what it holds of is logged. Default: everything. */
  readonly filter?: string;
};
export type AccessLogSink =
  | {
      readonly kind: "file";
      /** `/dev/stdout`, `/dev/stderr` or a path. */
      readonly path: string;
      readonly format:
        | { readonly kind: "text"; readonly text: string }
        | { readonly kind: "json"; readonly fields: Readonly<Record<string, unknown>> };
    }
  | { readonly kind: "grpc"; readonly logName: string; readonly cluster: string };

// ---------------------------------------------------------------- secrets

export type SecretSpec =
  | {
      readonly kind: "certificate";
      readonly name: string;
      readonly certChainPem: string;
      readonly privateKeyPem: string;
    }
  | { readonly kind: "trust"; readonly name: string; readonly bundlePem: string; readonly crlPem?: string };
