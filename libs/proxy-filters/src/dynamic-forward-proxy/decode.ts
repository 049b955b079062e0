import { typeUrl } from "@lateen/proto";
import { FilterConfig } from "@lateen/proto/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy";
import { dnsCache, onlyFields, refuse } from "@lateen/proxy";

export const DYNAMIC_FORWARD_PROXY_TYPE = typeUrl(FilterConfig);

/**
 * @see envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig. Looking up is the cluster's work, which describes the same
 * cache; here it is only judged.
 */
export function decodeDynamicForwardProxy(bytes: Uint8Array): null {
  const message = FilterConfig.decode(bytes);
  onlyFields(message, "", ["implementationSpecifier"]);
  const cache = message.implementationSpecifier;
  if (cache?.$case !== "dnsCacheConfig") return refuse("dns_cache_config", "required by this proxy");
  dnsCache(cache.value, "dns_cache_config");
  return null;
}
