import type { RouteMatchSpec } from "@lateen/traffic";

export const JWT_AUTHN = "envoy.filters.http.jwt_authn";

/** @see envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication */
export interface JwtConfig {
  readonly providers: Readonly<Record<string, JwtProviderSpec>>;
  /** The first rule that matches decides; without one nothing is asked of the request. */
  readonly rules: readonly JwtRuleSpec[];
  /** What routes may ask for by name. */
  readonly requirements: Readonly<Record<string, JwtRequirementSpec>>;
  readonly bypassCorsPreflight: boolean;
  /** Refusals say nothing about why. */
  readonly stripFailureResponse: boolean;
}

export interface JwtRuleSpec {
  readonly match: RouteMatchSpec;
  /** Undefined: requests of this rule need no token. */
  readonly requires: JwtRequirementSpec | undefined;
}

/** @see envoy.extensions.filters.http.jwt_authn.v3.JwtProvider */
export interface JwtProviderSpec {
  /** Empty: tokens of any issuer. */
  readonly issuer: string;
  /** Without scheme and final slash, as they are compared; empty: any. */
  readonly audiences: readonly string[];
  /** JSON Web Key Set (RFC 7517), or where it is fetched from. */
  readonly jwks: string | RemoteKeysSpec;
  /** The token goes on to the application. */
  readonly forward: boolean;
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  /** Header that the payload (base64url) goes to; empty: none. */
  readonly payloadHeader: string;
  readonly padPayloadHeader: boolean;
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[];
  /** Keys of the filter's dynamic metadata; empty: not told. */
  readonly payloadKey: string;
  readonly headerKey: string;
  /** Claims whose text is a list. */
  readonly spaceDelimitedClaims: readonly string[];
  readonly clockSkewSeconds: number;
  readonly requireExpiration: boolean;
  /** Seconds between issue and expiry; 0: any. */
  readonly maxLifetimeSeconds: number;
  readonly clearRouteCache: boolean;
}

/** Milliseconds all. @see envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks */
export interface RemoteKeysSpec {
  readonly cluster: string;
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  /** Of one attempt. */
  readonly timeoutMs: number;
  readonly cacheMs: number;
  /** Attempts after the first one that failed, further and further apart. */
  readonly retry: { readonly count: number; readonly baseMs: number; readonly maxMs: number };
  /** Fetched before a token needs it, after a failure so much later; undefined: when a token does. */
  readonly ahead: { readonly failedMs: number } | undefined;
}

/** @see envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement */
export type JwtRequirementSpec =
  /** `audiences` replace the provider's. */
  | { readonly kind: "provider"; readonly provider: string; readonly audiences?: readonly string[] }
  | { readonly kind: "any" | "all"; readonly of: readonly JwtRequirementSpec[] }
  | { readonly kind: "allowMissing" | "allowMissingOrFailed" };

/** What a route says. @see envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig */
export type JwtRouteConfig = { readonly kind: "disabled" } | { readonly kind: "requirement"; readonly name: string };

/** `https://a.example/` and `http://a.example` are one audience. */
export function comparableAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, "").replace(/\/$/, "");
}
