import type { HostLimits } from "../common/descriptors.ts";
import type { GrpcServiceSpec } from "../common/grpc-call.ts";
import type { HeaderMutation } from "../common/header-mutations.ts";

export const RATE_LIMIT = "envoy.filters.http.ratelimit";

/** @see envoy.extensions.filters.http.ratelimit.v3.RateLimit */
export interface RateLimitConfig {
  readonly service: GrpcServiceSpec;
  readonly domain: string;
  readonly stage: number;
  /** Requests that the service could not judge are refused, with this status. */
  readonly failureModeDeny: boolean;
  readonly statusOnError: number;
  readonly status: number;
  readonly grpcStatus: number;
  readonly xRateLimitHeaders: boolean;
  /** Mark refusals with `x-envoy-ratelimited`. */
  readonly markRefusals: boolean;
  /** Of refusals. */
  readonly responseHeaders: readonly HeaderMutation[];
  readonly statPrefix: string;
}

/** @see envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute */
export interface RateLimitRouteConfig {
  readonly hostLimits: HostLimits;
  /** Empty: the filter's. */
  readonly domain: string;
}
