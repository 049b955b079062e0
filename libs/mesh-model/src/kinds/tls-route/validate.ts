import type { Infer } from "../../schema/index.ts";
import { checkHostname, checkL4Rules, checkParents } from "../gateway-api/check-refs.ts";
import type { KindContext } from "../index.ts";
import type { tlsRouteBody } from "./schema.ts";

/** gateway.networking.k8s.io TLSRoute. */
export function validateTlsRoute(body: Infer<typeof tlsRouteBody>, context: KindContext): void {
  const check = context.check.at("spec");
  checkParents(body.spec.parentRefs, check);
  for (const [index, host] of (body.spec.hostnames ?? []).entries()) checkHostname(host, check.at("hostnames", index));
  checkL4Rules(body.spec.rules, check);
}
