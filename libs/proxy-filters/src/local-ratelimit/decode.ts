import { durationToMs, typeUrl } from "@lateen/proto";
import { VhRateLimitsOptions } from "@lateen/proto/envoy/extensions/common/ratelimit/v3/ratelimit";
import { LocalRateLimit } from "@lateen/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit";
import type { TokenBucket } from "@lateen/proto/envoy/type/v3/token_bucket";
import { join, onlyFields, refuse } from "@lateen/proxy";
import type { BucketSpec } from "@lateen/traffic";
import { errorStatus, fraction, headerValueOption } from "../common/decode.ts";
import type { HostLimits } from "../common/descriptors.ts";
import type { LocalRateLimitConfig } from "./config.ts";

export const LOCAL_RATE_LIMIT_TYPE = typeUrl(LocalRateLimit);

const HONOURED: readonly (keyof LocalRateLimit & string)[] = [
  "statPrefix",
  "status",
  "tokenBucket",
  "filterEnabled",
  "filterEnforced",
  "requestHeadersToAddWhenNotEnforced",
  "responseHeadersToAdd",
  "descriptors",
  "stage",
  "localRateLimitPerDownstreamConnection",
  "enableXRatelimitHeaders",
  "vhRateLimits",
  "alwaysConsumeDefaultTokenBucket",
  "rateLimitedAsResourceExhausted",
];

/** Reads the filter's and the routes' configuration, which are one message. Limits of a whole cluster of proxies are refused. */
export function decodeLocalRateLimit(bytes: Uint8Array): LocalRateLimitConfig {
  const message = LocalRateLimit.decode(bytes);
  onlyFields(message, "", HONOURED);
  if (message.statPrefix === "") refuse("stat_prefix", "required");
  // An empty message says as much as none, and would be taken for nothing.
  if (message.localClusterRateLimit !== undefined) refuse("local_cluster_rate_limit", "not supported by this proxy");
  const bucket = message.tokenBucket === undefined ? undefined : bucketOf(message.tokenBucket, "token_bucket");
  const enabled = fraction(message.filterEnabled, 0);
  if (enabled > 0 && bucket === undefined) refuse("token_bucket", "required where the filter is enabled");
  return {
    statPrefix: message.statPrefix,
    bucket,
    descriptors: message.descriptors.map(({ entries, tokenBucket }, i) => ({
      entries: entries.map(({ key, value }) => ({ key, value })),
      bucket: descriptorBucket(tokenBucket, bucket, `descriptors[${i}].token_bucket`),
    })),
    enabled,
    enforced: fraction(message.filterEnforced, 0),
    status: errorStatus(message.status, 429),
    grpcStatus: message.rateLimitedAsResourceExhausted ? 8 : 14,
    requestHeaders: message.requestHeadersToAddWhenNotEnforced.map((option, i) =>
      headerValueOption(option, `request_headers_to_add_when_not_enforced[${i}]`),
    ),
    responseHeaders: message.responseHeadersToAdd.map((option, i) =>
      headerValueOption(option, `response_headers_to_add[${i}]`),
    ),
    stage: message.stage,
    perConnection: message.localRateLimitPerDownstreamConnection,
    xRateLimitHeaders: message.enableXRatelimitHeaders !== 0,
    hostLimits: hostLimits(message.vhRateLimits),
    alwaysDefault: message.alwaysConsumeDefaultTokenBucket ?? true,
  };
}

export function hostLimits(option: number): HostLimits {
  switch (option) {
    case VhRateLimitsOptions.OVERRIDE:
      return "override";
    case VhRateLimitsOptions.INCLUDE:
      return "include";
    case VhRateLimitsOptions.IGNORE:
      return "ignore";
    default:
      return refuse("vh_rate_limits", `${option} is unknown`);
  }
}

/** Envoy refuses shorter intervals. */
const SHORTEST_FILL_MS = 50;

function bucketOf(bucket: TokenBucket, at: string): BucketSpec {
  const fillMs = bucket.fillInterval === undefined ? 0 : durationToMs(bucket.fillInterval);
  if (bucket.maxTokens < 1) refuse(join(at, "max_tokens"), "must be greater than 0");
  if (fillMs < SHORTEST_FILL_MS) refuse(join(at, "fill_interval"), `must be at least ${SHORTEST_FILL_MS}ms`);
  const perFill = bucket.tokensPerFill ?? 1;
  if (perFill < 1) refuse(join(at, "tokens_per_fill"), "must be greater than 0");
  return { max: bucket.maxTokens, perFill, fillMs };
}

/** Fills of descriptors follow the beat of the general bucket, as Envoy asks. */
function descriptorBucket(bucket: TokenBucket | undefined, general: BucketSpec | undefined, at: string): BucketSpec {
  if (bucket === undefined) return refuse(at, "required");
  const made = bucketOf(bucket, at);
  if (general !== undefined && made.fillMs % general.fillMs !== 0) {
    refuse(join(at, "fill_interval"), "must be a multiple of the general bucket's");
  }
  return made;
}
