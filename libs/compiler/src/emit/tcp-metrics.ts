import type { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import type { FilterChain, Filter as NetworkFilter } from "@lateen/proto/envoy/config/listener/v3/listener_components";
import { PluginConfig } from "@lateen/proto/istio/stats/stats";
import { TCP_PROXY } from "../lower/filters.ts";
import { metricsConfig, STATS_FILTER } from "../lower/metrics.ts";
import { typed } from "../lower/proto.ts";
import type { MetricsUse } from "../world/metrics.ts";

/**
 * The listener with the metrics filter before every proxy of bare connections. Lateen's proxies count connections anyway, so they
 * are told only what differs.
 */
export function withTcpMetrics(
  listener: Listener,
  use: MetricsUse | undefined,
  extensions: readonly string[],
): Listener {
  if (use === undefined || !extensions.includes(STATS_FILTER)) return listener;
  const filter: NetworkFilter = { name: STATS_FILTER, configType: typed(PluginConfig, metricsConfig(use)) };
  const chain = (one: FilterChain): FilterChain => {
    const last = one.filters.at(-1);
    if (last?.name !== TCP_PROXY) return one;
    return { ...one, filters: [...one.filters.slice(0, -1), filter, last] };
  };
  return {
    ...listener,
    filterChains: listener.filterChains.map(chain),
    ...(listener.defaultFilterChain === undefined ? {} : { defaultFilterChain: chain(listener.defaultFilterChain) }),
  };
}
