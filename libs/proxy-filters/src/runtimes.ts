import type { HttpFilterRuntime, NetworkFilterRuntime } from "@lateen/proxy";
import { bufferRuntime } from "./buffer/buffer.ts";
import { compressorRuntime } from "./compressor/compressor.ts";
import { corsRuntime } from "./cors/cors.ts";
import { dynamicForwardProxyRuntime } from "./dynamic-forward-proxy/dynamic-forward-proxy.ts";
import { extAuthzRuntime } from "./ext-authz/ext-authz.ts";
import { faultRuntime } from "./fault/fault.ts";
import { grpcStatsRuntime } from "./grpc-stats/grpc-stats.ts";
import { headerMutationRuntime } from "./header-mutation/header-mutation.ts";
import { healthCheckRuntime } from "./health-check/health-check.ts";
import { jwtAuthnRuntime } from "./jwt/jwt-authn.ts";
import { localRateLimitRuntime } from "./local-ratelimit/local-ratelimit.ts";
import { peerMetadataRuntime } from "./peer-metadata/peer-metadata.ts";
import { rateLimitRuntime } from "./ratelimit/ratelimit.ts";
import { httpRbacRuntime } from "./rbac/http-rbac.ts";
import { networkRbacRuntime } from "./rbac/network-rbac.ts";
import { statsRuntime } from "./stats/stats.ts";

/** What workers run. Nothing here imports protobuf code. */
export const httpFilterRuntimes: readonly HttpFilterRuntime[] = [
  peerMetadataRuntime,
  jwtAuthnRuntime,
  httpRbacRuntime,
  faultRuntime,
  corsRuntime,
  statsRuntime,
  extAuthzRuntime,
  headerMutationRuntime,
  bufferRuntime,
  healthCheckRuntime,
  localRateLimitRuntime,
  rateLimitRuntime,
  grpcStatsRuntime,
  compressorRuntime,
  dynamicForwardProxyRuntime,
];

export const networkFilterRuntimes: readonly NetworkFilterRuntime[] = [networkRbacRuntime];
