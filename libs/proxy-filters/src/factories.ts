import type { HttpFilterFactory, HttpFilterRuntime, NetworkFilterFactory } from "@lateen/proxy";
import { CORS } from "./cors/config.ts";
import { CORS_ROUTE_TYPE, CORS_TYPE, decodeCors, decodeCorsPolicy } from "./cors/decode.ts";
import { FAULT } from "./fault/config.ts";
import { decodeFault, FAULT_TYPE } from "./fault/decode.ts";
import { PEER_METADATA } from "./peer-metadata/config.ts";
import { decodePeerMetadata, PEER_METADATA_TYPE } from "./peer-metadata/decode.ts";
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
