import { typeUrl } from "@lateen/proto";
import { FilterConfig } from "@lateen/proto/envoy/config/route/v3/route_components";
import type { Any } from "@lateen/proto/google/protobuf/any";
import { FILTER_DISABLED, type FilterConfigs } from "@lateen/traffic";
import { decodeBytes } from "./any.ts";
import type { DecodeRun } from "./context.ts";
import { join, refuse } from "./fields.ts";

/** Filter configuration of a host, route or cluster, under the name the filter has in its chain. */
export function perFilterConfig(configs: Readonly<Record<string, Any>>, run: DecodeRun, at: string): FilterConfigs {
  const decoded: Record<string, unknown> = {};
  for (const [name, any] of Object.entries(configs)) {
    const path = `${at}[${name}]`;
    const { config, isOptional, disabled } = unwrap(any, path);
    if (disabled) {
      decoded[name] = FILTER_DISABLED;
      continue;
    }
    const factory = run.httpFilters.find((entry) => entry.routeConfigType === config.typeUrl);
    if (factory?.decodeRouteConfig === undefined) {
      if (isOptional) continue;
      return refuse(path, `${config.typeUrl} is not supported by this proxy`);
    }
    decoded[name] = guarded(() => factory.decodeRouteConfig?.(config.value), path);
  }
  return decoded;
}

/** `envoy.config.route.v3.FilterConfig` wraps a config to make it optional, or switches the filter off. */
function unwrap(any: Any, at: string): { config: Any; isOptional: boolean; disabled: boolean } {
  if (any.typeUrl !== typeUrl(FilterConfig)) return { config: any, isOptional: false, disabled: false };
  const { config, isOptional, disabled } = decodeBytes(any.value, FilterConfig, at);
  if (disabled) return { config: any, isOptional, disabled };
  if (config === undefined) return refuse(join(at, "config"), "required");
  return { config, isOptional, disabled };
}

/** Runs a filter's own decoder; what it throws becomes a refusal with the path in front. */
export function guarded<T>(decode: () => T, at: string): T {
  try {
    return decode();
  } catch (error) {
    return refuse(at, error instanceof Error ? error.message : String(error));
  }
}
