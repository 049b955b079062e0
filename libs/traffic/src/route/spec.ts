/**
 * A route table as plain data: what RDS means once it is decoded, before it is compiled for matching. Safe to post to a worker.
 * @see envoy.config.route.v3.RouteConfiguration
 */
export interface RouteTableSpec {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHostSpec[];
  /** Match `Host: a:80` as `a`. */
  readonly ignorePortInHostMatching: boolean;
  readonly requestHeaders: HeaderEditSpec;
  readonly responseHeaders: HeaderEditSpec;
  readonly maxDirectResponseBytes: number;
}

export interface VirtualHostSpec {
  readonly name: string;
  /** Exact, `*.suffix`, `prefix.*`, or `*`; matched in that order of preference, longest first. */
  readonly domains: readonly string[];
  /** First match wins. */
  readonly routes: readonly RouteSpec[];
  readonly requestHeaders: HeaderEditSpec;
  readonly responseHeaders: HeaderEditSpec;
  readonly includeAttemptCount: boolean;
  /** Redirect plain HTTP to https (Gateway httpsRedirect). */
  readonly requireTls: boolean;
  readonly filterConfig: FilterConfigs;
  /** What requests are counted by, for rate-limit filters. */
  readonly rateLimits?: readonly RateLimitSpec[];
}

export interface RouteSpec {
  readonly name: string;
  readonly match: RouteMatchSpec;
  readonly action: RouteActionSpec;
  readonly requestHeaders: HeaderEditSpec;
  readonly responseHeaders: HeaderEditSpec;
  /** Per-route filter configuration by filter name, already decoded by that filter's own decoder. */
  readonly filterConfig: FilterConfigs;
  /** `filter_metadata`, for filters that read it. */
  readonly metadata?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Which user object and rule made this route, e.g. `VirtualService default/reviews http[1]`; for logs and explain. */
  readonly origin: string | undefined;
  /** Operation name for spans: `reviews.default.svc.cluster.local:9080/*`. */
  readonly decorator: string | undefined;
}

/** By the name that the filter has in its chain. */
export type FilterConfigs = Readonly<Record<string, unknown>>;

/** In {@link FilterConfigs}: the route does without this filter. */
export const FILTER_DISABLED = { "@disabled": true } as const;

/** Whether a filter's configuration says that a route does without it; true of copies, too. */
export function isFilterDisabled(config: unknown): boolean {
  return typeof config === "object" && config !== null && "@disabled" in config;
}

export type StringMatchSpec =
  | { readonly kind: "exact" | "prefix" | "suffix" | "contains"; readonly value: string; readonly ignoreCase: boolean }
  /** RE2 syntax; must match the whole value. */
  | { readonly kind: "regex"; readonly pattern: string };

export interface HeaderMatchSpec {
  /** Lower case. `:method`, `:path`, `:authority`, `:scheme` are allowed. */
  readonly name: string;
  readonly match: { readonly kind: "present" } | StringMatchSpec;
  readonly invert: boolean;
  readonly treatMissingAsEmpty: boolean;
}

export interface QueryMatchSpec {
  readonly name: string;
  readonly match: { readonly kind: "present" } | StringMatchSpec;
}

/** A condition on a value that a filter left. @see envoy.type.matcher.v3.MetadataMatcher */
export interface MetadataMatchSpec {
  /** Name of the filter. */
  readonly filter: string;
  readonly path: readonly string[];
  readonly value: ValueMatchSpec;
  readonly invert: boolean;
}

/** @see envoy.type.matcher.v3.ValueMatcher */
export type ValueMatchSpec =
  | { readonly kind: "null" }
  | { readonly kind: "bool" | "present"; readonly value: boolean }
  /** `from` included, `to` not, except where both are equal. */
  | { readonly kind: "number"; readonly from: number; readonly to: number }
  | { readonly kind: "string"; readonly match: StringMatchSpec }
  | { readonly kind: "list"; readonly oneOf: ValueMatchSpec }
  | { readonly kind: "or"; readonly of: readonly ValueMatchSpec[] };

export interface RouteMatchSpec {
  readonly path:
    | {
        readonly kind: "prefix" | "exact" | "pathSeparatedPrefix";
        readonly value: string;
        readonly ignoreCase: boolean;
      }
    /** RE2, whole path without query. */
    | { readonly kind: "regex"; readonly pattern: string };
  readonly headers: readonly HeaderMatchSpec[];
  readonly query: readonly QueryMatchSpec[];
  /** What filters must have found out; default nothing. */
  readonly metadata?: readonly MetadataMatchSpec[];
  /** Share of requests in [0,1] that may match; 1 when unset. */
  readonly fraction: number;
}

export type RouteActionSpec =
  | ({ readonly kind: "forward" } & ForwardSpec)
  | ({ readonly kind: "redirect" } & RedirectSpec)
  | { readonly kind: "direct"; readonly status: number; readonly body: string };

export interface WeightedClusterSpec {
  readonly cluster: string;
  readonly weight: number;
  readonly requestHeaders: HeaderEditSpec;
  readonly responseHeaders: HeaderEditSpec;
  readonly hostRewrite: string | undefined;
  readonly filterConfig?: FilterConfigs;
}

export interface ForwardSpec {
  /** Where the authority is replaced, the one that was asked for is added to `x-forwarded-host`. Default: it is not. */
  readonly forwardedHost?: true;
  /** At least one; with one the weight does not matter. */
  readonly clusters: readonly WeightedClusterSpec[];
  /** Milliseconds; 0 = none. */
  readonly timeoutMs: number;
  /**
   * gRPC requests are bounded by their own `grpc-timeout` instead of `timeoutMs`: less `offsetMs`, at most `maxMs` (0 = any).
   * @see envoy.config.route.v3.RouteAction.max_grpc_timeout
   */
  readonly grpcTimeout?: {
    readonly maxMs: number;
    readonly offsetMs: number;
    /** It bounds the whole exchange beside `timeoutMs` (`max_stream_duration`), not the wait for a response. */
    readonly wholeStream?: true;
  };
  /** Counts against the cluster's limits of priority HIGH. Default: those of DEFAULT. */
  readonly highPriority?: boolean;
  /** Milliseconds; 0 = none; undefined = the connection manager's. */
  readonly idleTimeoutMs: number | undefined;
  readonly retry: RetrySpec | undefined;
  readonly rewrite: {
    readonly prefix: string | undefined;
    /** RE2 with `\1` groups. */
    readonly regex: { readonly pattern: string; readonly substitution: string } | undefined;
    readonly host: string | undefined;
  };
  readonly mirrors: readonly MirrorSpec[];
  /** Lower-case upgrade names allowed here, e.g. `websocket`. */
  readonly upgrades: readonly string[];
  /** Status when the cluster does not exist: 503 unless the config says otherwise. */
  readonly clusterNotFoundStatus: number;
  /** What requests are counted by; with none, or with `includeVirtualHostRateLimits`, the virtual host's count. */
  readonly rateLimits?: readonly RateLimitSpec[];
  readonly includeVirtualHostRateLimits?: boolean;
  /** What clusters with a hash ring choose endpoints by; none: any endpoint. */
  readonly hashPolicies?: readonly HashPolicySpec[];
}

/** @see envoy.config.route.v3.RouteAction.HashPolicy */
export type HashPolicySpec = {
  /** When its value was found, later policies are not asked. */
  readonly terminal: boolean;
} & (
  | { readonly kind: "sourceIp" }
  /** Lower-case header name, or name of a query parameter. */
  | { readonly kind: "header" | "query"; readonly name: string }
  | {
      readonly kind: "cookie";
      readonly name: string;
      /** Undefined: no cookie is made; 0: one of the session. */
      readonly ttlSeconds: number | undefined;
      readonly path: string;
      /** An empty value is left out. */
      readonly attributes: readonly { readonly name: string; readonly value: string }[];
    }
);

/** One descriptor of a request; an action that finds nothing leaves it out. @see envoy.config.route.v3.RateLimit */
export interface RateLimitSpec {
  /** Filters look at those of their own stage only. */
  readonly stage: number;
  readonly actions: readonly RateLimitActionSpec[];
}

export type RateLimitActionSpec =
  | { readonly kind: "sourceCluster" | "destinationCluster" | "remoteAddress" }
  | {
      readonly kind: "requestHeader";
      readonly header: string;
      readonly key: string;
      /** Without the header the action adds nothing instead of leaving the descriptor out. */
      readonly skipIfAbsent: boolean;
    }
  | { readonly kind: "genericKey"; readonly key: string; readonly value: string }
  | {
      readonly kind: "headerMatch";
      readonly key: string;
      readonly value: string;
      readonly expect: boolean;
      readonly headers: readonly HeaderMatchSpec[];
    }
  | {
      readonly kind: "queryMatch";
      readonly key: string;
      readonly value: string;
      readonly expect: boolean;
      readonly query: readonly QueryMatchSpec[];
    }
  | { readonly kind: "maskedRemoteAddress"; readonly v4Bits: number; readonly v6Bits: number }
  | {
      readonly kind: "metadata";
      readonly key: string;
      readonly source: "dynamic" | "route";
      readonly namespace: string;
      readonly path: readonly string[];
      readonly fallback: string;
      readonly skipIfAbsent: boolean;
    };

export interface MirrorSpec {
  readonly cluster: string;
  /** Share of requests in [0,1]. */
  readonly fraction: number;
}

export interface RedirectSpec {
  readonly status: number;
  readonly scheme: string | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly path: string | undefined;
  readonly prefixRewrite: string | undefined;
  /** RE2 with `\\1` groups, applied to the path; absent = none. */
  readonly regexRewrite?: { readonly pattern: string; readonly substitution: string } | undefined;
  readonly stripQuery: boolean;
}

export interface RetrySpec {
  /** Extra attempts after the first. */
  readonly attempts: number;
  /** Tokens such as `connect-failure`, `5xx`, `gateway-error`, `reset`, `retriable-status-codes`. */
  readonly retryOn: readonly string[];
  readonly retriableStatusCodes: readonly number[];
  readonly perTryTimeoutMs: number;
  readonly baseIntervalMs: number;
  readonly maxIntervalMs: number;
  readonly avoidPreviousHosts: boolean;
  readonly hostSelectionMaxAttempts: number;
  /** After two attempts, priorities that were tried are left out while others have endpoints. */
  readonly avoidPreviousPriorities?: boolean;
}

/** Header changes in Envoy's order: remove, then set and append. Values may hold `%…%` command operators. */
export interface HeaderEditSpec {
  readonly set: readonly HeaderValueSpec[];
  readonly append: readonly HeaderValueSpec[];
  readonly remove: readonly string[];
}
export interface HeaderValueSpec {
  readonly name: string;
  readonly value: string;
}
export const NO_HEADER_EDITS: HeaderEditSpec = { set: [], append: [], remove: [] };
