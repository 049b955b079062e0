import type {
  connectionPool,
  localityLbSetting,
  outlierDetection,
  tcpKeepalive,
} from "../kinds/destination-rule/schema.ts";
import type { labelSelector } from "../kinds/shared.ts";
import type { Infer } from "../schema/index.ts";
import type { MeshNetwork } from "./networks.ts";
import type { GatewayTopology, ProxyHeaders } from "./proxy-headers.ts";

/** Settings of the whole mesh (istio.mesh.v1alpha1.MeshConfig), defaults filled in. Field names are Istio's; durations are milliseconds. */
export interface MeshConfig {
  /** Default `cluster.local`. */
  readonly trustDomain: string;
  /** Further trust domains whose identities count as ours. Default none. */
  readonly trustDomainAliases: readonly string[];
  /** Namespace whose policies hold for the mesh. Default `istio-system`. */
  readonly rootNamespace: string;
  /** What becomes of traffic to unknown destinations. Default `ALLOW_ANY`. */
  readonly ingress?: IngressSettings;
  readonly outboundTrafficPolicy: { readonly mode: "ALLOW_ANY" | "REGISTRY_ONLY" };
  /** Where applications listen: at the pod's address, or only at 127.0.0.1. Default `PASSTHROUGH`. */
  readonly inboundTrafficPolicy?: { readonly mode: "PASSTHROUGH" | "LOCALHOST" } | undefined;
  /** Path of the access log such as `/dev/stdout`; empty (the default) = off. */
  readonly accessLogFile: string;
  /** Empty = Istio's default format of the encoding. */
  readonly accessLogFormat: string;
  readonly accessLogEncoding: "TEXT" | "JSON";
  /** Clients use mTLS towards whoever has a sidecar unless told otherwise. Default true. */
  readonly enableAutoMtls: boolean;
  /** Upstream connect timeout. Default 10 s. */
  readonly connectTimeoutMs: number;
  /** How long a listener waits for the first bytes of a port of unknown protocol. Default 0 = as long as it takes. */
  readonly protocolDetectionTimeoutMs: number;
  readonly defaultConfig: ProxyDefaults;
  /** Undefined = Istio's built-in policy. */
  readonly defaultHttpRetryPolicy: HttpRetryPolicy | undefined;
  readonly defaultServiceExportTo: readonly string[];
  readonly defaultVirtualServiceExportTo: readonly string[];
  readonly defaultDestinationRuleExportTo: readonly string[];
  readonly extensionProviders: readonly ExtensionProvider[];
  readonly defaultProviders: {
    readonly accessLogging: readonly string[];
    readonly metrics: readonly string[];
    readonly tracing?: readonly string[];
  };
  /** Default `BASE` (also written `DEFAULT`): what RFC 3986 calls normalisation, slashes kept. */
  readonly pathNormalization: "NONE" | "BASE" | "MERGE_SLASHES" | "DECODE_AND_MERGE_SLASHES";
  /** Where clients go first by locality, unless a destination rule says otherwise. Default: near before far. */
  readonly localityLbSetting?: LocalityLbSetting | undefined;
  /** TLS between proxies of the mesh. */
  readonly meshMTLS?: TlsSettings | undefined;
  /** All other TLS that proxies end or begin, where nothing more specific is said. */
  readonly tlsDefaults?: TlsSettings | undefined;
  /** How often names of destinations are resolved anew, at most. Default 60 s. */
  readonly dnsRefreshRateMs?: number | undefined;
  /** Keep-alive of upstream connections where no rule says so. Default: the machine's. */
  readonly tcpKeepalive?: Infer<typeof tcpKeepalive> | undefined;
  /** Speak HTTP/2 to ports declared HTTP where no rule says otherwise. Default false. */
  readonly upgradeToHttp2?: boolean | undefined;
  /** Networks of key `meshNetworks`. Default none. */
  readonly networks?: readonly MeshNetwork[] | undefined;
  /** Only namespaces that one of them selects are seen, and the root namespace. Default none: all are. */
  readonly discoverySelectors?: readonly Infer<typeof labelSelector>[] | undefined;
  /** Blocks that destination rules leave open. Default none. */
  readonly defaultTrafficPolicy?: DefaultTrafficPolicy | undefined;
}

/** Limits of TLS (MeshConfig.TLSConfig). Field names are Istio's; what is absent is the default. */
export interface TlsSettings {
  readonly minProtocolVersion?: "TLS_AUTO" | "TLSV1_2" | "TLSV1_3";
  /** Groups for the key exchange, the preferred first. Default: the proxy's. */
  readonly ecdhCurves?: readonly string[];
  /** Suites for TLS 1.2. Default: the strong ones. */
  readonly cipherSuites?: readonly string[];
}
/** LocalityLoadBalancerSetting. */
export type LocalityLbSetting = Infer<typeof localityLbSetting>;
/** `defaultTrafficPolicy`. */
export interface DefaultTrafficPolicy {
  readonly connectionPool?: Infer<typeof connectionPool>;
  readonly outlierDetection?: Infer<typeof outlierDetection>;
}

/** How Kubernetes Ingress is served. */
export interface IngressSettings {
  /** `STRICT`: only Ingress of the class; `DEFAULT`: also those of no class; `OFF`: none. Default `STRICT`. */
  readonly controllerMode: "OFF" | "DEFAULT" | "STRICT";
  /** Default `istio`. */
  readonly ingressClass: string;
  /** Service of the gateway, in the root namespace. Default `istio-ingressgateway`. */
  readonly service: string;
  /** Value of label `istio` of the gateway's pods. Default `ingressgateway`. */
  readonly selector: string;
}

/** What holds for Ingress unless the mesh configuration says otherwise. */
export const defaultIngressSettings: IngressSettings = {
  controllerMode: "STRICT",
  ingressClass: "istio",
  service: "istio-ingressgateway",
  selector: "ingressgateway",
};

/** `defaultConfig`: what every proxy starts with. */
export interface ProxyDefaults {
  /** Worker threads; undefined = the proxy chooses, 0 = one for each processor. Holds from the next start of a proxy. */
  readonly concurrency: number | undefined;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  /** Default 5 s. */
  readonly terminationDrainDurationMs: number;
  /** Default 45 s. */
  readonly drainDurationMs: number;
  /** Default true here: an application never starts before its proxy is ready. */
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly proxyHeaders?: ProxyHeaders | undefined;
  readonly gatewayTopology?: GatewayTopology | undefined;
  /** For the bootstrap of stock Envoys. Default: nothing of it. */
  readonly bootstrap?: BootstrapSettings | undefined;
  /** Fields of Istio's bootstrap that were written and change nothing for proxies of ours. Default none. */
  readonly unused?: readonly BootstrapField[] | undefined;
}

/** What ProxyConfig says of an Envoy's bootstrap. Field names are Istio's. */
export interface BootstrapSettings {
  /** Statistics that Envoy keeps besides those about itself; absent: all. */
  readonly proxyStatsMatcher?: {
    readonly inclusionPrefixes?: readonly string[];
    readonly inclusionSuffixes?: readonly string[];
    readonly inclusionRegexps?: readonly string[];
  };
  /** Feature flags of Envoy, by name. */
  readonly runtimeValues?: Readonly<Record<string, string>>;
}

/** What only Istio's bootstrap of Envoy reads. */
export const BOOTSTRAP_FIELDS = ["proxyStatsMatcher", "extraStatTags", "runtimeValues"] as const;
export type BootstrapField = (typeof BOOTSTRAP_FIELDS)[number];

export interface HttpRetryPolicy {
  readonly attempts: number | undefined;
  readonly perTryTimeoutMs: number | undefined;
  readonly retryOn: string | undefined;
  readonly backoffMs: number | undefined;
  readonly retryIgnorePreviousHosts: boolean | undefined;
  readonly retryRemoteLocalities?: boolean | undefined;
}

/** A named backend for logs or metrics; exactly one of the fields beside `name`. */
export interface ExtensionProvider {
  readonly name: string;
  /** Envoy's HTTP access log service over gRPC. */
  readonly envoyHttpAls?: HttpAlsProvider;
  readonly envoyFileAccessLog?: FileAccessLogProvider;
  readonly prometheus?: true;
  readonly zipkin?: ZipkinProvider;
  readonly opentelemetry?: OpenTelemetryProvider;
  /** Decides on the requests of AuthorizationPolicies with action CUSTOM. */
  readonly extAuthz?: ExtAuthzProvider;
}

/** A service that is asked whether requests may pass, over gRPC or HTTP. */
export interface ExtAuthzProvider {
  readonly kind: "grpc" | "http";
  /** `[namespace/]host` of the service. */
  readonly service: string;
  readonly port: number;
  /** Milliseconds. Default ten minutes, as Istio's. */
  readonly timeoutMs: number;
  /** Requests pass when the service cannot say. Default false. */
  readonly failOpen: boolean;
  /** Status that clients get then. Default 403. */
  readonly statusOnError: number;
  readonly clearRouteCache: boolean;
  /** Undefined: the body is not shown. */
  readonly body: { readonly maxBytes: number; readonly allowPartial: boolean; readonly asBytes: boolean } | undefined;
  /** Of HTTP services. Names may begin or end with `*`. */
  readonly pathPrefix: string;
  readonly requestHeaders: readonly string[];
  readonly additionalHeaders: Readonly<Record<string, string>>;
  readonly upstreamOnAllow: readonly string[];
  readonly downstreamOnDeny: readonly string[];
  readonly downstreamOnAllow: readonly string[];
}
/** A collector of Zipkin spans, version 2 of its API. */
export interface ZipkinProvider {
  /** `[namespace/]host` of the service. */
  readonly service: string;
  readonly port: number;
  /** Default `/api/v2/spans`. */
  readonly path: string;
  /** Longest path in a span. Default 256. */
  readonly maxTagLength: number;
  /** Trace ids of 64 instead of 128 bits. Default false. */
  readonly enable64bitTraceId: boolean;
}
/** A collector of OpenTelemetry spans. */
export interface OpenTelemetryProvider {
  /** `[namespace/]host` of the service. */
  readonly service: string;
  readonly port: number;
  readonly maxTagLength: number;
  /** Over HTTP; undefined: over gRPC. */
  readonly http:
    | { readonly path: string; readonly timeoutMs: number; readonly headers: Readonly<Record<string, string>> }
    | undefined;
}
export interface HttpAlsProvider {
  /** `[namespace/]host` of the service. */
  readonly service: string;
  readonly port: number;
  /** Default `http_envoy_accesslog`. */
  readonly logName: string;
  readonly additionalRequestHeadersToLog: readonly string[];
  readonly additionalResponseHeadersToLog: readonly string[];
}
export interface FileAccessLogProvider {
  /** Default `/dev/stdout`. */
  readonly path: string;
  /** Text format or JSON labels; undefined = the default text format. */
  readonly logFormat: { readonly text?: string; readonly labels?: Readonly<Record<string, string>> } | undefined;
}

/** Istio's defaults, with `overrides` laid over them field by field. */
export function defaultMeshConfig(overrides: Partial<MeshConfig> = {}): MeshConfig {
  return {
    trustDomain: "cluster.local",
    trustDomainAliases: [],
    rootNamespace: "istio-system",
    ingress: defaultIngressSettings,
    outboundTrafficPolicy: { mode: "ALLOW_ANY" },
    accessLogFile: "",
    accessLogFormat: "",
    accessLogEncoding: "TEXT",
    enableAutoMtls: true,
    connectTimeoutMs: 10_000,
    protocolDetectionTimeoutMs: 0,
    defaultConfig: {
      concurrency: undefined,
      proxyMetadata: {},
      terminationDrainDurationMs: 5000,
      drainDurationMs: 45_000,
      holdApplicationUntilProxyStarts: true,
    },
    defaultHttpRetryPolicy: undefined,
    defaultServiceExportTo: ["*"],
    defaultVirtualServiceExportTo: ["*"],
    defaultDestinationRuleExportTo: ["*"],
    extensionProviders: [{ name: "prometheus", prometheus: true }, envoyFileProvider()],
    defaultProviders: { accessLogging: [], metrics: [], tracing: [] },
    pathNormalization: "BASE",
    ...overrides,
  };
}

function envoyFileProvider(): ExtensionProvider {
  return { name: "envoy", envoyFileAccessLog: { path: "/dev/stdout", logFormat: undefined } };
}
