import { s } from "../../schema/index.ts";
import { LATER, labelSelector, labels, port } from "../shared.ts";

const secretRef = s.object({
  group: s.string(),
  kind: s.string(),
  namespace: s.string(),
  name: s.required(s.string()),
});

const listener = s.object({
  name: s.required(s.string()),
  hostname: s.string(),
  port: s.required(port),
  protocol: s.required(s.string()),
  tls: s.object({
    mode: s.oneOf(["Terminate", "Passthrough"]),
    certificateRefs: s.array(secretRef),
    frontendValidation: s.unsupported(s.any(), `${LATER}; use option gateway.istio.io/tls-terminate-mode: MUTUAL`),
    options: s.map(s.string()),
  }),
  allowedRoutes: s.object({
    namespaces: s.object({ from: s.oneOf(["All", "Same", "Selector", "None"]), selector: labelSelector }),
    kinds: s.array(s.object({ group: s.string(), kind: s.required(s.string()) })),
  }),
});

/** gateway.networking.k8s.io Gateway. Its kind is called KubernetesGateway here: networking.istio.io has a Gateway too. */
export const kubernetesGatewayBody = s.object({
  spec: s.required(
    s.object({
      gatewayClassName: s.required(s.string()),
      listeners: s.array(listener),
      addresses: s.array(s.object({ type: s.string(), value: s.string() })),
      infrastructure: s.object({
        labels,
        annotations: labels,
        parametersRef: s.unsupported(s.any(), LATER),
      }),
      allowedListeners: s.unsupported(s.any(), LATER),
      backendTLS: s.unsupported(s.any(), LATER),
      tls: s.unsupported(s.any(), LATER),
      defaultScope: s.unsupported(s.string(), LATER),
    }),
  ),
});
