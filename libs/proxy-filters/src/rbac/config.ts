import type { RbacSpec } from "@lateen/traffic";

/** What both RBAC filters carry to the worker. */
export interface RbacConfig {
  /** Undefined: the filter allows everything. */
  readonly rules: RbacSpec | undefined;
  /** Rules that are looked at and not enforced: what they say is told to later filters under {@link HTTP_RBAC}. */
  readonly shadow?: { readonly rules: RbacSpec; readonly prefix: string };
}

export const HTTP_RBAC = "envoy.filters.http.rbac";
export const NETWORK_RBAC = "envoy.filters.network.rbac";
