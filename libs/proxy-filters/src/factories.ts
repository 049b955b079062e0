import type { HttpFilterFactory, HttpFilterRuntime, NetworkFilterFactory } from "@lateen/proxy";
import { BUFFER } from "./buffer/config.ts";
import { BUFFER_ROUTE_TYPE, BUFFER_TYPE, decodeBuffer, decodeBufferPerRoute } from "./buffer/decode.ts";
import { COMPRESSOR } from "./compressor/config.ts";
import {
  COMPRESSOR_ROUTE_TYPE,
  COMPRESSOR_TYPE,
  decodeCompressor,
  decodeCompressorPerRoute,
} from "./compressor/decode.ts";
import { CORS } from "./cors/config.ts";
import { CORS_ROUTE_TYPE, CORS_TYPE, decodeCors, decodeCorsPolicy } from "./cors/decode.ts";
import { DYNAMIC_FORWARD_PROXY } from "./dynamic-forward-proxy/config.ts";
import { DYNAMIC_FORWARD_PROXY_TYPE, decodeDynamicForwardProxy } from "./dynamic-forward-proxy/decode.ts";
import { EXT_AUTHZ } from "./ext-authz/config.ts";
import { decodeExtAuthz, decodeExtAuthzPerRoute, EXT_AUTHZ_ROUTE_TYPE, EXT_AUTHZ_TYPE } from "./ext-authz/decode.ts";
import { FAULT } from "./fault/config.ts";
import { decodeFault, FAULT_TYPE } from "./fault/decode.ts";
import { GRPC_STATS } from "./grpc-stats/config.ts";
import { decodeGrpcStats, GRPC_STATS_TYPE } from "./grpc-stats/decode.ts";
import { HEADER_MUTATION } from "./header-mutation/config.ts";
import {
  decodeHeaderMutation,
  decodeHeaderMutationPerRoute,
  HEADER_MUTATION_ROUTE_TYPE,
  HEADER_MUTATION_TYPE,
} from "./header-mutation/decode.ts";
import { HEALTH_CHECK } from "./health-check/config.ts";
import { decodeHealthCheck, HEALTH_CHECK_TYPE } from "./health-check/decode.ts";
import { JWT_AUTHN } from "./jwt/config.ts";
import { decodeJwt, decodeJwtRoute, JWT_ROUTE_TYPE, JWT_TYPE } from "./jwt/decode.ts";
import { LOCAL_RATE_LIMIT } from "./local-ratelimit/config.ts";
import { decodeLocalRateLimit, LOCAL_RATE_LIMIT_TYPE } from "./local-ratelimit/decode.ts";
import { PEER_METADATA } from "./peer-metadata/config.ts";
import { decodePeerMetadata, PEER_METADATA_TYPE } from "./peer-metadata/decode.ts";
import { RATE_LIMIT } from "./ratelimit/config.ts";
import {
  decodeRateLimit,
  decodeRateLimitPerRoute,
  RATE_LIMIT_ROUTE_TYPE,
  RATE_LIMIT_TYPE,
} from "./ratelimit/decode.ts";
import { HTTP_RBAC, NETWORK_RBAC } from "./rbac/config.ts";
import {
  decodeHttpRbac,
  decodeNetworkRbac,
  decodeRbacPerRoute,
  HTTP_RBAC_ROUTE_TYPE,
  HTTP_RBAC_TYPE,
  NETWORK_RBAC_TYPE,
} from "./rbac/decode.ts";
import { httpFilterRuntimes, networkFilterRuntimes } from "./runtimes.ts";
import { decodeStats, STATS_TYPE } from "./stats/decode.ts";
import { STATS } from "./stats/stats.ts";

type Decoders = Omit<HttpFilterFactory, keyof HttpFilterRuntime>;

const HTTP_DECODERS: Readonly<Record<string, Decoders>> = {
  [PEER_METADATA]: { configType: PEER_METADATA_TYPE, decodeConfig: decodePeerMetadata },
  [JWT_AUTHN]: {
    configType: JWT_TYPE,
    routeConfigType: JWT_ROUTE_TYPE,
    decodeConfig: decodeJwt,
    decodeRouteConfig: decodeJwtRoute,
  },
  [HTTP_RBAC]: {
    configType: HTTP_RBAC_TYPE,
    routeConfigType: HTTP_RBAC_ROUTE_TYPE,
    decodeConfig: decodeHttpRbac,
    decodeRouteConfig: decodeRbacPerRoute,
  },
  [FAULT]: {
    configType: FAULT_TYPE,
    routeConfigType: FAULT_TYPE,
    decodeConfig: decodeFault,
    decodeRouteConfig: decodeFault,
  },
  [CORS]: {
    configType: CORS_TYPE,
    routeConfigType: CORS_ROUTE_TYPE,
    decodeConfig: decodeCors,
    decodeRouteConfig: decodeCorsPolicy,
  },
  [EXT_AUTHZ]: {
    configType: EXT_AUTHZ_TYPE,
    routeConfigType: EXT_AUTHZ_ROUTE_TYPE,
    decodeConfig: decodeExtAuthz,
    decodeRouteConfig: decodeExtAuthzPerRoute,
  },
  [HEADER_MUTATION]: {
    configType: HEADER_MUTATION_TYPE,
    routeConfigType: HEADER_MUTATION_ROUTE_TYPE,
    decodeConfig: decodeHeaderMutation,
    decodeRouteConfig: decodeHeaderMutationPerRoute,
  },
  [BUFFER]: {
    configType: BUFFER_TYPE,
    routeConfigType: BUFFER_ROUTE_TYPE,
    decodeConfig: decodeBuffer,
    decodeRouteConfig: decodeBufferPerRoute,
  },
  [HEALTH_CHECK]: { configType: HEALTH_CHECK_TYPE, decodeConfig: decodeHealthCheck },
  [LOCAL_RATE_LIMIT]: {
    configType: LOCAL_RATE_LIMIT_TYPE,
    routeConfigType: LOCAL_RATE_LIMIT_TYPE,
    decodeConfig: decodeLocalRateLimit,
    decodeRouteConfig: decodeLocalRateLimit,
  },
  [RATE_LIMIT]: {
    configType: RATE_LIMIT_TYPE,
    routeConfigType: RATE_LIMIT_ROUTE_TYPE,
    decodeConfig: decodeRateLimit,
    decodeRouteConfig: decodeRateLimitPerRoute,
  },
  [COMPRESSOR]: {
    configType: COMPRESSOR_TYPE,
    routeConfigType: COMPRESSOR_ROUTE_TYPE,
    decodeConfig: decodeCompressor,
    decodeRouteConfig: decodeCompressorPerRoute,
  },
  [GRPC_STATS]: { configType: GRPC_STATS_TYPE, decodeConfig: decodeGrpcStats },
  [DYNAMIC_FORWARD_PROXY]: { configType: DYNAMIC_FORWARD_PROXY_TYPE, decodeConfig: decodeDynamicForwardProxy },
  [STATS]: { configType: STATS_TYPE, decodeConfig: decodeStats },
};

const NETWORK_DECODERS: Readonly<Record<string, Omit<NetworkFilterFactory, "name" | "create">>> = {
  [NETWORK_RBAC]: { configType: NETWORK_RBAC_TYPE, decodeConfig: decodeNetworkRbac },
};

/** Filters with their decoders, for the agent. */
export const httpFilters: readonly HttpFilterFactory[] = httpFilterRuntimes.flatMap((runtime) => {
  const decoders = HTTP_DECODERS[runtime.name];
  return decoders === undefined ? [] : [{ ...runtime, ...decoders }];
});

export const networkFilters: readonly NetworkFilterFactory[] = networkFilterRuntimes.flatMap((runtime) => {
  const decoders = NETWORK_DECODERS[runtime.name];
  return decoders === undefined ? [] : [{ ...runtime, ...decoders }];
});
