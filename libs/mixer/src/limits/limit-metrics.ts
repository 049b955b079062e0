import { type Counter, createRegistry, type Gauge, type Histogram, type MetricRegistry } from "@lateen/telemetry";

/** What the rate-limit service exports, declared as data. */
export interface LimitMetrics {
  readonly registry: MetricRegistry;
  /** By answer: `ok`, `over_limit`, `error`. */
  readonly requests: Counter;
  readonly hits: Counter;
  readonly within: Counter;
  readonly over: Counter;
  readonly near: Counter;
  readonly shadow: Counter;
  /** By reason. */
  readonly storeErrors: Counter;
  /** Requests that were answered without the store. */
  readonly undecided: Counter;
  /** Seconds from when a request came in to its answer; `by` what decided: `store`, `mode` (the fail mode) or `rules` (nothing is limited). */
  readonly seconds: Histogram;
  readonly storeUp: Gauge;
  readonly domains: Gauge;
  readonly rejected: Gauge;
}

/** Around the 15 and 20 milliseconds that Redis and mixer are given. */
const SECONDS = [0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.014, 0.016, 0.018, 0.02, 0.025, 0.05, 0.1, 0.5];
const RULE = ["domain", "descriptor"];

export function createLimitMetrics(maxSeries: number): LimitMetrics {
  const registry = createRegistry({ maxSeries });
  const counter = (name: string, help: string, labels: readonly string[] = RULE) =>
    registry.counter({ name: `mixer_ratelimit_${name}`, help, labels });
  const gauge = (name: string, help: string) => registry.gauge({ name: `mixer_ratelimit_${name}`, help });
  const metrics: LimitMetrics = {
    registry,
    requests: counter("requests_total", "Requests of proxies, by answer.", ["answer"]),
    hits: counter("hits_total", "Hits that counted against a limit."),
    within: counter("within_limit_total", "Hits within their limit."),
    over: counter("over_limit_total", "Hits over their limit, also of limits in shadow mode."),
    near: counter("near_limit_total", "Hits within their limit when more than 80 % of it was used."),
    shadow: counter("shadow_mode_total", "Hits over their limit that passed because of shadow mode."),
    storeErrors: counter("store_errors_total", "Questions that the quota store did not answer, by reason.", ["reason"]),
    undecided: counter("undecided_total", "Requests answered by the fail mode.", ["mode"]),
    seconds: registry.histogram({
      name: "mixer_ratelimit_decision_seconds",
      help: "Time from when a request came in to its answer, by what decided.",
      labels: ["by"],
      buckets: SECONDS,
    }),
    storeUp: gauge("store_up", "1 while the quota store is asked, 0 while its breaker is open."),
    domains: gauge("domains", "Domains whose limits are in force."),
    rejected: gauge("rejected_documents", "Configurations that are not in force because of an error."),
  };
  metrics.storeUp.set(1);
  metrics.domains.set(0);
  metrics.rejected.set(0);
  return metrics;
}

/** Share of a limit above which hits are near it. */
const NEAR = 0.8;

/** How many of the hits that were granted lie beyond the near share. */
export function hitsNearLimit(max: number, remaining: number, granted: number): number {
  const after = max - remaining;
  const before = after - granted;
  return Math.max(0, after - Math.max(before, Math.floor(max * NEAR)));
}
