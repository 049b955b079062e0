import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { children, content, fromDer } from "./der.ts";

/** A key pair on P-256. */
export function generateP256(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "prime256v1" });
}

export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

export function spkiDer(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" });
}

/** Why this public key may not be certified, or undefined: P-256, or RSA of 2048 to 8192 bits. */
export function weakKeyReason(key: KeyObject): string | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ec") return details?.namedCurve === "prime256v1" ? undefined : "the curve is not P-256";
  if (type !== "rsa") return `keys of type ${type ?? "unknown"} are not accepted`;
  const bits = details?.modulusLength ?? 0;
  if (bits < 2048) return `an RSA key of ${bits} bits is too short`;
  return bits > 8192 ? `an RSA key of ${bits} bits is too long` : undefined;
}

/** SHA-1 of the public key's bits: RFC 5280 §4.2.1.2 method 1. An identifier, not a safeguard. */
export function keyIdentifier(key: KeyObject): Buffer {
  const bits = content(children(fromDer(spkiDer(key)))[1]).slice(1);
  return createHash("sha1").update(Buffer.from(bits, "binary")).digest();
}
