import {
  constants,
  createHmac,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
  verify,
} from "node:crypto";
import { failures } from "./failures.ts";
import type { Token } from "./token.ts";

/** The keys of an issuer. */
export interface KeySet {
  /** There is a key that can be read. */
  readonly usable: boolean;
  /** Why the token's signature does not hold; undefined: it does. */
  check(token: Token): string | undefined;
}

interface Key {
  readonly kid: string;
  /** Empty: any that the key is fit for. */
  readonly alg: string;
  readonly type: string;
  readonly curve: string;
  readonly key: KeyObject;
}

/**
 * Keys of a JSON Web Key Set (RFC 7517): RSA, EC, OKP Ed25519 and oct. Those that cannot be read are left out. A key verifies only
 * what its type is for, so that a public key is never taken for a shared secret.
 */
export function keySet(jwks: string): KeySet {
  const keys = keysOf(jwks);
  return {
    usable: keys.length > 0,
    check(token) {
      if (keys.length === 0) return failures.noKeys;
      let fitting = false;
      for (const key of keys) {
        if (token.kid !== "" && key.kid !== "" && token.kid !== key.kid) continue;
        if (key.alg !== "" && key.alg !== token.alg) continue;
        fitting = true;
        if (verified(key, token)) return undefined;
      }
      return fitting ? failures.verification : failures.keyMismatch;
    },
  };
}

function keysOf(jwks: string): readonly Key[] {
  try {
    const { keys } = JSON.parse(jwks) as { readonly keys?: unknown };
    return Array.isArray(keys) ? keys.flatMap(keyOf) : [];
  } catch {
    return [];
  }
}

function keyOf(jwk: unknown): readonly Key[] {
  if (typeof jwk !== "object" || jwk === null) return [];
  const { kid = "", alg = "", kty = "", crv = "", k } = jwk as Readonly<Record<string, unknown>>;
  if (typeof kid !== "string" || typeof alg !== "string" || typeof kty !== "string" || typeof crv !== "string")
    return [];
  try {
    const key =
      kty === "oct"
        ? createSecretKey(Buffer.from(String(k), "base64url"))
        : createPublicKey({ key: jwk as Record<string, string>, format: "jwk" });
    return [{ kid, alg, type: kty, curve: crv, key }];
  } catch {
    return [];
  }
}

const CURVES: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };

function verified({ type, curve, key }: Key, { alg, signed, signature }: Token): boolean {
  const hash = `sha${alg.slice(2)}`;
  try {
    switch (alg.slice(0, 2)) {
      case "RS":
        return type === "RSA" && verify(hash, signed, key, signature);
      case "PS": {
        const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
        return type === "RSA" && verify(hash, signed, { key, ...padding }, signature);
      }
      case "ES":
        return (
          type === "EC" && curve === CURVES[alg] && verify(hash, signed, { key, dsaEncoding: "ieee-p1363" }, signature)
        );
      case "Ed":
        return type === "OKP" && curve === "Ed25519" && verify(null, signed, key, signature);
      case "HS": {
        if (type !== "oct") return false;
        const expected = createHmac(hash, key).update(signed).digest();
        return expected.length === signature.length && timingSafeEqual(expected, signature);
      }
      default:
        return false;
    }
  } catch {
    return false;
  }
}
