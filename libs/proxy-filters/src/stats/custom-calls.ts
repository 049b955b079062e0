import { CustomMetrics, type Exchange, type FilterContext, type FilterStats, type MetricsSpec } from "@lateen/proxy";
import type { CallSeries, Outcome } from "./series.ts";
import { outcomeLabels } from "./series.ts";

/** Metrics of requests, without `istio_`. */
const METRICS = ["requests_total", "request_duration_milliseconds", "request_bytes", "response_bytes"] as const;
type Metric = (typeof METRICS)[number];
/** Slot of each metric; -1: it is not reported. */
type Slots = Readonly<Record<Metric, number>>;

/** Combinations that are remembered; beyond it series are looked up anew, which only costs time. */
const MAX_REMEMBERED = 4096;
/** Configurations whose memory is kept in one worker: those of both directions, and of what comes before and after a change. */
const MAX_CONFIGURATIONS = 8;

/** Requests counted as a configuration wants it: fewer metrics, fewer labels, labels of one's own. */
export class CustomCalls {
  readonly #stats: FilterStats;
  readonly #metrics: CustomMetrics;
  readonly #known = new Map<string, Slots>();

  constructor(spec: MetricsSpec, stats: FilterStats) {
    this.#stats = stats;
    this.#metrics = new CustomMetrics(spec, METRICS);
  }

  record(exchange: Exchange, { labels: parties }: CallSeries, outcome: Outcome): void {
    const values = this.#metrics.values(exchange.facts);
    const standard = { ...parties, ...outcomeLabels(outcome) };
    const key = [...Object.values(standard), ...values].join("\0");
    const slots = this.#known.get(key) ?? this.#define(key, standard, values);
    const { durationMs, requestBytes, responseBytes } = exchange.summary;
    if (slots.requests_total >= 0) this.#stats.add(slots.requests_total, 1);
    this.#observe(slots.request_duration_milliseconds, durationMs);
    this.#observe(slots.request_bytes, requestBytes);
    this.#observe(slots.response_bytes, responseBytes);
  }

  #observe(slot: number, value: number): void {
    if (slot >= 0) this.#stats.observe(slot, value);
  }

  #define(key: string, standard: Readonly<Record<string, string>>, values: readonly string[]): Slots {
    const slot = (metric: Metric): number => {
      if (this.#metrics.dropped(metric)) return -1;
      const labels = this.#metrics.labels(metric, standard, values);
      return metric === "requests_total"
        ? this.#stats.counter(`istio_${metric}`, labels)
        : this.#stats.histogram(`istio_${metric}`, labels);
    };
    const slots: Slots = {
      requests_total: slot("requests_total"),
      request_duration_milliseconds: slot("request_duration_milliseconds"),
      request_bytes: slot("request_bytes"),
      response_bytes: slot("response_bytes"),
    };
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
    this.#known.set(key, slots);
    return slots;
  }
}

/** Chains of one configuration count together. */
export function customCallsOf(spec: MetricsSpec, context: FilterContext): CustomCalls {
  const all = context.shared("istio.stats custom", () => new Map<string, CustomCalls>());
  const key = JSON.stringify(spec.changes);
  const made = all.get(key) ?? new CustomCalls(spec, context.stats);
  all.delete(key);
  all.set(key, made);
  for (const oldest of all.keys()) if (all.size > MAX_CONFIGURATIONS) all.delete(oldest);
  return made;
}
