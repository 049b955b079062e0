import { parseExposition } from "@lateen/ports";
import { describe, expect, it } from "vitest";
import type { SeriesDefinition } from "../worker/protocol.ts";
import { expositionText } from "./exposition.ts";
import { StatsReader } from "./stats-reader.ts";

const series = (slot: number, fields: Partial<SeriesDefinition>): SeriesDefinition => ({
  slot,
  length: 1,
  name: "requests_total",
  kind: "counter",
  labels: {},
  ...fields,
});
const worker = (index: number, values: number[], definitions: SeriesDefinition[]) => ({
  worker: index,
  values: Float64Array.from(values),
  series: definitions,
});

describe("statistics of several workers", () => {
  it("are summed by name and labels, whatever their slots", () => {
    const a = worker(0, [1, 10], [series(0, { labels: { code: "200" } }), series(1, { labels: { code: "503" } })]);
    const b = worker(1, [5, 2], [series(0, { labels: { code: "503" } }), series(1, { labels: { code: "200" } })]);
    expect(parseExposition(expositionText(new StatsReader().read([a, b]), []))).toMatchObject([
      { name: "requests_total", labels: { code: "200" }, value: 3 },
      { name: "requests_total", labels: { code: "503" }, value: 15 },
    ]);
  });

  it("keep the counters of a worker that died, not its gauges", () => {
    const reader = new StatsReader();
    const definitions = [series(0, {}), series(1, { name: "active", kind: "gauge" })];
    reader.retire(worker(0, [4, 9], definitions));
    const text = expositionText(reader.read([worker(0, [1, 2], definitions)]), []);
    expect(text).toBe("# TYPE active gauge\nactive 2\n# TYPE requests_total counter\nrequests_total 5\n");
  });

  it("are not summed where all tell of one common state", () => {
    const [one, two] = [1, 0].map((value, i) =>
      worker(i, [value], [series(0, { name: "open", kind: "gauge", common: true })]),
    ) as [ReturnType<typeof worker>, ReturnType<typeof worker>];
    for (const [workers, value] of [
      [[one, one], 1],
      [[one, two], 1],
      [[two, two], 0],
    ] as const) {
      expect(expositionText(new StatsReader().read(workers), [])).toBe(`# TYPE open gauge\nopen ${value}\n`);
    }
  });

  it("write histograms with cumulative buckets, sum and count", () => {
    const histogram = series(0, { name: "ms", kind: "histogram", length: 4, bounds: [1, 5] });
    const text = expositionText(new StatsReader().read([worker(0, [2, 3, 1, 40], [histogram])]), []);
    expect(text.split("\n").slice(1, 6)).toEqual([
      'ms_bucket{le="1"} 2',
      'ms_bucket{le="5"} 5',
      'ms_bucket{le="+Inf"} 6',
      "ms_sum 40",
      "ms_count 6",
    ]);
  });

  it("escape label values so that a scraper reads them back", () => {
    const label = 'a "b"\\c\nd';
    const text = expositionText([], [{ name: "x", kind: "gauge", help: "h", labels: { label }, value: Number.NaN }]);
    expect(text.split("\n")).toHaveLength(4);
    expect(parseExposition(text)[0]?.labels).toEqual({ label });
  });
});
