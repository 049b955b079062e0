import { typeUrl } from "@lateen/proto";
import { Cors, CorsPolicy } from "@lateen/proto/envoy/extensions/filters/http/cors/v3/cors";
import { onlyFields, runtimeFraction, stringMatch } from "@lateen/proxy";
import { compileTextMatch } from "@lateen/traffic";
import type { CorsConfig } from "./config.ts";

export const CORS_TYPE = typeUrl(Cors);
export const CORS_ROUTE_TYPE = typeUrl(CorsPolicy);

/** The filter's own configuration has no fields: policies are those of routes. */
export function decodeCors(bytes: Uint8Array): null {
  Cors.decode(bytes);
  return null;
}

/** Reads a route's policy. Shadow mode only counts, so it is passed over. */
export function decodeCorsPolicy(bytes: Uint8Array): CorsConfig {
  const message = CorsPolicy.decode(bytes);
  onlyFields(message, "", [
    "allowOriginStringMatch",
    "allowMethods",
    "allowHeaders",
    "exposeHeaders",
    "maxAge",
    "allowCredentials",
    "filterEnabled",
    "shadowEnabled",
    "allowPrivateNetworkAccess",
    "forwardNotMatchingPreflights",
  ]);
  const origins = message.allowOriginStringMatch.map((matcher, index) =>
    stringMatch(matcher, `allow_origin_string_match[${index}]`),
  );
  for (const origin of origins) compileTextMatch(origin);
  return {
    origins,
    methods: message.allowMethods,
    headers: message.allowHeaders,
    exposed: message.exposeHeaders,
    maxAge: message.maxAge,
    credentials: message.allowCredentials ?? false,
    fraction: runtimeFraction(message.filterEnabled),
    forwardUnmatched: message.forwardNotMatchingPreflights ?? true,
    privateNetwork: message.allowPrivateNetworkAccess ?? false,
  };
}
