import { createTestCa } from "@lateen/test-support";

/** The authority that the certificates of gateways and of their clients come from in these tests. */
export const edgeCa = createTestCa("edge");

/** Names that certificates of gateways are for. */
const SERVER_NAMES = ["secure.example", "*.wild.example"];

/** A Secret of a gateway: certificate and key (RSA in a Secret of that name), and the authority that clients' certificates must come from. */
export function tlsSecret(name: string, namespace = "default"): string {
  const { certPem, keyPem } = edgeCa.issue({ dns: SERVER_NAMES, rsa: name === "rsa" });
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const data = { "tls.crt": base64(certPem), "tls.key": base64(keyPem), "ca.crt": base64(edgeCa.rootPem) };
  const metadata = { name, namespace };
  return `---\n${JSON.stringify({ apiVersion: "v1", kind: "Secret", type: "kubernetes.io/tls", metadata, data })}\n`;
}
