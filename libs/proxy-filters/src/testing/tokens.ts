import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** Somebody who signs tokens, made anew for each test run. */
export interface TestIssuer {
  readonly jwks: string;
  /** A compact token; `header` is laid over the usual one. */
  token(claims: object, header?: Readonly<Record<string, unknown>>): string;
}

const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

function signature(alg: string, text: string, key: KeyObject): Buffer {
  const data = Buffer.from(text);
  const hash = `sha${alg.slice(2)}`;
  switch (alg.slice(0, 2)) {
    case "PS":
      return sign(hash, data, { key, padding: 6, saltLength: Number(alg.slice(2)) / 8 });
    case "ES":
      return sign(hash, data, { key, dsaEncoding: "ieee-p1363" });
    case "Ed":
      return sign(null, data, key);
    default:
      return sign(hash, data, key);
  }
}

const CURVES: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };

/** @param alg of the tokens, such as `RS256`. */
export function testIssuer(alg = "ES256", kid = "one"): TestIssuer {
  const pair =
    alg === "EdDSA"
      ? generateKeyPairSync("ed25519")
      : alg.startsWith("ES")
        ? generateKeyPairSync("ec", { namedCurve: CURVES[alg] ?? "P-256" })
        : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = { ...pair.publicKey.export({ format: "jwk" }), kid };
  return {
    jwks: JSON.stringify({ keys: [jwk] }),
    token(claims, header = {}) {
      const text = `${base64({ alg, kid, typ: "JWT", ...header })}.${base64(claims)}`;
      return `${text}.${signature(alg, text, pair.privateKey).toString("base64url")}`;
    },
  };
}

/** A token signed with a shared secret, as somebody would who takes a public key for one. */
export function hmacToken(secret: string | Buffer, claims: object, kid = "one"): string {
  const text = `${base64({ alg: "HS256", kid })}.${base64(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}
