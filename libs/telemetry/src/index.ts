export type { Counter, Gauge, Histogram, HistogramSpec, MetricSpec } from "./metrics.ts";
export { createRegistry, ISTIO_BUCKETS, type MetricRegistry, type RegistryOptions } from "./registry.ts";
export { type LabelValues, OVERFLOW } from "./series.ts";
export { EXPOSITION_CONTENT_TYPE } from "./text-format.ts";
