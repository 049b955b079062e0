import type { SeriesDefinition } from "../worker/protocol.ts";
import type { WorkerStats } from "./worker-pool.ts";

/** One series summed over all workers, living and dead. */
export interface SummedSeries {
  readonly definition: SeriesDefinition;
  readonly values: Float64Array;
}

/**
 * Reads the counters of the data path. Nothing is copied until someone asks; counters of a worker that died are kept, so that a
 * restart does not make them fall.
 */
export class StatsReader {
  readonly #retired = new Map<string, SummedSeries>();

  /** Takes over the counters of a worker that is gone. Gauges end with it. */
  retire(stats: WorkerStats): void {
    add(this.#retired, { ...stats, series: stats.series.filter(({ kind }) => kind !== "gauge") });
  }

  /** All series by metric name, in a stable order. */
  read(workers: readonly WorkerStats[]): readonly SummedSeries[] {
    const sums = new Map<string, SummedSeries>();
    for (const [key, { definition, values }] of this.#retired) sums.set(key, { definition, values: values.slice() });
    for (const worker of workers) add(sums, worker);
    return [...sums].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, series]) => series);
  }
}

function add(sums: Map<string, SummedSeries>, { values, series }: WorkerStats): void {
  for (const definition of series) {
    const key = keyOf(definition);
    const sum = sums.get(key) ?? { definition, values: new Float64Array(definition.length) };
    for (let i = 0; i < definition.length; i++) {
      const [before, own] = [sum.values[i] ?? 0, values[definition.slot + i] ?? 0];
      sum.values[i] = definition.common === true ? Math.max(before, own) : before + own;
    }
    sums.set(key, sum);
  }
}

function keyOf(series: SeriesDefinition): string {
  const labels = Object.entries(series.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  // The separator sorts before every letter, so that one metric's series stay together.
  return `${series.name}\u0000${labels.map(([name, value]) => `${name}=${value}`).join("\u0000")}`;
}
