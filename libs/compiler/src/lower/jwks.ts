import { createPublicKey, createSecretKey } from "node:crypto";

/**
 * A key set that no token agrees with, in place of one that could not be fetched or has no usable key: proxies take no empty set. Its
 * key is the first point of P-256 whose x is SHA-256 of "lateen: no key N" (N = 1), so nobody has its private half.
 */
export const NO_KEYS = JSON.stringify({
  keys: [
    {
      kty: "EC",
      crv: "P-256",
      kid: "lateen-no-key",
      alg: "ES256",
      x: "G_buTjF6lE-W0EQORQcGMnrx41slV8aqa1vuINSBCCI",
      y: "hnAfykGUvYhAvDV-VLonikv0aVJw4ZRdFJ_X6lNbZNw",
    },
  ],
});

/** Members of a key that a verifier needs; private ones are no proxy's business. */
const MEMBERS = ["kty", "kid", "alg", "use", "crv", "n", "e", "x", "y", "k"] as const;
const CURVES: Readonly<Record<string, readonly string[]>> = { EC: ["P-256", "P-384", "P-521"], OKP: ["Ed25519"] };

/**
 * The usable keys of a JSON Web Key Set (RFC 7517), in order, without private members: one bad key must not make a proxy refuse all of
 * its configuration. {@link NO_KEYS} when there is none.
 */
export function usableKeys(text: string | undefined): string {
  const keys = listed(text).flatMap(usable);
  return keys.length === 0 ? NO_KEYS : JSON.stringify({ keys });
}

function listed(text: string | undefined): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text ?? "");
    const keys = typeof value === "object" && value !== null ? (value as { readonly keys?: unknown }).keys : undefined;
    return Array.isArray(keys) ? keys : [];
  } catch {
    return [];
  }
}

function usable(value: unknown): readonly Readonly<Record<string, string>>[] {
  if (typeof value !== "object" || value === null) return [];
  const key: Record<string, string> = {};
  for (const member of MEMBERS) {
    const text = (value as Readonly<Record<string, unknown>>)[member];
    if (typeof text === "string") key[member] = text;
    else if (text !== undefined) return [];
  }
  const { kty = "", crv = "", k = "" } = key;
  const curves = CURVES[kty];
  if (curves !== undefined && !curves.includes(crv)) return [];
  try {
    if (kty === "oct") {
      if (!/^[A-Za-z0-9_-]+$/.test(k)) return [];
      createSecretKey(Buffer.from(k, "base64url"));
    } else createPublicKey({ key, format: "jwk" });
    return [key];
  } catch {
    return [];
  }
}
