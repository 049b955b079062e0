import { type Cluster, Cluster_LbPolicy as LbPolicy } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import { ClusterConfig } from "@lateen/proto/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster";
import type { DnsCacheConfig } from "@lateen/proto/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache";
import type { ClusterSpec, DnsRules, DynamicHostsSpec } from "../plan.ts";
import { unpack } from "./any.ts";
import { dnsServers, failureRate, familyOf } from "./dns.ts";
import { join, millis, onlyFields, refuse } from "./fields.ts";

/** Envoy's, for what is not set. */
const REFRESH_MS = 60_000;
const MIN_REFRESH_MS = 5000;
const HOST_TTL_MS = 300_000;
const QUERY_TIMEOUT_MS = 5000;
const MAX_HOSTS = 1024;
const MAX_PENDING = 1024;

export const DYNAMIC_FORWARD_CLUSTER = "envoy.clusters.dynamic_forward_proxy";

/** Settings of clusters whose hosts are those of the requests; nothing for others. */
export function dynamicHosts(cluster: Cluster): Pick<ClusterSpec, "dns" | "dynamicHosts"> {
  const type = cluster.clusterDiscoveryType;
  if (type?.$case !== "clusterType") return {};
  const at = "cluster_type.typed_config";
  const config = unpack(type.value.typedConfig, ClusterConfig, at);
  onlyFields(config, at, ["clusterImplementationSpecifier"]);
  const cache = config.clusterImplementationSpecifier;
  if (cache?.$case !== "dnsCacheConfig") return refuse(at, "only dns_cache_config is supported by this proxy");
  if (cluster.lbPolicy !== LbPolicy.CLUSTER_PROVIDED) refuse("lb_policy", "must be CLUSTER_PROVIDED");
  return dnsCache(cache.value, join(at, "dns_cache_config"));
}

/** @see envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig */
export function dnsCache(
  cache: DnsCacheConfig,
  at: string,
): { readonly dns: DnsRules; readonly dynamicHosts: DynamicHostsSpec } {
  onlyFields(cache, at, [
    "name",
    "dnsLookupFamily",
    "dnsRefreshRate",
    "dnsMinRefreshRate",
    "hostTtl",
    "maxHosts",
    "dnsFailureRefreshRate",
    "dnsCacheCircuitBreaker",
    "dnsResolutionConfig",
    "dnsQueryTimeout",
  ]);
  if (cache.name === "") refuse(join(at, "name"), "required");
  const breaker = cache.dnsCacheCircuitBreaker;
  if (breaker !== undefined) onlyFields(breaker, join(at, "dns_cache_circuit_breaker"), ["maxPendingRequests"]);
  const positive = (value: number, field: string): number =>
    value >= 1 ? value : refuse(join(at, field), "must be greater than 0");
  return {
    dns: {
      refreshMs: positive(millis(cache.dnsRefreshRate, REFRESH_MS, join(at, "dns_refresh_rate")), "dns_refresh_rate"),
      respectTtl: true,
      failure: failureRate(cache.dnsFailureRefreshRate, join(at, "dns_failure_refresh_rate")),
      family: familyOf(cache.dnsLookupFamily, join(at, "dns_lookup_family")),
      ...dnsServers(cache.dnsResolutionConfig, [], at),
    },
    dynamicHosts: {
      minRefreshMs: millis(cache.dnsMinRefreshRate, MIN_REFRESH_MS, join(at, "dns_min_refresh_rate")),
      hostTtlMs: positive(millis(cache.hostTtl, HOST_TTL_MS, join(at, "host_ttl")), "host_ttl"),
      queryTimeoutMs: millis(cache.dnsQueryTimeout, QUERY_TIMEOUT_MS, join(at, "dns_query_timeout")),
      maxHosts: positive(cache.maxHosts ?? MAX_HOSTS, "max_hosts"),
      maxPending: breaker?.maxPendingRequests ?? MAX_PENDING,
    },
  };
}
