import { s } from "../../schema/index.ts";
import { l4Rules, parentRefs } from "../gateway-api/refs.ts";
import { LATER } from "../shared.ts";

/** gateway.networking.k8s.io TCPRoute. */
export const tcpRouteBody = s.object({
  spec: s.required(s.object({ parentRefs, useDefaultGateways: s.unsupported(s.string(), LATER), rules: l4Rules })),
});
