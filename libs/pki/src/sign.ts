import { type KeyObject, sign } from "node:crypto";
import { type Asn1, bitString, nul, OID, oid, sequence, toDer } from "./der.ts";
import { toPem } from "./pem.ts";

/** AlgorithmIdentifier of what {@link signedPem} signs with. */
export function signatureAlgorithm(key: KeyObject): Asn1 {
  return key.asymmetricKeyType === "ec" ? sequence(oid(OID.ecdsaWithSha256)) : sequence(oid(OID.sha256WithRsa), nul());
}

/** Signs a to-be-signed structure with SHA-256 and wraps the three parts of a certificate or request. */
export function signedPem(label: string, toBeSigned: Asn1, key: KeyObject): string {
  const signature = sign("sha256", toDer(toBeSigned), key);
  return toPem(label, toDer(sequence(toBeSigned, signatureAlgorithm(key), bitString(signature))));
}
