export { type CompiledRbac, compileRbac } from "./authorize/rbac.ts";
export type {
  PeerFacts,
  PermissionSpec,
  PrincipalSpec,
  RbacPolicySpec,
  RbacSpec,
  RbacVerdict,
} from "./authorize/spec.ts";
export { type Balancer, type BalancerKind, type BalancerOptions, createBalancer } from "./balance/balancer.ts";
export {
  createHashBalancer,
  type HashAlgorithm,
  type HashBalancer,
  type HashedEndpoint,
} from "./balance/hash-balancer.ts";
export { type EndpointGroup, healthySet, type LocalityHealth } from "./balance/health.ts";
export { splitWeights } from "./balance/weights.ts";
export { type ChainMatcher, compileChainMatcher } from "./chain/match.ts";
export type { ConnectionFacts, FilterChainMatchSpec } from "./chain/spec.ts";
export { combineHash, xxHash64 } from "./hash/xxhash64.ts";
export { type HeadInput, headFrom } from "./head/build.ts";
export { latin1Text, utf8Text, wireText } from "./head/bytes.ts";
export { HeadView, hashName, MAX_HEADERS } from "./head/head.ts";
export { compileHeaderMatch, type HeaderMatch, type Scheme } from "./match/header.ts";
export { compileMetadataMatch, type DynamicMetadata, type MetadataMatch } from "./match/metadata.ts";
export { compileQueryMatch } from "./match/query.ts";
export { compileRegex, parseRegex, type Regex, replaceAll } from "./match/regex.ts";
export { type BytesMatch, compileStringMatch, compileTextMatch, type TextMatch } from "./match/string.ts";
export { type Cidr, compileCidr, parseIp } from "./net/ip.ts";
export {
  type QuotaGrant,
  QuotaLedger,
  type QuotaLimit,
  type QuotaRequest,
  quotaCounter,
  type WindowParts,
  windowParts,
} from "./rate/quota.ts";
export { type BucketSpec, type TokenBucketArithmetic, tokenBucket } from "./rate/token-bucket.ts";
export { UNIT_SECONDS } from "./rate/units.ts";
export { type AttemptOutcome, backoffMs, retryDecision } from "./retry/retry.ts";
export { type FormatOperator, type FormatPart, parseFormat } from "./route/format.ts";
export { compileHashPolicies, type HashClient, type RequestHash } from "./route/hash-policy.ts";
export {
  type CompiledHeaderEdits,
  compileHeaderEdits,
  type HeaderEditSink,
  type ResolveOperator,
} from "./route/header-edits.ts";
export { compileHostIndex, type HostIndex } from "./route/hosts.ts";
export { compilePathMatch } from "./route/path-index.ts";
export { type Redirect, redirectLocation } from "./route/redirect.ts";
export { rewritePath } from "./route/rewrite.ts";
export {
  FILTER_DISABLED,
  type FilterConfigs,
  type ForwardSpec,
  type HashPolicySpec,
  type HeaderEditSpec,
  type HeaderMatchSpec,
  type HeaderValueSpec,
  isFilterDisabled,
  type MetadataMatchSpec,
  type MirrorSpec,
  NO_HEADER_EDITS,
  type QueryMatchSpec,
  type RateLimitActionSpec,
  type RateLimitSpec,
  type RedirectSpec,
  type RetrySpec,
  type RouteActionSpec,
  type RouteMatchSpec,
  type RouteSpec,
  type RouteTableSpec,
  type StringMatchSpec,
  type ValueMatchSpec,
  type VirtualHostSpec,
  type WeightedClusterSpec,
} from "./route/spec.ts";
export {
  type CompiledRoute,
  type CompiledVirtualHost,
  type CompiledWeightedCluster,
  compileRouteMatch,
  compileRouteTable,
  type RequestMatch,
  type RouteMatch,
  type RouteTable,
} from "./route/table.ts";
