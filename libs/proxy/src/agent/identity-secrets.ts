import type { WorkloadIdentity } from "@lateen/pki";
import type { SecretSpec } from "../config/plan.ts";

/** SDS names of Istio's agents. */
const CERTIFICATE_SECRET = "default";
const TRUST_SECRET = "ROOTCA";

/** The two secrets that listeners and clusters of a mesh name. */
export function identitySecrets(identity: WorkloadIdentity): readonly SecretSpec[] {
  return [
    {
      kind: "certificate",
      name: CERTIFICATE_SECRET,
      certChainPem: identity.certChainPem,
      privateKeyPem: identity.privateKeyPem,
    },
    { kind: "trust", name: TRUST_SECRET, bundlePem: identity.rootsPem },
  ];
}
