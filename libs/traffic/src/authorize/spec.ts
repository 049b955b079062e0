import type { DynamicMetadata } from "../match/metadata.ts";
import type { HeaderMatchSpec, MetadataMatchSpec, StringMatchSpec } from "../route/spec.ts";

/** RBAC as plain data. @see envoy.config.rbac.v3.RBAC */
export interface RbacSpec {
  readonly action: "allow" | "deny" | "log";
  /** By policy name, e.g. `ns[default]-policy[reviews]-rule[0]`. Evaluated in name order; any match decides. */
  readonly policies: Readonly<Record<string, RbacPolicySpec>>;
}
export interface RbacPolicySpec {
  /** Any must match. */
  readonly permissions: readonly PermissionSpec[];
  /** Any must match. */
  readonly principals: readonly PrincipalSpec[];
}
export type PermissionSpec =
  | { readonly kind: "any" }
  | { readonly kind: "and" | "or"; readonly of: readonly PermissionSpec[] }
  | { readonly kind: "not"; readonly of: PermissionSpec }
  | { readonly kind: "header"; readonly header: HeaderMatchSpec }
  /** Path without query. */
  | { readonly kind: "urlPath"; readonly path: StringMatchSpec }
  | { readonly kind: "destinationIp"; readonly cidr: string }
  | { readonly kind: "destinationPort"; readonly port: number }
  | { readonly kind: "serverName"; readonly match: StringMatchSpec }
  | { readonly kind: "metadata"; readonly metadata: MetadataMatchSpec };
export type PrincipalSpec =
  | { readonly kind: "any" }
  | { readonly kind: "and" | "or"; readonly of: readonly PrincipalSpec[] }
  | { readonly kind: "not"; readonly of: PrincipalSpec }
  /** The peer's URI SAN; undefined match = any authenticated peer. */
  | { readonly kind: "authenticated"; readonly principal: StringMatchSpec | undefined }
  | { readonly kind: "directRemoteIp" | "remoteIp" | "sourceIp"; readonly cidr: string }
  | { readonly kind: "header"; readonly header: HeaderMatchSpec }
  | { readonly kind: "urlPath"; readonly path: StringMatchSpec }
  | { readonly kind: "metadata"; readonly metadata: MetadataMatchSpec };

/** Connection-level facts that authorisation reads beside the head. */
export interface PeerFacts {
  /** Verified URI SAN (`spiffe://…`), or undefined for plaintext. */
  readonly principal: string | undefined;
  readonly sourceAddress: string;
  /** Client address after X-Forwarded-For trust. */
  readonly remoteAddress: string;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  readonly serverName: string;
  /** What filters found out of the request; undefined: nothing. */
  readonly metadata?: DynamicMetadata | undefined;
}
export interface RbacVerdict {
  readonly allowed: boolean;
  /** The policy that matched, when one did. */
  readonly policy: string | undefined;
}
