import { systemClock } from "@lateen/kernel";
import { createTokenKey, jwtTokenReviewer, mintToken } from "@lateen/pki";
import { describe, expect, it } from "vitest";
import { createAuthenticator } from "./authenticator.ts";

const clock = systemClock();
const key = createTokenKey();
const authenticator = createAuthenticator({
  tokenReviewer: jwtTokenReviewer({ publicPem: key.publicPem }, clock),
  trustDomain: "cluster.local",
  trustDomainAliases: ["old.local"],
});
const token = (privatePem = key.privatePem) =>
  mintToken({ privatePem, namespace: "shop", serviceAccount: "reviews", pod: "reviews-1", ttlSeconds: 600 }, clock);
const uri = (id: string) => `spiffe://${id}`;

describe("certificates", () => {
  it.each(["cluster.local", "old.local"])("of trust domain %s speak for their identity", async (domain) => {
    expect(await authenticator.authenticate([uri(`${domain}/ns/shop/sa/reviews`)], undefined)).toEqual({
      ok: true,
      value: { namespace: "shop", serviceAccount: "reviews", via: "certificate" },
    });
  });

  it.each([
    ["of another trust domain", [uri("evil.local/ns/shop/sa/reviews")]],
    ["with two names", [uri("cluster.local/ns/a/sa/b"), uri("cluster.local/ns/shop/sa/reviews")]],
    ["without a workload's name", ["https://example.com"]],
    ["with half a name", [uri("cluster.local/ns/shop")]],
    ["with a name that goes on", [uri("cluster.local/ns/shop/sa/reviews/x")]],
  ])("%s are refused, and no token makes up for it", async (_, names) => {
    expect((await authenticator.authenticate(names, token())).ok).toBe(false);
  });
});

describe("tokens", () => {
  it("speak for their service account and pod", async () => {
    expect(await authenticator.authenticate([], token())).toEqual({
      ok: true,
      value: { namespace: "shop", serviceAccount: "reviews", via: "token", pod: "reviews-1" },
    });
  });

  it.each([
    ["none", undefined],
    ["an empty one", ""],
    ["one that is none", "x.y.z"],
    ["one of another key", token(createTokenKey().privatePem)],
  ])("%s is refused", async (_, bearer) => {
    const result = await authenticator.authenticate([], bearer);
    expect(result.ok).toBe(false);
    if (!result.ok && bearer) expect(result.error).not.toContain(bearer);
  });
});
