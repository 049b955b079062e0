import type { BucketSpec } from "@lateen/traffic";
import type { DescriptorEntry, HostLimits } from "../common/descriptors.ts";
import type { HeaderMutation } from "../common/header-mutations.ts";

export const LOCAL_RATE_LIMIT = "envoy.filters.http.local_ratelimit";

/** @see envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit */
export interface LocalRateLimitConfig {
  readonly statPrefix: string;
  /** Undefined: nothing is limited. */
  readonly bucket: BucketSpec | undefined;
  readonly descriptors: readonly { readonly entries: readonly DescriptorEntry[]; readonly bucket: BucketSpec }[];
  /** Shares in [0,1] of requests that are counted, and of those over the limit that are refused. */
  readonly enabled: number;
  readonly enforced: number;
  readonly status: number;
  readonly grpcStatus: number;
  /** For requests that are over the limit and go on all the same. */
  readonly requestHeaders: readonly HeaderMutation[];
  /** Of refusals. */
  readonly responseHeaders: readonly HeaderMutation[];
  readonly stage: number;
  readonly perConnection: boolean;
  /** Tell clients what is left (draft 03 of the RateLimit headers). */
  readonly xRateLimitHeaders: boolean;
  readonly hostLimits: HostLimits;
  /** Requests that a descriptor stands for count against the general bucket as well. */
  readonly alwaysDefault: boolean;
}
