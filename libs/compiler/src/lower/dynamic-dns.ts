import { durationFromMs, packAny } from "@lateen/proto";
import { Cluster_DnsLookupFamily } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterConfig } from "@lateen/proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster";
import { DnsCacheConfig } from "@lateen/proto/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache";
import { FilterConfig } from "@lateen/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy";

/** Name of the HTTP filter that resolves the host of a request before the router wants to know where it is. */
export const DYNAMIC_DNS_FILTER = "envoy.filters.http.dynamic_forward_proxy";

const REFRESH_MS = 60_000;

/** One cache for all: Envoy asks that filter and clusters describe it in the same words. */
const cache = DnsCacheConfig.fromPartial({
  name: "dynamic_dns",
  dnsLookupFamily: Cluster_DnsLookupFamily.V4_ONLY,
  dnsRefreshRate: durationFromMs(REFRESH_MS),
});

/** How a cluster finds the host that each request is for. */
export function dynamicDnsDiscovery() {
  const config = ClusterConfig.fromPartial({
    clusterImplementationSpecifier: { $case: "dnsCacheConfig", value: cache },
  });
  return {
    $case: "clusterType" as const,
    value: { name: "envoy.clusters.dynamic_forward_proxy", typedConfig: packAny(ClusterConfig, config) },
  };
}

/** Settings of {@link DYNAMIC_DNS_FILTER}. */
export function dynamicDnsFilter(): FilterConfig {
  return FilterConfig.fromPartial({ implementationSpecifier: { $case: "dnsCacheConfig", value: cache } });
}
