import { s } from "../../schema/index.ts";
import { grpcFilter, namedMatch } from "../gateway-api/filters.ts";
import { backendRef, parentRefs } from "../gateway-api/refs.ts";
import { LATER } from "../shared.ts";

/** gateway.networking.k8s.io GRPCRoute. */
export const grpcRouteBody = s.object({
  spec: s.required(
    s.object({
      parentRefs,
      useDefaultGateways: s.unsupported(s.string(), LATER),
      hostnames: s.array(s.string()),
      rules: s.array(
        s.object({
          name: s.string(),
          matches: s.array(
            s.object({
              method: s.object({
                type: s.oneOf(["Exact", "RegularExpression"]),
                service: s.string(),
                method: s.string(),
              }),
              headers: namedMatch,
            }),
          ),
          filters: s.array(grpcFilter),
          backendRefs: s.array(s.object({ ...backendRef, filters: s.array(grpcFilter) })),
          sessionPersistence: s.unsupported(s.any(), LATER),
        }),
      ),
    }),
  ),
});
