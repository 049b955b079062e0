import type { LabelValues } from "./series.ts";
import { SeriesTable } from "./series.ts";
import { type ExpositionLabels, formatValue, sampleLine } from "./text-format.ts";

export interface MetricSpec {
  /** With unit and, for counters, `_total`: `pilot_xds_pushes_total`. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  /** Series of this metric; default the registry's. */
  readonly maxSeries?: number;
}

export interface HistogramSpec extends MetricSpec {
  /** Upper bounds, ascending, without +Inf. */
  readonly buckets: readonly number[];
}

/** What the registry needs of each metric. */
export interface Metric {
  readonly spec: MetricSpec;
  readonly type: "counter" | "gauge" | "histogram";
  readonly overflowed: number;
  /** Sample lines, each ending in a newline. */
  lines(): string;
}

interface Cell {
  value: number;
}

/** Only grows. */
export class Counter implements Metric {
  readonly type = "counter";
  readonly spec: MetricSpec;
  readonly #series: SeriesTable<Cell>;

  constructor(spec: MetricSpec, maxSeries: number) {
    this.spec = spec;
    this.#series = new SeriesTable(spec.labels ?? [], maxSeries, () => ({ value: 0 }));
    // A counter without labels is there, at zero, from the start; so a rate over it has no gap.
    if (this.#series.labelNames.length === 0) this.#series.of({});
  }

  /** Negative amounts and NaN are ignored: a counter that falls reads as a restart. */
  add(labels: LabelValues = {}, amount = 1): void {
    if (amount >= 0) this.#series.of(labels).value += amount;
  }

  get overflowed(): number {
    return this.#series.overflowed;
  }

  lines(): string {
    return simpleLines(this.spec.name, this.#series);
  }
}

export class Gauge implements Metric {
  readonly type = "gauge";
  readonly spec: MetricSpec;
  readonly #series: SeriesTable<Cell>;

  constructor(spec: MetricSpec, maxSeries: number) {
    this.spec = spec;
    this.#series = new SeriesTable(spec.labels ?? [], maxSeries, () => ({ value: 0 }));
  }

  set(value: number, labels: LabelValues = {}): void {
    this.#series.of(labels).value = value;
  }

  add(amount: number, labels: LabelValues = {}): void {
    this.#series.of(labels).value += amount;
  }

  /** Forgets a series. */
  remove(labels: LabelValues): void {
    this.#series.remove(labels);
  }

  get overflowed(): number {
    return this.#series.overflowed;
  }

  lines(): string {
    return simpleLines(this.spec.name, this.#series);
  }
}

interface HistogramCell {
  /** One per bucket, not cumulated; the last is +Inf. */
  readonly counts: Float64Array;
  sum: number;
}

export class Histogram implements Metric {
  readonly type = "histogram";
  readonly spec: HistogramSpec;
  readonly #series: SeriesTable<HistogramCell>;

  constructor(spec: HistogramSpec, maxSeries: number) {
    this.spec = spec;
    const size = spec.buckets.length + 1;
    this.#series = new SeriesTable(spec.labels ?? [], maxSeries, () => ({ counts: new Float64Array(size), sum: 0 }));
  }

  observe(value: number, labels: LabelValues = {}): void {
    if (Number.isNaN(value)) return;
    const { buckets } = this.spec;
    let low = 0;
    let high = buckets.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= (buckets[middle] ?? Number.POSITIVE_INFINITY)) high = middle;
      else low = middle + 1;
    }
    const cell = this.#series.of(labels);
    cell.counts[low] = (cell.counts[low] ?? 0) + 1;
    cell.sum += value;
  }

  get overflowed(): number {
    return this.#series.overflowed;
  }

  lines(): string {
    const { name, buckets } = this.spec;
    let text = "";
    for (const [values, cell] of this.#series.entries()) {
      const labels: ExpositionLabels = this.#series.labelNames.map((label, i) => [label, values[i] ?? ""]);
      let count = 0;
      for (const [i, inBucket] of cell.counts.entries()) {
        count += inBucket;
        const bound = formatValue(buckets[i] ?? Number.POSITIVE_INFINITY);
        text += sampleLine(`${name}_bucket`, [...labels, ["le", bound]], count);
      }
      text += sampleLine(`${name}_sum`, labels, cell.sum) + sampleLine(`${name}_count`, labels, count);
    }
    return text;
  }
}

function simpleLines(name: string, series: SeriesTable<Cell>): string {
  let text = "";
  for (const [values, { value }] of series.entries()) {
    text += sampleLine(
      name,
      series.labelNames.map((label, i) => [label, values[i] ?? ""]),
      value,
    );
  }
  return text;
}
