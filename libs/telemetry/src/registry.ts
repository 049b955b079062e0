import { metricDeclarationError } from "./errors.ts";
import { Counter, Gauge, Histogram, type HistogramSpec, type Metric, type MetricSpec } from "./metrics.ts";
import { headLines, sampleLine } from "./text-format.ts";

export interface RegistryOptions {
  /** Series per metric before further label values share one. Default 1000. */
  readonly maxSeries?: number;
}

/** The metrics of one component. */
export interface MetricRegistry {
  /** Declaring a name again with the same labels gives the same metric; otherwise throws LTN8001. */
  counter(spec: MetricSpec): Counter;
  gauge(spec: MetricSpec): Gauge;
  histogram(spec: HistogramSpec): Histogram;
  /** Prometheus text (format 0.0.4); serve it as EXPOSITION_CONTENT_TYPE. */
  exposition(): string;
}

/** Buckets of Istio's request duration and size histograms: Envoy's defaults, in milliseconds or bytes. */
export const ISTIO_BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const OVERFLOW_METRIC = "lateen_metric_series_overflow_total";

/** An empty registry. Metrics appear in the order in which they are declared. */
export function createRegistry(options: RegistryOptions = {}): MetricRegistry {
  const maxSeries = options.maxSeries ?? 1000;
  const metrics = new Map<string, Metric>();

  function declare<M extends Metric>(spec: MetricSpec, type: M["type"], make: (limit: number) => M): M {
    checkNames(spec, type);
    const known = metrics.get(spec.name);
    if (known) {
      if (known.type === type && sameShape(known.spec, spec)) return known as M;
      throw metricDeclarationError(spec.name, "is already declared with another type or other labels");
    }
    const metric = make(spec.maxSeries ?? maxSeries);
    metrics.set(spec.name, metric);
    return metric;
  }

  return {
    counter: (spec) => declare(spec, "counter", (limit) => new Counter(spec, limit)),
    gauge: (spec) => declare(spec, "gauge", (limit) => new Gauge(spec, limit)),
    histogram: (spec) => declare(spec, "histogram", (limit) => new Histogram(spec, limit)),
    exposition() {
      let text = "";
      let overflow = "";
      for (const metric of metrics.values()) {
        text += headLines(metric.spec.name, metric.type, metric.spec.help) + metric.lines();
        if (metric.overflowed > 0) {
          overflow += sampleLine(OVERFLOW_METRIC, [["metric", metric.spec.name]], metric.overflowed);
        }
      }
      const help = "Updates of label values beyond a metric's bound on series; they count in the series __overflow__.";
      return overflow === "" ? text : text + headLines(OVERFLOW_METRIC, "counter", help) + overflow;
    },
  };
}

function checkNames(spec: MetricSpec, type: Metric["type"]): void {
  if (!NAME.test(spec.name)) throw metricDeclarationError(spec.name, "is not a metric name");
  for (const label of spec.labels ?? []) {
    if (!LABEL.test(label) || label.startsWith("__") || (type === "histogram" && label === "le")) {
      throw metricDeclarationError(spec.name, `"${label}" is not a label name`);
    }
  }
  if (new Set(spec.labels).size !== (spec.labels?.length ?? 0)) {
    throw metricDeclarationError(spec.name, "has a label twice");
  }
  if (type !== "histogram") return;
  const { buckets } = spec as HistogramSpec;
  const ascending = buckets.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > (buckets[i - 1] ?? 0)));
  if (!ascending) throw metricDeclarationError(spec.name, "buckets must ascend and be finite");
}

function sameShape(a: MetricSpec, b: MetricSpec): boolean {
  const shape = (spec: MetricSpec) => JSON.stringify([spec.labels ?? [], "buckets" in spec ? spec.buckets : []]);
  return shape(a) === shape(b);
}
