import { typeUrl } from "@lateen/proto";
import { FilterConfig } from "@lateen/proto/envoy/extensions/filters/http/grpc_stats/v3/config";
import type { GrpcStatsConfig } from "./config.ts";

export const GRPC_STATS_TYPE = typeUrl(FilterConfig);

/** @see envoy.extensions.filters.http.grpc_stats.v3.FilterConfig */
export function decodeGrpcStats(bytes: Uint8Array): GrpcStatsConfig {
  const message = FilterConfig.decode(bytes);
  return {
    methods: methodsOf(message),
    emit: message.emitFilterState,
    upstreamTime: message.enableUpstreamStats,
    replaceDots: message.replaceDotsInGrpcServiceName,
  };
}

function methodsOf({ perMethodStatSpecifier: specifier }: FilterConfig): GrpcStatsConfig["methods"] {
  switch (specifier?.$case) {
    case "individualMethodStatsAllowlist":
      return specifier.value.services.flatMap(({ name, methodNames }) =>
        methodNames.map((method) => `${name}/${method}`),
      );
    case "statsForAllMethods":
      return specifier.value === true ? "all" : "none";
    case undefined:
      return "none";
  }
}
