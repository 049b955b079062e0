import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type Clock, err, ok, type Result } from "@lateen/kernel";
import type { TokenIdentity, TokenReviewer } from "@lateen/ports";
import { generateP256, privateKeyPem } from "./keys.ts";

/** Audience of tokens that are shown to the CA and the control plane, as Istio names it. */
export const TOKEN_AUDIENCE = "istio-ca";
/** Longest life of a token, seconds. */
export const MAX_TOKEN_TTL_SECONDS = 3600;

const ISSUER = "lateen";
const MAX_TOKEN_LENGTH = 8192;
/** Clocks may differ by this much, seconds. */
const SKEW_SECONDS = 30;
const LABEL = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** A P-256 key pair for tokens, PEM. */
export function createTokenKey(): { readonly privatePem: string; readonly publicPem: string } {
  const { privateKey, publicKey } = generateP256();
  return {
    privatePem: privateKeyPem(privateKey),
    publicPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
  };
}

export interface MintRequest {
  readonly privatePem: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Name of the pod the token is bound to. */
  readonly pod?: string;
  /** At most {@link MAX_TOKEN_TTL_SECONDS}; longer ones are cut. */
  readonly ttlSeconds: number;
  /** Default {@link TOKEN_AUDIENCE}. */
  readonly audience?: string;
}

/** A service-account token as Kubernetes projects it, signed with ES256. */
export function mintToken(request: MintRequest, clock: Clock): string {
  const now = Math.floor(clock.now() / 1000);
  const claims = {
    iss: ISSUER,
    sub: `system:serviceaccount:${request.namespace}:${request.serviceAccount}`,
    aud: [request.audience ?? TOKEN_AUDIENCE],
    iat: now,
    nbf: now,
    exp: now + Math.min(request.ttlSeconds, MAX_TOKEN_TTL_SECONDS),
    "kubernetes.io": {
      namespace: request.namespace,
      serviceaccount: { name: request.serviceAccount },
      ...(request.pod === undefined ? {} : { pod: { name: request.pod } }),
    },
  };
  const signed = `${encode({ alg: "ES256", typ: "JWT" })}.${encode(claims)}`;
  const key = createPrivateKey(request.privatePem);
  const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}

/**
 * Reviews tokens of {@link mintToken}: algorithm pinned to ES256, signature before claims, one hour at most, half a minute of
 * clock skew. Reasons are constants: they tell a caller nothing about the key or other callers.
 */
export function jwtTokenReviewer(options: { readonly publicPem: string }, clock: Clock): TokenReviewer {
  const key = createPublicKey(options.publicPem);
  return { review: async (token, audience) => reviewToken(key, token, audience, clock.now() / 1000) };
}

function reviewToken(key: KeyObject, token: string, audience: string, now: number): Result<TokenIdentity, string> {
  if (token.length > MAX_TOKEN_LENGTH) return err("token is too long");
  const parts = token.split(".");
  const [head, body, signature] = parts.map(decode);
  if (parts.length !== 3 || head === undefined || body === undefined || signature === undefined) {
    return err("token is malformed");
  }
  const header = parseObject(head);
  if (header?.alg !== "ES256" || header.crit !== undefined) return err("token algorithm is not accepted");
  const signed = Buffer.from(token.slice(0, token.lastIndexOf(".")));
  if (signature.length !== 64 || !verify("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, signature)) {
    return err("token signature is not valid");
  }
  const claims = parseObject(body);
  return claims === undefined ? err("token is malformed") : judgeClaims(claims, audience, now);
}

function judgeClaims(
  claims: Readonly<Record<string, unknown>>,
  audience: string,
  now: number,
): Result<TokenIdentity, string> {
  const { exp, nbf, iat, aud, iss, sub } = claims;
  if (!isTime(exp) || !isTime(iat)) return err("token is malformed");
  if (exp + SKEW_SECONDS <= now) return err("token has expired");
  if (exp - iat > MAX_TOKEN_TTL_SECONDS || exp - now > MAX_TOKEN_TTL_SECONDS + SKEW_SECONDS) {
    return err("token lives too long");
  }
  if (nbf !== undefined && (!isTime(nbf) || nbf - SKEW_SECONDS > now)) return err("token is not valid yet");
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(audience)) return err("token is for another audience");
  if (iss !== ISSUER) return err("token is from another issuer");
  const subject = typeof sub === "string" ? sub.split(":") : [];
  const [system, kind, namespace = "", serviceAccount = ""] = subject;
  if (subject.length !== 4 || system !== "system" || kind !== "serviceaccount") return err("token is malformed");
  if (!LABEL.test(namespace) || !LABEL.test(serviceAccount)) return err("token is malformed");
  const pod = podOf(claims["kubernetes.io"]);
  return ok({ namespace, serviceAccount, ...(pod === undefined ? {} : { pod }) });
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function podOf(claim: unknown): string | undefined {
  if (typeof claim !== "object" || claim === null || !("pod" in claim)) return undefined;
  const { pod } = claim;
  if (typeof pod !== "object" || pod === null || !("name" in pod)) return undefined;
  return typeof pod.name === "string" ? pod.name : undefined;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** Strict base64url: what does not decode and encode to itself is refused, so that a token has one spelling. */
function decode(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, "base64url");
  return part !== "" && bytes.toString("base64url") === part ? bytes : undefined;
}

function parseObject(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
