import { s } from "../../schema/index.ts";
import { LATER, port } from "../shared.ts";

const backend = s.object({
  service: s.object({
    name: s.required(s.string()),
    port: s.object({ name: s.string(), number: port }),
  }),
  resource: s.unsupported(s.any(), LATER),
});

/** networking.k8s.io Ingress. */
export const ingressBody = s.object({
  spec: s.object({
    ingressClassName: s.string(),
    defaultBackend: backend,
    tls: s.array(s.object({ hosts: s.array(s.string()), secretName: s.string() })),
    rules: s.array(
      s.object({
        host: s.string(),
        http: s.object({
          paths: s.required(
            s.array(
              s.object({
                path: s.string(),
                pathType: s.required(s.oneOf(["Exact", "Prefix", "ImplementationSpecific"])),
                backend: s.required(backend),
              }),
            ),
          ),
        }),
      }),
    ),
  }),
});
