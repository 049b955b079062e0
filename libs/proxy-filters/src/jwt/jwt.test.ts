import { JwtAuthentication } from "@lateen/proto/envoy/extensions/filters/http/jwt_authn/v3/config";
import type { HeadInput } from "@lateen/traffic";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { hmacToken, testIssuer } from "../testing/tokens.ts";
import { decodeJwt, decodeJwtRoute } from "./decode.ts";
import { jwtAuthnRuntime } from "./jwt-authn.ts";

type Message = Parameters<typeof JwtAuthentication.fromPartial>[0];
type Provider = NonNullable<Message["providers"]>[string];

const NOW = 1_700_000_000;
const issuer = testIssuer();
const other = testIssuer("RS256", "two");
const provider = (jwks: string, more: Provider = {}): Provider => ({
  issuer: "https://issuer.example",
  jwksSourceSpecifier: { $case: "localJwks", value: { specifier: { $case: "inlineString", value: jwks } } },
  payloadInMetadata: "payload",
  ...more,
});
const named = (name: string) => ({ requiresType: { $case: "providerName", value: name } }) as const;
const allowMissing = { requiresType: { $case: "allowMissing", value: {} } } as const;
const any = (...requirements: object[]) =>
  ({ requiresType: { $case: "requiresAny", value: { requirements } } }) as const;
const all = (...requirements: object[]) =>
  ({ requiresType: { $case: "requiresAll", value: { requirements } } }) as const;
const everywhere = { pathSpecifier: { $case: "prefix", value: "/" } } as const;
const rule = (requires: object) => ({ match: everywhere, requirementType: { $case: "requires", value: requires } });

function config(providers: Record<string, Provider>, requires: object = any(named("a"), allowMissing), more = {}) {
  const message = { providers, rules: [rule(requires)], ...more } as Message;
  return decodeJwt(JwtAuthentication.encode(JwtAuthentication.fromPartial(message)).finish());
}

function filterOf(made: ReturnType<typeof config>) {
  const { context, stats, time } = fakeContext();
  time.ms = NOW * 1000;
  const filter = jwtAuthnRuntime.create(made, context);
  const ask = (request: HeadInput) => {
    const exchange = new FakeExchange(request);
    const verdict = filter.onRequestHead?.(exchange);
    const [reply] = exchange.replies;
    return { exchange, verdict, said: reply === undefined ? "ok" : `${reply.status} ${reply.body}` };
  };
  return { ask, stats };
}

const bearer = (token: string): HeadInput => ({ headers: [["authorization", `Bearer ${token}`]] });
const claims = { iss: "https://issuer.example", sub: "alice", aud: ["shop", "https://api.example/"], exp: NOW + 600 };

describe("a token", () => {
  const { ask } = filterOf(config({ a: provider(issuer.jwks) }));
  it.each<[string, HeadInput, string]>([
    ["that is good", bearer(issuer.token(claims)), "ok"],
    ["that is not there", {}, "ok"],
    ["of another scheme", { headers: [["authorization", "Basic abc"]] }, "ok"],
    ["in a parameter", { path: `/x?access_token=${issuer.token(claims)}` }, "ok"],
    ["that is expired", bearer(issuer.token({ ...claims, exp: NOW - 61 })), "401 Jwt is expired"],
    ["that is expired by less than clocks differ", bearer(issuer.token({ ...claims, exp: NOW - 59 })), "ok"],
    ["without expiry", bearer(issuer.token({ ...claims, exp: undefined })), "ok"],
    ["of the future", bearer(issuer.token({ ...claims, nbf: NOW + 61 })), "401 Jwt not yet valid"],
    ["of a future within what clocks differ", bearer(issuer.token({ ...claims, nbf: NOW + 59 })), "ok"],
    [
      "of another issuer",
      bearer(issuer.token({ ...claims, iss: "https://evil.example" })),
      "401 Jwt issuer is not configured",
    ],
    ["of no issuer", bearer(issuer.token({ ...claims, iss: undefined })), "401 Jwt issuer is not configured"],
    ["signed by another", bearer(testIssuer().token(claims)), "401 Jwt verification fails"],
    [
      "of another key",
      bearer(issuer.token(claims, { kid: "three" })),
      "401 Jwks doesn't have key to match kid or alg from Jwt",
    ],
    ["of no key in particular", bearer(issuer.token(claims, { kid: undefined })), "ok"],
    ["with claims exchanged", bearer(exchanged(issuer.token(claims))), "401 Jwt verification fails"],
    [
      "without signature",
      bearer(`${issuer.token(claims).split(".").slice(0, 2).join(".")}.`),
      "401 Jwt verification fails",
    ],
    ["of algorithm none", bearer(`${b64({ alg: "none" })}.${b64(claims)}.`), "401 Jwt header [alg] is not supported"],
    ["that takes the public key for a secret", bearer(hmacToken(issuer.jwks, claims)), "401 Jwt verification fails"],
    [
      "of two parts",
      bearer("a.b"),
      "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
    ["after more than one space", bearer(` ${issuer.token(claims)} `), "ok"],
    [
      "that is twice there",
      {
        headers: [
          ["authorization", "Bearer a.b.c"],
          ["authorization", "Bearer a.b.c"],
        ],
      },
      "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
    ["whose header is no base64", { path: "/?access_token=!.b.c" }, "401 Jwt header is an invalid Base64url encoded"],
    [
      "whose header is no JSON",
      bearer(`${Buffer.from("{").toString("base64url")}.b.c`),
      "401 Jwt header is an invalid JSON",
    ],
    [
      "without algorithm",
      bearer(`${b64({})}.${b64({})}.c`),
      "401 Jwt header [alg] field is required and must be a string",
    ],
    ["whose payload is a list", bearer(`${b64({ alg: "ES256" })}.${b64([])}.cc`), "401 Jwt payload is an invalid JSON"],
    [
      "whose expiry is a text",
      bearer(issuer.token({ ...claims, exp: "soon" })),
      "401 Jwt payload [exp] field is not an integer",
    ],
    [
      "whose expiry is negative",
      bearer(issuer.token({ ...claims, exp: -1 })),
      "401 Jwt payload [exp] field is not a positive 64 bit integer",
    ],
    [
      "whose subject is a number",
      bearer(issuer.token({ ...claims, sub: 1 })),
      "401 Jwt payload [sub] field is not a string",
    ],
    [
      "whose audience is a number",
      bearer(issuer.token({ ...claims, aud: 1 })),
      "401 Jwt payload [aud] field is not a string or string list",
    ],
  ])("%s", (_title, request, expected) => {
    expect(ask(request).said).toBe(expected);
  });

  it.each(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"])(
    "of %s",
    (alg) => {
      const signer = testIssuer(alg);
      const filter = filterOf(config({ a: provider(signer.jwks) }));
      expect(filter.ask(bearer(signer.token(claims))).said).toBe("ok");
      expect(filter.ask(bearer(exchanged(signer.token(claims)))).said).toBe("401 Jwt verification fails");
    },
  );

  it("is verified once, and judged by the clock every time", () => {
    const { context, time } = fakeContext();
    time.ms = NOW * 1000;
    const filter = jwtAuthnRuntime.create(config({ a: provider(issuer.jwks) }), context);
    const again = () => {
      const exchange = new FakeExchange(bearer(issuer.token({ ...claims, exp: NOW + 10 })));
      filter.onRequestHead?.(exchange);
      return exchange.replies[0]?.body ?? "ok";
    };
    expect([again(), again()]).toEqual(["ok", "ok"]);
    time.ms += 71_000;
    expect(again()).toBe("Jwt is expired");
  });
});

const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function exchanged(token: string): string {
  const [header, , signature] = token.split(".");
  return `${header}.${b64({ ...claims, sub: "mallory" })}.${signature}`;
}

describe("keys", () => {
  it.each<[string, string, string]>([
    ["none could be fetched", '{"keys":[]}', "401 Jwks doesn't have any valid public key"],
    ["what is no key set", "nonsense", "401 Jwks doesn't have any valid public key"],
    [
      "only keys nobody can read",
      '{"keys":[{"kty":"EC","crv":"P-256"}]}',
      "401 Jwks doesn't have any valid public key",
    ],
  ])("%s: refused", (_title, jwks, expected) => {
    const { ask } = filterOf(config({ a: provider(jwks) }));
    expect(ask(bearer(issuer.token(claims))).said).toBe(expected);
    expect(ask({}).said).toBe("ok");
  });
});

describe("audiences", () => {
  it.each<[string, readonly string[], string]>([
    ["one of them", ["other", "shop"], "ok"],
    ["one by another scheme and without slash", ["http://api.example"], "ok"],
    ["none of them", ["other"], "403 Audiences in Jwt are not allowed"],
  ])("%s", (_title, audiences, expected) => {
    const { ask } = filterOf(config({ a: provider(issuer.jwks, { audiences: [...audiences] }) }));
    expect(ask(bearer(issuer.token(claims))).said).toBe(expected);
  });
});

describe("where tokens are", () => {
  const places = { fromHeaders: [{ name: "X-Token", valuePrefix: "t " }], fromParams: ["tok"], fromCookies: ["sid"] };
  const { ask } = filterOf(config({ a: provider(issuer.jwks, places) }, named("a")));
  const token = issuer.token(claims);
  it.each<[string, HeadInput, string]>([
    ["a header of one's own", { headers: [["x-token", `t ${token}`]] }, "ok"],
    ["that header without its prefix", { headers: [["x-token", token]] }, "401 Jwt is missing"],
    ["a parameter", { path: `/?a=b&tok=${token}` }, "ok"],
    ["a cookie", { headers: [["cookie", `a=b; sid=${token}`]] }, "ok"],
    ["the usual header, which does not count then", bearer(token), "401 Jwt is missing"],
    [
      "two places, one of them bad",
      { path: "/?tok=bad", headers: [["x-token", `t ${token}`]] },
      "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
    ],
  ])("%s", (_title, request, expected) => {
    expect(ask(request).said).toBe(expected);
  });
});

describe("what is told", () => {
  const spec = {
    forwardPayloadHeader: "X-Payload",
    claimToHeaders: [
      { headerName: "X-Sub", claimName: "sub" },
      { headerName: "X-Realm", claimName: "realm.name" },
      { headerName: "X-Aud", claimName: "aud" },
    ],
    normalizePayloadInMetadata: { spaceDelimitedClaims: ["scope"] },
    clearRouteCache: true,
  };
  const { ask } = filterOf(config({ a: provider(issuer.jwks, spec) }));
  const full = { ...claims, scope: "read write", realm: { name: "main" } };

  it("payload to metadata, claims to headers; the token stays here", () => {
    const token = issuer.token(full);
    const { exchange } = ask(bearer(token));
    expect(exchange.dynamicMetadata).toEqual({
      "envoy.filters.http.jwt_authn": { payload: { ...full, scope: ["read", "write"] } },
    });
    expect(exchange.requestEdits.log).toEqual([
      "remove x-payload",
      "remove x-sub",
      "remove x-realm",
      "remove x-aud",
      "publish x-sub=alice",
      "publish x-realm=main",
      `publish x-aud=${Buffer.from(JSON.stringify(claims.aud)).toString("base64")}`,
      `publish x-payload=${token.split(".")[1]}`,
      "remove authorization",
    ]);
    expect(exchange.rematches).toBe(1);
  });

  it("what only a token may say is taken out of requests without one", () => {
    const { exchange } = ask({ headers: [["x-sub", "admin"]] });
    expect(exchange.requestEdits.log).toContain("remove x-sub");
    expect(exchange.dynamicMetadata).toEqual({});
  });

  it("a token in a parameter leaves the path", () => {
    const { exchange } = ask({ path: `/x?a=%20&access_token=${issuer.token(full)}&b` });
    expect(exchange.requestEdits.log.at(-1)).toBe("path /x?a=%20&b");
  });

  it("forwarded, it stays where it was", () => {
    const keep = filterOf(config({ a: provider(issuer.jwks, { forward: true }) }));
    expect(keep.ask(bearer(issuer.token(claims))).exchange.requestEdits.log).toEqual([]);
  });
});

describe("several providers, as for several rules of Istio", () => {
  const second = { ...provider(other.jwks), issuer: "https://two.example" };
  const both = all(any(named("a"), allowMissing), any(named("b"), allowMissing));
  const { ask } = filterOf(config({ a: provider(issuer.jwks), b: second }, any(named("a"), named("b"), both)));
  const forB = { ...claims, iss: "https://two.example" };
  it.each<[string, HeadInput, string]>([
    ["a token of the first", bearer(issuer.token(claims)), "ok"],
    ["a token of the second", bearer(other.token(forB)), "ok"],
    ["none", {}, "ok"],
    ["one of the second that is expired", bearer(other.token({ ...forB, exp: 1 })), "401 Jwt is expired"],
    [
      "one of the first, signed by the second",
      bearer(other.token(claims)),
      "401 Jwks doesn't have key to match kid or alg from Jwt",
    ],
    ["one of somebody else", bearer(issuer.token({ ...claims, iss: "x" })), "401 Jwt issuer is not configured"],
  ])("%s", (_title, request, expected) => {
    expect(ask(request).said).toBe(expected);
  });
});

describe("rules and routes", () => {
  const message = {
    providers: { a: provider(issuer.jwks) },
    rules: [{ match: { pathSpecifier: { $case: "path", value: "/open" } } }, rule(named("a"))],
    requirementMap: { lenient: any(named("a"), allowMissing) },
    bypassCorsPreflight: true,
  } as Message;
  const { ask, stats } = filterOf(decodeJwt(JwtAuthentication.encode(JwtAuthentication.fromPartial(message)).finish()));

  it.each<[string, HeadInput, string]>([
    ["a path without requirement", { path: "/open" }, "ok"],
    ["others", { path: "/x" }, "401 Jwt is missing"],
    [
      "a preflight",
      {
        method: "OPTIONS",
        headers: [
          ["origin", "a"],
          ["access-control-request-method", "GET"],
        ],
      },
      "ok",
    ],
    ["OPTIONS that are none", { method: "OPTIONS" }, "401 Jwt is missing"],
  ])("%s", (_title, request, expected) => {
    expect(ask(request).said).toBe(expected);
  });

  it.each([
    [{ kind: "disabled" }, "continue"],
    [{ kind: "requirement", name: "lenient" }, "continue"],
    [{ kind: "requirement", name: "unknown" }, "replied"],
  ])("a route says %o: %s", (route, expected) => {
    const { context } = fakeContext();
    const exchange = new FakeExchange({ path: "/x" });
    exchange.configs["envoy.filters.http.jwt_authn"] = route;
    const made = decodeJwt(JwtAuthentication.encode(JwtAuthentication.fromPartial(message)).finish());
    expect(jwtAuthnRuntime.create(made, context).onRequestHead?.(exchange)).toBe(expected);
  });

  it("counts", () => {
    expect(stats.total("envoy_http_jwt_authn_denied")).toBe(2);
    expect(stats.total("envoy_http_jwt_authn_cors_preflight_bypassed")).toBe(1);
  });
});

describe("answers", () => {
  const answer = (requires: object, request: HeadInput, more = {}) =>
    filterOf(config({ a: provider(issuer.jwks) }, requires, more)).ask(request).exchange.replies[0];

  it("tell why, and how to do better", () => {
    expect(answer(named("a"), { path: "/x?y", authority: "a.example" })).toEqual({
      status: 401,
      body: "Jwt is missing",
      flag: "",
      details: "jwt_authn_access_denied{Jwt_is_missing}",
      headers: [["www-authenticate", 'Bearer realm="http://a.example/x?y"']],
    });
    const bad = answer(named("a"), { ...bearer("x"), authority: "a.example" });
    expect(bad?.headers).toEqual([["www-authenticate", 'Bearer realm="http://a.example/", error="invalid_token"']]);
  });

  it("or say nothing", () => {
    expect(answer(named("a"), {}, { stripFailureResponse: true })).toMatchObject({
      status: 401,
      body: "",
      headers: [],
    });
  });
});

describe("what cannot be honoured is refused", () => {
  it.each<[string, Message, string]>([
    [
      "no keys",
      { providers: { a: { issuer: "x" } } },
      "providers[a].local_jwks: inline_string or inline_bytes is required",
    ],
    [
      "a requirement of nobody",
      { rules: [rule(named("b"))] } as Message,
      'rules[0].requires: there is no provider "b"',
    ],
  ])("%s", (_title, message, expected) => {
    const bytes = JwtAuthentication.encode(JwtAuthentication.fromPartial(message)).finish();
    expect(() => decodeJwt(bytes)).toThrow(expected);
  });

  it("a route that says nothing", () => {
    expect(() => decodeJwtRoute(new Uint8Array(0))).toThrow("requirement_specifier");
  });
});
