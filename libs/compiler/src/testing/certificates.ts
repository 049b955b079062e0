import { createTestCa } from "@lateen/test-support";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const ca = createTestCa();
const leaf = ca.issue({ dns: ["a.com"] });

/** A certificate with its key and roots, and a list of what was revoked, in the base64 of Secrets. */
export const CERTIFICATE = {
  crt: base64(leaf.certPem),
  key: base64(leaf.keyPem),
  root: base64(ca.rootPem),
  revoked: base64(ca.revoke(leaf)),
} as const;

/** The roots as they are in ConfigMaps. */
export const ROOT_PEM = ca.rootPem;
/** The same certificate and key as PEM. */
export const PAIR_PEM = leaf;

/** A Secret with these keys in `data`; without any with a certificate that can be used. */
export function tlsSecret(name: string, namespace = "default", data: Readonly<Record<string, string>> = PAIR): string {
  return `
apiVersion: v1
kind: Secret
metadata: { name: ${name}, namespace: ${namespace} }
data: ${JSON.stringify(data)}
---`;
}
const PAIR = { "tls.crt": CERTIFICATE.crt, "tls.key": CERTIFICATE.key };
