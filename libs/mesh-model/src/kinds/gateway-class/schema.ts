import { s } from "../../schema/index.ts";

/** gateway.networking.k8s.io GatewayClass. */
export const gatewayClassBody = s.object({
  spec: s.required(
    s.object({ controllerName: s.required(s.string()), description: s.string(), parametersRef: s.any() }),
  ),
});
