import { err, ok, type Result } from "@lateen/kernel";
import { comparableAudience } from "./config.ts";
import { failures, notInteger, notString, outOfRange } from "./failures.ts";

/** A token that is well formed; nothing about it is verified. */
export interface Token {
  readonly alg: string;
  readonly kid: string;
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
  /** The middle section as it was sent. */
  readonly payloadText: string;
  readonly issuer: string;
  /** Comparable, see {@link comparableAudience}. */
  readonly audiences: readonly string[];
  /** Seconds; 0: the claim is not there. */
  readonly expires: number;
  readonly notBefore: number;
  readonly issuedAt: number;
  /** What is signed, and the signature. */
  readonly signed: Buffer;
  readonly signature: Buffer;
}

export const ALGORITHMS: ReadonlySet<string> = new Set(
  ["RS", "PS", "ES", "HS"].flatMap((family) => ["256", "384", "512"].map((bits) => family + bits)).concat("EdDSA"),
);

/** Reads a compact JWS (RFC 7515 §3.1) whose payload is a claim set (RFC 7519). */
export function parseToken(text: string): Result<Token, string> {
  const [headerText, payloadText, signatureText, rest] = text.split(".");
  if (headerText === undefined || payloadText === undefined || signatureText === undefined || rest !== undefined) {
    return err(failures.badFormat);
  }
  const header = section(headerText);
  if (header === "base64") return err(failures.headerBase64);
  if (header === "json") return err(failures.headerJson);
  const { alg, kid = "" } = header;
  if (typeof alg !== "string") return err(failures.headerAlg);
  if (!ALGORITHMS.has(alg)) return err(failures.headerAlgUnknown);
  if (typeof kid !== "string") return err(failures.headerKid);
  const payload = section(payloadText);
  if (payload === "base64") return err(failures.payloadBase64);
  if (payload === "json") return err(failures.payloadJson);
  const claims = claimsOf(payload);
  if (!claims.ok) return claims;
  const signature = decodeBase64Url(signatureText);
  if (signature === undefined) return err(failures.signatureBase64);
  const signed = Buffer.from(`${headerText}.${payloadText}`, "latin1");
  return ok({ alg, kid, header, payload, payloadText, ...claims.value, signed, signature });
}

type Claims = Pick<Token, "issuer" | "audiences" | "expires" | "notBefore" | "issuedAt">;

function claimsOf(payload: Token["payload"]): Result<Claims, string> {
  for (const name of ["iss", "sub"]) {
    if (payload[name] !== undefined && typeof payload[name] !== "string") return err(notString(name));
  }
  for (const name of ["iat", "nbf", "exp"]) {
    const value = payload[name];
    if (value === undefined) continue;
    if (typeof value !== "number") return err(notInteger(name));
    if (value < 0 || value >= 2 ** 64) return err(outOfRange(name));
  }
  if (payload.jti !== undefined && typeof payload.jti !== "string") return err(notString("jti"));
  const { aud = [] } = payload;
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  const audiences = list.filter((one) => typeof one === "string");
  if (audiences.length !== list.length) return err(failures.audienceType);
  const seconds = (name: string) => Math.floor((payload[name] as number | undefined) ?? 0);
  return ok({
    issuer: (payload.iss as string | undefined) ?? "",
    audiences: audiences.map(comparableAudience),
    expires: seconds("exp"),
    notBefore: seconds("nbf"),
    issuedAt: seconds("iat"),
  });
}

function section(text: string): Readonly<Record<string, unknown>> | "base64" | "json" {
  const bytes = decodeBase64Url(text);
  if (bytes === undefined || bytes.length === 0) return "base64";
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    const object = typeof value === "object" && value !== null && !Array.isArray(value);
    return object ? (value as Readonly<Record<string, unknown>>) : "json";
  } catch {
    return "json";
  }
}

/** RFC 4648 §5 without padding; undefined for anything else. Node's own reading skips what it does not know. */
export function decodeBase64Url(text: string): Buffer | undefined {
  return /^[A-Za-z0-9_-]*$/.test(text) && text.length % 4 !== 1 ? Buffer.from(text, "base64url") : undefined;
}
