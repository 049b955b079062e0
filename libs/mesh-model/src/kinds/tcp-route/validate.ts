import type { Infer } from "../../schema/index.ts";
import { checkL4Rules, checkParents } from "../gateway-api/check-refs.ts";
import type { KindContext } from "../index.ts";
import type { tcpRouteBody } from "./schema.ts";

/** gateway.networking.k8s.io TCPRoute. */
export function validateTcpRoute(body: Infer<typeof tcpRouteBody>, context: KindContext): void {
  const check = context.check.at("spec");
  checkParents(body.spec.parentRefs, check);
  checkL4Rules(body.spec.rules, check);
}
