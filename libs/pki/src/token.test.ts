import { createHmac, createPrivateKey, sign } from "node:crypto";
import { systemClock } from "@lateen/kernel";
import { describe, expect, it } from "vitest";
import { createTokenKey, jwtTokenReviewer, mintToken } from "./token.ts";

const clock = systemClock();
const key = createTokenKey();
const request = { privatePem: key.privatePem, namespace: "default", serviceAccount: "reviews", ttlSeconds: 3600 };
const reviewer = jwtTokenReviewer({ publicPem: key.publicPem }, clock);
const later = (seconds: number) => ({ ...clock, now: () => clock.now() + seconds * 1000 });
const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function handmade(header: unknown, change: Record<string, unknown>): string {
  const now = Math.floor(clock.now() / 1000);
  const claims = {
    iss: "lateen",
    sub: "system:serviceaccount:default:reviews",
    aud: ["istio-ca"],
    iat: now,
    exp: now + 600,
    ...change,
  };
  const signed = `${b64(header)}.${b64(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), {
    key: createPrivateKey(key.privatePem),
    dsaEncoding: "ieee-p1363",
  });
  return `${signed}.${signature.toString("base64url")}`;
}
const ES256 = { alg: "ES256", typ: "JWT" };

describe("jwtTokenReviewer", () => {
  it("names the account and pod of a good token", async () => {
    const token = mintToken({ ...request, pod: "reviews-1" }, clock);
    expect(await reviewer.review(token, "istio-ca")).toEqual({
      ok: true,
      value: { namespace: "default", serviceAccount: "reviews", pod: "reviews-1" },
    });
  });

  it("cuts lives to one hour", async () => {
    const token = mintToken({ ...request, ttlSeconds: 86_400 }, clock);
    expect((await reviewer.review(token, "istio-ca")).ok).toBe(true);
    const reviewLater = jwtTokenReviewer({ publicPem: key.publicPem }, later(3700));
    expect(await reviewLater.review(token, "istio-ca")).toMatchObject({ ok: false, error: "token has expired" });
  });

  const now = Math.floor(clock.now() / 1000);
  const good = mintToken(request, clock);
  const [head = "", body = ""] = good.split(".");
  const none = `${b64({ alg: "none" })}.${body}.`;
  const hmac = `${b64({ alg: "HS256" })}.${body}`;
  const hmacSigned = `${hmac}.${createHmac("sha256", key.publicPem).update(hmac).digest("base64url")}`;
  it.each([
    ["alg none", none, "token is malformed"],
    ["HS256 keyed with the public key", hmacSigned, "token algorithm is not accepted"],
    [
      "a signature by another key",
      mintToken({ ...request, privatePem: createTokenKey().privatePem }, clock),
      "token signature is not valid",
    ],
    [
      "a changed body",
      `${head}.${b64({ sub: "system:serviceaccount:kube-system:admin" })}.${good.split(".")[2]}`,
      "token signature is not valid",
    ],
    ["a long life", handmade(ES256, { exp: now + 7200 }), "token lives too long"],
    ["a backdated issue", handmade(ES256, { iat: now - 7200 }), "token lives too long"],
    ["an issue in the future", handmade(ES256, { iat: now + 7200, exp: now + 7300 }), "token lives too long"],
    ["no end", handmade(ES256, { exp: undefined }), "token is malformed"],
    ["a start in the future", handmade(ES256, { nbf: now + 300 }), "token is not valid yet"],
    ["another audience", handmade(ES256, { aud: "api" }), "token is for another audience"],
    ["another issuer", handmade(ES256, { iss: "x" }), "token is from another issuer"],
    ["a user", handmade(ES256, { sub: "system:admin" }), "token is malformed"],
    ["a path in the name", handmade(ES256, { sub: "system:serviceaccount:a/b:c" }), "token is malformed"],
    ["critical extensions", handmade({ ...ES256, crit: ["b64"] }, {}), "token algorithm is not accepted"],
    ["padding", `${good}=`, "token is malformed"],
    ["too much", "a".repeat(10_000), "token is too long"],
    ["nothing", "", "token is malformed"],
  ])("refuses %s", async (_, token, reason) => {
    expect(await reviewer.review(token, "istio-ca")).toEqual({ ok: false, error: reason });
  });

  it("tolerates half a minute of clock difference", async () => {
    const token = handmade(ES256, { nbf: now + 20 });
    expect((await reviewer.review(token, "istio-ca")).ok).toBe(true);
  });
});
