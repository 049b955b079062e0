import { s } from "../../schema/index.ts";
import { httpFilter, namedMatch } from "../gateway-api/filters.ts";
import { backendRef, parentRefs } from "../gateway-api/refs.ts";
import { count, LATER } from "../shared.ts";

const match = s.object({
  path: s.object({ type: s.oneOf(["Exact", "PathPrefix", "RegularExpression"]), value: s.string() }),
  headers: namedMatch,
  queryParams: namedMatch,
  method: s.oneOf(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]),
});

/** gateway.networking.k8s.io HTTPRoute. */
export const httpRouteBody = s.object({
  spec: s.required(
    s.object({
      parentRefs,
      useDefaultGateways: s.unsupported(s.string(), LATER),
      hostnames: s.array(s.string()),
      rules: s.array(
        s.object({
          name: s.string(),
          matches: s.array(match),
          filters: s.array(httpFilter),
          backendRefs: s.array(s.object({ ...backendRef, filters: s.array(httpFilter) })),
          timeouts: s.object({ request: s.duration(), backendRequest: s.duration() }),
          retry: s.object({
            codes: s.array(s.integer({ min: 400, max: 599 })),
            attempts: count,
            backoff: s.duration(),
          }),
          sessionPersistence: s.unsupported(s.any(), LATER),
        }),
      ),
    }),
  ),
});
