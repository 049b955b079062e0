import type { RbacSpec } from "@lateen/traffic";

/** What both RBAC filters carry to the worker. */
export interface RbacConfig {
  /** Undefined: the filter allows everything. */
  readonly rules: RbacSpec | undefined;
}

export const HTTP_RBAC = "envoy.filters.http.rbac";
export const NETWORK_RBAC = "envoy.filters.network.rbac";
