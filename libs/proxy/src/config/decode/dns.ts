import { isIP } from "node:net";
import {
  type Cluster,
  type Cluster_RefreshRate,
  Cluster_DnsLookupFamily as Family,
} from "@lateen/proto/envoy/config/cluster/v3/cluster";
import type { Address } from "@lateen/proto/envoy/config/core/v3/address";
import type { DnsResolutionConfig } from "@lateen/proto/envoy/config/core/v3/resolver";
import type { DnsFamily } from "../../io/resolver.ts";
import type { ClusterSpec, DnsRules } from "../plan.ts";
import { join, millis, onlyFields, optionalMs, refuse } from "./fields.ts";

/** Envoy's default, when a cluster says nothing. */
const REFRESH_MS = 5000;

/** Settings of clusters whose endpoints are host names; other clusters may carry them without effect, as in Envoy. */
export function dnsRules(cluster: Cluster, discovery: ClusterSpec["discovery"]): { readonly dns?: DnsRules } {
  if (discovery !== "strictDns" && discovery !== "logicalDns") return {};
  if (discovery === "logicalDns") oneEndpoint(cluster);
  const refreshMs = millis(cluster.dnsRefreshRate, REFRESH_MS, "dns_refresh_rate");
  if (refreshMs < 1) refuse("dns_refresh_rate", "must be at least 1 ms");
  return {
    dns: {
      refreshMs,
      respectTtl: cluster.respectDnsTtl,
      failure: failureRate(cluster.dnsFailureRefreshRate, "dns_failure_refresh_rate"),
      family: familyOf(cluster.dnsLookupFamily, "dns_lookup_family"),
      ...dnsServers(cluster.dnsResolutionConfig, cluster.dnsResolvers, ""),
    },
  };
}

export function familyOf(family: Family, at: string): DnsFamily {
  switch (family) {
    case Family.AUTO:
      return "auto";
    case Family.V4_ONLY:
      return "v4only";
    case Family.V6_ONLY:
      return "v6only";
    case Family.V4_PREFERRED:
      return "v4preferred";
    case Family.ALL:
      return "all";
    default:
      return refuse(at, `${family} is not a lookup family`);
  }
}

/** A logical host is one host. */
function oneEndpoint({ loadAssignment }: Cluster): void {
  const groups = loadAssignment?.endpoints ?? [];
  if (groups.length === 1 && groups[0]?.lbEndpoints.length === 1) return;
  refuse("load_assignment", "a LOGICAL_DNS cluster has exactly one locality with one endpoint");
}

/** Intervals after failures; undefined: those after answers. */
export function failureRate(rate: Cluster_RefreshRate | undefined, at: string): DnsRules["failure"] {
  if (rate === undefined) return undefined;
  const baseMs = optionalMs(rate.baseInterval, `${at}.base_interval`) ?? refuse(`${at}.base_interval`, "required");
  if (baseMs < 1) refuse(`${at}.base_interval`, "must be at least 1 ms");
  const maxMs = millis(rate.maxInterval, baseMs * 10, `${at}.max_interval`);
  if (maxMs < baseMs) refuse(`${at}.max_interval`, "must not be less than base_interval");
  return { baseMs, maxMs };
}

/** Servers that are asked instead of the system's. @param listed the older way to name them. */
export function dnsServers(
  config: DnsResolutionConfig | undefined,
  listed: readonly Address[],
  at: string,
): Pick<DnsRules, "servers" | "exact"> {
  const where = join(at, config === undefined ? "dns_resolvers" : "dns_resolution_config");
  const options = config?.dnsResolverOptions;
  if (options?.useTcpForDnsLookups) {
    refuse(join(where, "dns_resolver_options.use_tcp_for_dns_lookups"), "not supported by this proxy");
  }
  const servers = (config?.resolvers ?? listed).map((address) => server(address, where));
  return {
    ...(servers.length > 0 ? { servers } : {}),
    ...(options?.noDefaultSearchDomain === true ? { exact: true } : {}),
  };
}

const DNS_PORT = 53;

function server({ address }: Address, at: string): string {
  if (address?.$case !== "socketAddress") return refuse(at, "must be a socket_address");
  onlyFields(address.value, at, ["address", "portSpecifier", "protocol"]);
  const port = address.value.portSpecifier;
  if (isIP(address.value.address) === 0) refuse(at, `"${address.value.address}" is not an IP address`);
  if (port?.$case === "namedPort") refuse(at, "named_port is not supported by this proxy");
  const number = port?.$case === "portValue" && port.value !== 0 ? port.value : DNS_PORT;
  return `${isIP(address.value.address) === 6 ? `[${address.value.address}]` : address.value.address}:${number}`;
}
