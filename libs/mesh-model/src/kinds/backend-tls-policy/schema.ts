import { s } from "../../schema/index.ts";
import { LATER } from "../shared.ts";

const reference = {
  group: s.required(s.string()),
  kind: s.required(s.string()),
  name: s.required(s.string()),
} as const;

/** gateway.networking.k8s.io BackendTLSPolicy: TLS towards a Service that is not of the mesh's making. */
export const backendTlsPolicyBody = s.object({
  spec: s.required(
    s.object({
      targetRefs: s.required(s.array(s.object({ ...reference, sectionName: s.string() }))),
      validation: s.required(
        s.object({
          caCertificateRefs: s.array(s.object(reference)),
          wellKnownCACertificates: s.oneOf(["System"]),
          hostname: s.required(s.string()),
          subjectAltNames: s.array(
            s.object({ type: s.required(s.oneOf(["Hostname", "URI"])), hostname: s.string(), uri: s.string() }),
          ),
        }),
      ),
      options: s.unsupported(s.map(s.string()), LATER),
    }),
  ),
});
