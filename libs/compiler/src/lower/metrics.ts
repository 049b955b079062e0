import { durationFromMs } from "@lateen/proto";
import { type MetricConfig, PluginConfig } from "@lateen/proto/istio/stats/stats";
import type { MetricChange, MetricsUse } from "../world/metrics.ts";
import { sortedRecord } from "./proto.ts";
import { milliseconds } from "./traffic-policy.ts";

/** Name of the filter that makes the standard metrics. */
export const STATS_FILTER = "istio.stats";
/** How many standard metrics there are: changes to all of them are said once. */
const STANDARD = 10;

/** Configuration of the filter that makes the standard metrics. */
export function metricsConfig(use: MetricsUse | undefined): PluginConfig {
  if (use === undefined) return PluginConfig.fromPartial({});
  if (use === "off") return PluginConfig.fromPartial({ metrics: [{ drop: true }] });
  const { changes, reportingInterval } = use;
  return PluginConfig.fromPartial({
    metrics: merged(changes.map(metricConfig)),
    ...(reportingInterval === undefined
      ? {}
      : { tcpReportingDuration: durationFromMs(milliseconds(reportingInterval)) }),
  });
}

function metricConfig({ metric, disabled, tags }: MetricChange): MetricConfig {
  const set = Object.entries(tags).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  return {
    name: metric,
    dimensions: sortedRecord(Object.fromEntries(set)),
    tagsToRemove: Object.keys(tags)
      .filter((name) => tags[name] === undefined)
      .sort(),
    match: "",
    drop: disabled,
  };
}

function merged(configs: readonly MetricConfig[]): MetricConfig[] {
  const [first] = configs;
  if (first === undefined || configs.length < STANDARD) return [...configs];
  const texts = new Set(configs.map(({ name: _, ...rest }) => JSON.stringify(rest)));
  return texts.size === 1 ? [{ ...first, name: "" }] : [...configs];
}
