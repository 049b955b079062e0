import type { HeaderMatchSpec } from "@lateen/traffic";

export const HEALTH_CHECK = "envoy.filters.http.health_check";

/** @see envoy.extensions.filters.http.health_check.v3.HealthCheck */
export interface HealthCheckConfig {
  /** Health checks go on to the application, unless this proxy is about to end or a recent answer may be repeated. */
  readonly passThrough: boolean;
  /** Milliseconds that an answer of the application is repeated for; 0 = not at all. */
  readonly cacheMs: number;
  /** Share of endpoints, 0–100, of each cluster that must be healthy. */
  readonly clusters: Readonly<Record<string, number>>;
  /** Requests that match all of them are health checks. */
  readonly headers: readonly HeaderMatchSpec[];
}
