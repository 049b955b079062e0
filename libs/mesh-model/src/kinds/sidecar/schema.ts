import { s } from "../../schema/index.ts";
import { connectionPool } from "../destination-rule/schema.ts";
import { serverPort, serverTls } from "../gateway/schema.ts";
import { destination, workloadSelector } from "../shared.ts";

const captureMode = s.oneOf(["DEFAULT", "IPTABLES", "NONE"]);

/** networking.istio.io Sidecar. */
export const sidecarBody = s.object({
  spec: s.required(
    s.object({
      workloadSelector,
      ingress: s.array(
        s.object({
          port: s.required(serverPort),
          bind: s.string(),
          captureMode,
          defaultEndpoint: s.string(),
          tls: serverTls,
          connectionPool,
        }),
      ),
      egress: s.array(
        s.object({
          port: serverPort,
          bind: s.string(),
          captureMode,
          hosts: s.required(s.array(s.string())),
        }),
      ),
      outboundTrafficPolicy: s.object({
        mode: s.oneOf(["REGISTRY_ONLY", "ALLOW_ANY"]),
        egressProxy: destination,
      }),
      inboundConnectionPool: connectionPool,
    }),
  ),
});
