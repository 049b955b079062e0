import type { StringMatchSpec } from "@lateen/traffic";

export const CORS = "envoy.filters.http.cors";

/** What a route allows scripts of other origins. @see envoy.extensions.filters.http.cors.v3.CorsPolicy */
export interface CorsConfig {
  /** An origin must match one of these. */
  readonly origins: readonly StringMatchSpec[];
  /** Values of the response headers, empty: not sent. */
  readonly methods: string;
  readonly headers: string;
  readonly exposed: string;
  /** Seconds. */
  readonly maxAge: string;
  readonly credentials: boolean;
  /** Share of requests in [0,1] that the policy is applied to. */
  readonly fraction: number;
  /** Preflights of other origins go on to the upstream instead of being answered here. */
  readonly forwardUnmatched: boolean;
  readonly privateNetwork: boolean;
}
