import { parseExposition } from "@lateen/ports";
import { describe, expect, it } from "vitest";
import { createRegistry, OVERFLOW } from "./index.ts";

describe("exposition", () => {
  it("prints counters, gauges and histograms as Prometheus reads them", () => {
    const registry = createRegistry();
    registry.counter({ name: "a_total", help: 'one\nline "and" \\', labels: ["x", "y"] }).add({ x: 'q"\\\n' }, 2);
    registry.gauge({ name: "b", help: "B" }).set(-1.5);
    const histogram = registry.histogram({ name: "c", help: "C", labels: ["z"], buckets: [1, 5] });
    for (const value of [0.5, 1, 3, 9]) histogram.observe(value, { z: "k" });
    expect(registry.exposition()).toBe(
      [
        '# HELP a_total one\\nline "and" \\\\',
        "# TYPE a_total counter",
        'a_total{x="q\\"\\\\\\n",y=""} 2',
        "# HELP b B",
        "# TYPE b gauge",
        "b -1.5",
        "# HELP c C",
        "# TYPE c histogram",
        'c_bucket{z="k",le="1"} 2',
        'c_bucket{z="k",le="5"} 3',
        'c_bucket{z="k",le="+Inf"} 4',
        'c_sum{z="k"} 13.5',
        'c_count{z="k"} 4',
        "",
      ].join("\n"),
    );
  });

  it("shows a counter without labels at zero, and one with labels only once it counted", () => {
    const registry = createRegistry();
    registry.counter({ name: "plain_total", help: "h" });
    registry.counter({ name: "labelled_total", help: "h", labels: ["l"] });
    expect(parseExposition(registry.exposition())).toEqual([{ name: "plain_total", labels: {}, value: 0 }]);
  });

  it.each([
    ["a negative amount", -1],
    ["NaN", Number.NaN],
  ])("does not let a counter move by %s", (_, amount) => {
    const registry = createRegistry();
    const counter = registry.counter({ name: "a_total", help: "h" });
    counter.add({}, 3);
    counter.add({}, amount);
    expect(registry.exposition()).toContain("\na_total 3\n");
  });

  it("forgets a removed gauge series", () => {
    const registry = createRegistry();
    const gauge = registry.gauge({ name: "g", help: "h", labels: ["l"] });
    gauge.set(1, { l: "a" });
    gauge.set(2, { l: "b" });
    gauge.remove({ l: "a" });
    expect(parseExposition(registry.exposition())).toEqual([{ name: "g", labels: { l: "b" }, value: 2 }]);
  });
});

describe("the bound on series", () => {
  it("keeps totals exact and counts what it could not tell apart", () => {
    const registry = createRegistry({ maxSeries: 10 });
    const counter = registry.counter({ name: "hosts_total", help: "h", labels: ["host"] });
    for (let round = 0; round < 2; round++) for (let i = 0; i < 1000; i++) counter.add({ host: `h${i}` });
    const samples = parseExposition(registry.exposition());
    const hosts = samples.filter(({ name }) => name === "hosts_total");
    expect(hosts).toHaveLength(11);
    expect(hosts.reduce((sum, { value }) => sum + value, 0)).toBe(2000);
    expect(hosts.find(({ labels }) => labels.host === OVERFLOW)?.value).toBe(1980);
    expect(samples.at(-1)).toEqual({
      name: "lateen_metric_series_overflow_total",
      labels: { metric: "hosts_total" },
      value: 1980,
    });
  });

  it("does not mix label values that join to the same text", () => {
    const registry = createRegistry();
    const counter = registry.counter({ name: "a_total", help: "h", labels: ["x", "y"] });
    counter.add({ x: "a", y: "b,c" });
    counter.add({ x: "a,b", y: "c" });
    expect(parseExposition(registry.exposition())).toHaveLength(2);
  });
});

describe("declarations", () => {
  it("gives the same metric for the same declaration", () => {
    const registry = createRegistry();
    const spec = { name: "a_total", help: "h", labels: ["l"] };
    expect(registry.counter(spec)).toBe(registry.counter({ ...spec }));
  });

  it.each([
    ["a bad name", { name: "a-b", help: "h" }],
    ["a bad label", { name: "a", help: "h", labels: ["x-y"] }],
    ["a reserved label", { name: "a", help: "h", labels: ["__x"] }],
    ["a label twice", { name: "a", help: "h", labels: ["x", "x"] }],
    ["other labels than before", { name: "known", help: "h", labels: ["y"] }],
  ])("refuses %s", (_, spec) => {
    const registry = createRegistry();
    registry.gauge({ name: "known", help: "h", labels: ["x"] });
    expect(() => registry.gauge(spec)).toThrow(expect.objectContaining({ code: "LTN8001" }));
  });

  it.each([
    ["descending buckets", { labels: [], buckets: [2, 1] }],
    ["an infinite bucket", { labels: [], buckets: [1, Infinity] }],
    ["a label le", { labels: ["le"], buckets: [1] }],
  ])("refuses a histogram with %s", (_, spec) => {
    expect(() => createRegistry().histogram({ name: "h", help: "h", ...spec })).toThrow(
      expect.objectContaining({ code: "LTN8001" }),
    );
  });
});
