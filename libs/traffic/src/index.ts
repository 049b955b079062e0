export type {
  PeerFacts,
  PermissionSpec,
  PrincipalSpec,
  RbacPolicySpec,
  RbacSpec,
  RbacVerdict,
} from "./authorize/spec.ts";
export type { ConnectionFacts, FilterChainMatchSpec } from "./chain/spec.ts";
export { hashName, HeadView, MAX_HEADERS } from "./head/head.ts";
export {
  type FilterConfigs,
  type ForwardSpec,
  type HeaderEditSpec,
  type HeaderMatchSpec,
  type HeaderValueSpec,
  type MirrorSpec,
  NO_HEADER_EDITS,
  type QueryMatchSpec,
  type RedirectSpec,
  type RetrySpec,
  type RouteActionSpec,
  type RouteMatchSpec,
  type RouteSpec,
  type RouteTableSpec,
  type StringMatchSpec,
  type VirtualHostSpec,
  type WeightedClusterSpec,
} from "./route/spec.ts";
