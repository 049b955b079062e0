import { describe, expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

const rule = (text: string) => `{jwtRules: [{issuer: a, jwksUri: "https://a/keys", ${text}}]}`;
const keys = (text: string) => `{jwtRules: [{issuer: a, ${text}}]}`;

describe("a RequestAuthentication is accepted", () => {
  it.each([
    [
      "with remote keys and every location",
      rule("audiences: [x], fromHeaders: [{name: x-jwt, prefix: 'Bearer '}], fromParams: [t], fromCookies: [c]"),
    ],
    ["with keys of its own", keys(`jwks: '{"keys": []}'`)],
    [
      "with outputs",
      rule(
        "outputPayloadToHeader: x-p, outputClaimToHeaders: [{header: x-g, claim: group}], forwardOriginalToken: true, timeout: 2s",
      ),
    ],
    ["with an issuer who publishes keys", "{jwtRules: [{issuer: 'https://a'}]}"],
    ["with claims that are lists", rule("spaceDelimitedClaims: [groups]")],
    ["without rules", "{selector: {matchLabels: {app: a}}}"],
  ])("%s", (_title, spec) => {
    expect(findingsOf(documentOf("RequestAuthentication", spec))).toEqual([]);
  });
});

describe("a RequestAuthentication is refused, or warned about", () => {
  it.each([
    ["without an issuer", "{jwtRules: [{jwksUri: 'https://a'}]}", 'error spec.jwtRules[0]: field "issuer" is required'],
    [
      "without keys and a place to look for them",
      keys("audiences: [x]"),
      "error spec.jwtRules[0]: jwks or jwksUri is required: keys can only be looked for below an issuer that is a URL",
    ],
    [
      "with both",
      rule(`jwks: '{"keys": []}'`),
      "error spec.jwtRules[0].jwks: only one of jwks and jwksUri can be used",
    ],
    [
      "with another scheme",
      keys("jwksUri: 'ftp://a'"),
      'error spec.jwtRules[0].jwksUri: "ftp://a" is not an http or https URL',
    ],
    [
      "with keys that are none",
      keys("jwks: '{}'"),
      'error spec.jwtRules[0].jwks: jwks is not a JSON Web Key Set: {"keys": [...]}',
    ],
    [
      "with a private key",
      keys(`jwks: '{"keys": [{"kty": "EC", "d": "x"}]}'`),
      "warning spec.jwtRules[0].jwks: jwks contains a private key, which everybody who may read this object can use",
    ],
    [
      "with an empty audience",
      rule("audiences: ['']"),
      "error spec.jwtRules[0].audiences[0]: a value must not be empty",
    ],
    [
      "with a bad header",
      rule("outputPayloadToHeader: 'a b'"),
      'error spec.jwtRules[0].outputPayloadToHeader: "a b" is not a header name',
    ],
    [
      "with a prefix that no header has",
      rule('fromHeaders: [{name: x-a, prefix: "a\\nb"}]'),
      "error spec.jwtRules[0].fromHeaders[0].prefix: a header value must not contain control characters",
    ],
    ["for a Service", "{targetRefs: [{kind: Service, name: a}]}", "error spec.targetRefs[0].kind: only a Gateway"],
    [
      "with a selector and a target",
      "{selector: {matchLabels: {a: b}}, targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: a}}",
      "error spec: only one of selector, targetRef and targetRefs",
    ],
  ])("%s", (_title, spec, expected) => {
    expect(
      findingsOf(documentOf("RequestAuthentication", spec)).map((text) => text.slice(0, expected.length)),
    ).toContain(expected);
  });
});
