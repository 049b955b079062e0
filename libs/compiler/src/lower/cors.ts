import { CorsPolicy } from "@lateen/proto/envoy/extensions/filters/http/cors/v3/cors";
import { exactly, matchingRegex, startingWith } from "./proto.ts";
import type { HttpRule } from "./route-match.ts";
import { milliseconds } from "./traffic-policy.ts";

export const CORS_FILTER = "envoy.filters.http.cors";

/** What scripts of other origins may do, or undefined. Preflights of unknown origins go on unless they are to be ignored. */
export function corsPolicy(policy: HttpRule["corsPolicy"]): CorsPolicy | undefined {
  if (policy === undefined) return undefined;
  const written = policy.allowOrigins ?? [];
  const origins = written.length > 0 ? written : (policy.allowOrigin ?? []).map((exact) => ({ exact }));
  return CorsPolicy.fromPartial({
    allowOriginStringMatch: origins.map(({ exact, prefix, regex }: Origin) =>
      exact !== undefined ? exactly(exact) : prefix !== undefined ? startingWith(prefix) : matchingRegex(regex ?? ""),
    ),
    allowMethods: (policy.allowMethods ?? []).join(","),
    allowHeaders: (policy.allowHeaders ?? []).join(","),
    exposeHeaders: (policy.exposeHeaders ?? []).join(","),
    maxAge: policy.maxAge === undefined ? "" : String(Math.trunc(milliseconds(policy.maxAge) / 1000)),
    ...(policy.allowCredentials === undefined ? {} : { allowCredentials: policy.allowCredentials }),
    forwardNotMatchingPreflights: policy.unmatchedPreflights !== "IGNORE",
  });
}

interface Origin {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}
