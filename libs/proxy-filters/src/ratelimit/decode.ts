import { durationToMs, typeUrl } from "@lateen/proto";
import { RateLimit, RateLimitPerRoute } from "@lateen/proto/envoy/extensions/filters/http/ratelimit/v3/rate_limit";
import { onlyFields, refuse } from "@lateen/proxy";
import { errorStatus, headerValueOption } from "../common/decode.ts";
import { grpcService } from "../common/grpc-service.ts";
import { hostLimits } from "../local-ratelimit/decode.ts";
import type { RateLimitConfig, RateLimitRouteConfig } from "./config.ts";

export const RATE_LIMIT_TYPE = typeUrl(RateLimit);
export const RATE_LIMIT_ROUTE_TYPE = typeUrl(RateLimitPerRoute);

/** Envoy's, for filters that name none. */
const DEFAULT_TIMEOUT_MS = 20;
const MAX_STAGE = 10;

const HONOURED: readonly (keyof RateLimit & string)[] = [
  "domain",
  "stage",
  "requestType",
  "timeout",
  "failureModeDeny",
  "rateLimitedAsResourceExhausted",
  "rateLimitService",
  "enableXRatelimitHeaders",
  "disableXEnvoyRatelimitedHeader",
  "rateLimitedStatus",
  "responseHeadersToAdd",
  "statusOnError",
  "statPrefix",
];

/** @see envoy.extensions.filters.http.ratelimit.v3.RateLimit */
export function decodeRateLimit(bytes: Uint8Array): RateLimitConfig {
  const message = RateLimit.decode(bytes);
  onlyFields(message, "", HONOURED);
  if (message.domain === "") refuse("domain", "required");
  if (message.stage > MAX_STAGE) refuse("stage", `must be at most ${MAX_STAGE}`);
  if (!["", "both"].includes(message.requestType)) refuse("request_type", "only both is supported by this proxy");
  const timeoutMs = message.timeout === undefined ? DEFAULT_TIMEOUT_MS : durationToMs(message.timeout);
  return {
    // The filter's own time limit counts, not that of the service's message.
    service: { ...grpcService(message.rateLimitService?.grpcService, 0, "rate_limit_service.grpc_service"), timeoutMs },
    domain: message.domain,
    stage: message.stage,
    failureModeDeny: message.failureModeDeny,
    statusOnError: errorStatus(message.statusOnError, 500),
    status: errorStatus(message.rateLimitedStatus, 429),
    grpcStatus: message.rateLimitedAsResourceExhausted ? 8 : 14,
    xRateLimitHeaders: message.enableXRatelimitHeaders !== 0,
    markRefusals: !message.disableXEnvoyRatelimitedHeader,
    responseHeaders: message.responseHeadersToAdd.map((option, i) =>
      headerValueOption(option, `response_headers_to_add[${i}]`),
    ),
    statPrefix: message.statPrefix,
  };
}

/** @see envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute */
export function decodeRateLimitPerRoute(bytes: Uint8Array): RateLimitRouteConfig {
  const message = RateLimitPerRoute.decode(bytes);
  onlyFields(message, "", ["vhRateLimits", "domain"]);
  return { hostLimits: hostLimits(message.vhRateLimits), domain: message.domain };
}
