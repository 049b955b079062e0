import { s } from "../../schema/index.ts";
import { l4Rules, parentRefs } from "../gateway-api/refs.ts";
import { LATER } from "../shared.ts";

/** gateway.networking.k8s.io TLSRoute. */
export const tlsRouteBody = s.object({
  spec: s.required(
    s.object({
      parentRefs,
      useDefaultGateways: s.unsupported(s.string(), LATER),
      hostnames: s.array(s.string()),
      rules: l4Rules,
    }),
  ),
});
