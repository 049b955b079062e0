import { s } from "../../schema/index.ts";
import { labels, port } from "../shared.ts";

export const serverPort = s.object({
  number: s.required(port),
  protocol: s.required(s.string()),
  name: s.string(),
  targetPort: port,
});

/** ServerTLSSettings, of a Gateway's server or a Sidecar's ingress listener. */
export const serverTls = s.object({
  httpsRedirect: s.boolean(),
  mode: s.oneOf(["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]),
  serverCertificate: s.string(),
  privateKey: s.string(),
  caCertificates: s.string(),
  caCrl: s.string(),
  subjectAltNames: s.array(s.string()),
  credentialName: s.string(),
  credentialNames: s.array(s.string()),
  tlsCertificates: s.array(
    s.object({ serverCertificate: s.string(), privateKey: s.string(), caCertificates: s.string() }),
  ),
  verifyCertificateSpki: s.array(s.string()),
  verifyCertificateHash: s.array(s.string()),
  minProtocolVersion: s.oneOf(["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]),
  maxProtocolVersion: s.oneOf(["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]),
  cipherSuites: s.array(s.string()),
});

/** networking.istio.io Gateway. */
export const gatewayBody = s.object({
  spec: s.required(
    s.object({
      selector: labels,
      servers: s.array(
        s.object({
          port: s.required(serverPort),
          bind: s.string(),
          hosts: s.required(s.array(s.string())),
          name: s.string(),
          // Istio accepts it, and no gateway of it forwards anything there.
          defaultEndpoint: s.unsupported(s.string(), "gateways forward by virtual services alone, in Istio too"),
          tls: serverTls,
        }),
      ),
    }),
  ),
});
