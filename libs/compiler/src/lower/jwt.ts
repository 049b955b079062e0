import type { RequestAuthentication } from "@lateen/mesh-model";
import {
  JwtAuthentication,
  JwtProvider,
  type JwtRequirement,
} from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import { PAYLOAD_KEY } from "./claims.ts";
import { usableKeys } from "./jwks.ts";

/** A rule of a RequestAuthentication. */
export type JwtRule = NonNullable<NonNullable<RequestAuthentication["spec"]>["jwtRules"]>[number];

/** Where the keys of a rule are fetched from: a key set, or what an issuer publishes of itself (OpenID Connect Discovery 1.0 §4). */
export interface KeySource {
  readonly kind: "jwks" | "discovery";
  readonly url: string;
  /** Undefined: the default. */
  readonly timeout: string | undefined;
}

/** Undefined: the rule has keys of its own. */
export function keySourceOf({ jwks, jwksUri, issuer, timeout }: JwtRule): KeySource | undefined {
  if (jwks !== undefined) return undefined;
  if (jwksUri !== undefined) return { kind: "jwks", url: jwksUri, timeout };
  return { kind: "discovery", url: `${issuer.replace(/\/+$/, "")}/.well-known/openid-configuration`, timeout };
}

/** Claims that OAuth (RFC 8693 §4.2) and some issuers write as one text. */
const SPACE_DELIMITED = ["permission", "scope"];

/**
 * Verification of all rules of a workload: a request without a token passes, one with a token passes when some rule accepts it or
 * every rule that finds a token does. Undefined without rules.
 * @param keysOf fetched keys; undefined: not there (yet).
 * @param routes whether routes may depend on claims.
 */
export function jwtAuthentication(
  policies: readonly RequestAuthentication[],
  keysOf: (source: KeySource) => string | undefined,
  routes: boolean,
): JwtAuthentication | undefined {
  const rules = policies.flatMap((policy) => policy.spec?.jwtRules ?? []);
  if (rules.length === 0) return undefined;
  const providers: Record<string, JwtProvider> = {};
  const names = rules.map((rule, index) => {
    const name = `origins-${index}`;
    const source = keySourceOf(rule);
    providers[name] = provider(rule, usableKeys(source === undefined ? rule.jwks : keysOf(source)), routes);
    return name;
  });
  return JwtAuthentication.fromPartial({
    providers,
    rules: [
      {
        match: { pathSpecifier: { $case: "prefix", value: "/" } },
        requirementType: { $case: "requires", value: requirement(names) },
      },
    ],
    bypassCorsPreflight: true,
  });
}

function provider(rule: JwtRule, jwks: string, routes: boolean): JwtProvider {
  return JwtProvider.fromPartial({
    issuer: rule.issuer,
    audiences: [...(rule.audiences ?? [])],
    jwksSourceSpecifier: {
      $case: "localJwks",
      value: { specifier: { $case: "inlineString", value: jwks } },
    },
    forward: rule.forwardOriginalToken ?? false,
    fromHeaders: (rule.fromHeaders ?? []).map(({ name, prefix }) => ({ name, valuePrefix: prefix ?? "" })),
    fromParams: [...(rule.fromParams ?? [])],
    fromCookies: [...(rule.fromCookies ?? [])],
    forwardPayloadHeader: rule.outputPayloadToHeader ?? "",
    claimToHeaders: (rule.outputClaimToHeaders ?? []).map(({ header, claim }) => ({
      headerName: header,
      claimName: claim,
    })),
    payloadInMetadata: PAYLOAD_KEY,
    normalizePayloadInMetadata: {
      spaceDelimitedClaims: [...new Set([...SPACE_DELIMITED, ...(rule.spaceDelimitedClaims ?? [])])],
    },
    clearRouteCache: routes,
  });
}

function requirement(names: readonly string[]): JwtRequirement {
  const one = (name: string): JwtRequirement => ({ requiresType: { $case: "providerName", value: name } });
  const each = names.map((name) => anyOf([one(name), { requiresType: { $case: "allowMissing", value: {} } }]));
  const [only] = each;
  if (each.length === 1 && only !== undefined) return only;
  return anyOf([...names.map(one), { requiresType: { $case: "requiresAll", value: { requirements: each } } }]);
}

function anyOf(requirements: JwtRequirement[]): JwtRequirement {
  return { requiresType: { $case: "requiresAny", value: { requirements } } };
}
