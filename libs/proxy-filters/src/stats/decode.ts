import { typeUrl } from "@lateen/proto";
import { PluginConfig } from "@lateen/proto/istio/stats/stats";
import { metricsSpec } from "@lateen/proxy";
import type { StatsConfig } from "./stats.ts";

export const STATS_TYPE = typeUrl(PluginConfig);

/** Metrics of one's own are refused: this filter makes the standard ones, in the form that is asked for. */
export function decodeStats(bytes: Uint8Array): StatsConfig {
  return metricsSpec(bytes, "");
}
