import { typeUrl } from "@lateen/proto";
import { PluginConfig } from "@lateen/proto/istio/stats/stats";
import { Refusal } from "@lateen/proxy";
import type { StatsConfig } from "./stats.ts";

export const STATS_TYPE = typeUrl(PluginConfig);

/** Customised metrics are refused: counting them under standard names would mislead. */
export function decodeStats(bytes: Uint8Array): StatsConfig {
  if (bytes.length > 0) throw new Refusal("metrics", "only the standard metrics are supported by this proxy");
  return {};
}
