export const GRPC_STATS = "envoy.filters.http.grpc_stats";

/** @see envoy.extensions.filters.http.grpc_stats.v3.FilterConfig */
export interface GrpcStatsConfig {
  /** Which calls are counted by their method: these (`service/method`), all, or none; the others are counted together. */
  readonly methods: readonly string[] | "all" | "none";
  /** Tell others the number of messages: metadata under the filter's name. */
  readonly emit: boolean;
  /** Measure how long upstreams take. */
  readonly upstreamTime: boolean;
  readonly replaceDots: boolean;
}
