import { durationToMs, typeUrl } from "@lateen/proto";
import type { RetryPolicy } from "@lateen/proto/envoy/config/core/v3/base";
import type { HttpUri } from "@lateen/proto/envoy/config/core/v3/http_uri";
import {
  JwtAuthentication,
  type JwtProvider,
  type JwtRequirement,
  PerRouteConfig,
  type RemoteJwks,
} from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import { join, millis, onlyFields, optionalMs, refuse, routeMatch } from "@lateen/proxy";
import {
  comparableAudience,
  type JwtConfig,
  type JwtProviderSpec,
  type JwtRequirementSpec,
  type JwtRouteConfig,
  type RemoteKeysSpec,
} from "./config.ts";

export const JWT_TYPE = typeUrl(JwtAuthentication);
export const JWT_ROUTE_TYPE = typeUrl(PerRouteConfig);

/** Envoy's allowance for clocks that differ. */
const CLOCK_SKEW_SECONDS = 60;

/** @see envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication */
export function decodeJwt(bytes: Uint8Array): JwtConfig {
  const message = JwtAuthentication.decode(bytes);
  onlyFields(message, "", ["providers", "rules", "bypassCorsPreflight", "requirementMap", "stripFailureResponse"]);
  const providers = Object.entries(message.providers).map(
    ([name, provider]) => [name, providerOf(provider, `providers[${name}]`)] as const,
  );
  const known = new Set(Object.keys(message.providers));
  const requirements: Record<string, JwtRequirementSpec> = {};
  for (const [name, requirement] of Object.entries(message.requirementMap)) {
    requirements[name] = requirementOf(requirement, known, `requirement_map[${name}]`);
  }
  const rules = message.rules.map((rule, index) => {
    const at = `rules[${index}]`;
    const type = rule.requirementType;
    const match = routeMatch(rule.match, join(at, "match"));
    if (type === undefined) return { match, requires: undefined };
    if (type.$case === "requires") return { match, requires: requirementOf(type.value, known, join(at, "requires")) };
    const requires = requirements[type.value];
    return { match, requires: requires ?? refuse(join(at, "requirement_name"), `"${type.value}" is not known`) };
  });
  return {
    providers: Object.fromEntries(providers),
    rules,
    requirements,
    bypassCorsPreflight: message.bypassCorsPreflight,
    stripFailureResponse: message.stripFailureResponse,
  };
}

/** @see envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig */
export function decodeJwtRoute(bytes: Uint8Array): JwtRouteConfig {
  const specifier = PerRouteConfig.decode(bytes).requirementSpecifier;
  if (specifier?.$case === "requirementName") return { kind: "requirement", name: specifier.value };
  if (specifier?.$case === "disabled" && specifier.value) return { kind: "disabled" };
  return refuse("requirement_specifier", "disabled: true or requirement_name is required");
}

function providerOf(provider: JwtProvider, at: string): JwtProviderSpec {
  onlyFields(provider, at, [
    "issuer",
    "audiences",
    "requireExpiration",
    "maxLifetime",
    "jwksSourceSpecifier",
    "forward",
    "fromHeaders",
    "fromParams",
    "fromCookies",
    "forwardPayloadHeader",
    "padForwardPayloadHeader",
    "payloadInMetadata",
    "normalizePayloadInMetadata",
    "headerInMetadata",
    "clockSkewSeconds",
    // Tokens are always remembered here, within bounds of our own.
    "jwtCacheConfig",
    "claimToHeaders",
    "clearRouteCache",
  ]);
  return {
    issuer: provider.issuer,
    audiences: provider.audiences.map(comparableAudience),
    jwks: keysOf(provider, at),
    forward: provider.forward,
    fromHeaders: provider.fromHeaders.map(({ name, valuePrefix }) => ({
      name: name.toLowerCase(),
      prefix: valuePrefix,
    })),
    fromParams: provider.fromParams,
    fromCookies: provider.fromCookies,
    payloadHeader: provider.forwardPayloadHeader.toLowerCase(),
    padPayloadHeader: provider.padForwardPayloadHeader,
    claimHeaders: provider.claimToHeaders.map(({ headerName, claimName }) => ({
      header: headerName.toLowerCase(),
      claim: claimName,
    })),
    payloadKey: provider.payloadInMetadata,
    headerKey: provider.headerInMetadata,
    spaceDelimitedClaims: provider.normalizePayloadInMetadata?.spaceDelimitedClaims ?? [],
    clockSkewSeconds: provider.clockSkewSeconds || CLOCK_SKEW_SECONDS,
    requireExpiration: provider.requireExpiration,
    maxLifetimeSeconds: provider.maxLifetime === undefined ? 0 : durationToMs(provider.maxLifetime) / 1000,
    clearRouteCache: provider.clearRouteCache,
  };
}

function keysOf(provider: JwtProvider, at: string): JwtProviderSpec["jwks"] {
  const source = provider.jwksSourceSpecifier;
  if (source?.$case === "remoteJwks") return remoteSource(source.value, join(at, "remote_jwks"));
  const where = join(at, "local_jwks");
  const specifier = source?.value.specifier;
  switch (specifier?.$case) {
    case "inlineString":
      return specifier.value;
    case "inlineBytes":
      return specifier.value.toString("utf8");
    default:
      return refuse(where, "inline_string or inline_bytes is required");
  }
}

/** Envoy's, for what is not set. */
const CACHE_MS = 600_000;
const FAILED_REFETCH_MS = 1000;
const RETRY_BASE_MS = 1000;

function remoteSource(remote: RemoteJwks, at: string): RemoteKeysSpec {
  const { httpUri, asyncFetch } = remote;
  const where = join(at, "http_uri");
  if (httpUri === undefined) return refuse(where, "required");
  const { cluster, authority, path } = locationOf(httpUri, where);
  const cacheMs = millis(remote.cacheDuration, CACHE_MS, join(at, "cache_duration"));
  if (cacheMs < 1) refuse(join(at, "cache_duration"), "must be greater than 0");
  const failedMs = millis(asyncFetch?.failedRefetchDuration, FAILED_REFETCH_MS, join(at, "async_fetch"));
  return {
    cluster,
    authority,
    path,
    timeoutMs: optionalMs(httpUri.timeout, join(where, "timeout")) ?? refuse(join(where, "timeout"), "required"),
    cacheMs,
    retry: retryOf(remote.retryPolicy, join(at, "retry_policy")),
    // Listeners never wait for keys here, requests do: `fast_listener` makes no difference.
    ahead: asyncFetch === undefined ? undefined : { failedMs: Math.max(1, failedMs) },
  };
}

function locationOf(uri: HttpUri, at: string): Pick<RemoteKeysSpec, "cluster" | "authority" | "path"> {
  const [, authority, path = "/"] = /^https?:\/\/([^/?#\s]+)([/?][^#\s]*)?$/.exec(uri.uri) ?? [];
  if (authority === undefined) return refuse(join(at, "uri"), `"${uri.uri}" is no http or https address`);
  const cluster = uri.httpUpstreamType?.value ?? "";
  if (cluster === "") refuse(join(at, "cluster"), "required");
  return { cluster, authority, path: path.startsWith("?") ? `/${path}` : path };
}

function retryOf(policy: RetryPolicy | undefined, at: string): RemoteKeysSpec["retry"] {
  if (policy === undefined) return { count: 0, baseMs: RETRY_BASE_MS, maxMs: RETRY_BASE_MS };
  onlyFields(policy, at, ["retryBackOff", "numRetries"]);
  const baseMs = millis(policy.retryBackOff?.baseInterval, RETRY_BASE_MS, join(at, "retry_back_off.base_interval"));
  const maxMs = millis(policy.retryBackOff?.maxInterval, baseMs * 10, join(at, "retry_back_off.max_interval"));
  if (baseMs < 1 || maxMs < baseMs) refuse(join(at, "retry_back_off"), "intervals must be positive and grow");
  return { count: policy.numRetries ?? 1, baseMs, maxMs };
}

function requirementOf(requirement: JwtRequirement, known: ReadonlySet<string>, at: string): JwtRequirementSpec {
  const type = requirement.requiresType;
  const named = (provider: string): string =>
    known.has(provider) ? provider : refuse(at, `there is no provider "${provider}"`);
  switch (type?.$case) {
    case "providerName":
      return { kind: "provider", provider: named(type.value) };
    case "providerAndAudiences":
      return { kind: "provider", provider: named(type.value.providerName), audiences: type.value.audiences };
    case "requiresAny":
    case "requiresAll": {
      const of = type.value.requirements.map((one, i) => requirementOf(one, known, join(at, `requirements[${i}]`)));
      return { kind: type.$case === "requiresAny" ? "any" : "all", of };
    }
    case "allowMissing":
    case "allowMissingOrFailed":
      return { kind: type.$case };
    case undefined:
      return refuse(at, "requires_type is required");
  }
}
