import { s } from "../../schema/index.ts";
import { serverPort } from "../gateway/schema.ts";
import { LATER, workloadSelector } from "../shared.ts";

/** networking.istio.io Sidecar. */
export const sidecarBody = s.object({
  spec: s.required(
    s.object({
      workloadSelector,
      ingress: s.unsupported(s.array(s.any()), LATER),
      egress: s.array(
        s.object({
          port: s.unsupported(serverPort, LATER),
          bind: s.unsupported(s.string(), LATER),
          captureMode: s.oneOf(["DEFAULT", "IPTABLES", "NONE"]),
          hosts: s.required(s.array(s.string())),
        }),
      ),
      outboundTrafficPolicy: s.object({
        mode: s.oneOf(["REGISTRY_ONLY", "ALLOW_ANY"]),
        egressProxy: s.unsupported(s.any(), LATER),
      }),
      inboundConnectionPool: s.unsupported(s.any(), LATER),
    }),
  ),
});
