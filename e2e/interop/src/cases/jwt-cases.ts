import { type Case, object, virtualService } from "./case.ts";
import { BAD, GOOD, ISSUER, JWKS, MALFORMED, token } from "./tokens.ts";

const inbound = { to: ["inbound:9080"], hosts: ["client", "client:9080"], paths: ["/", "/a?b=c"] };

/** A RequestAuthentication of the workload; rules are flow YAML. */
const tokens = (...rules: readonly string[]) =>
  object(
    "RequestAuthentication",
    "tokens",
    `  selector: { matchLabels: { app: client } }\n  jwtRules:\n${rules.map((rule) => `    - ${rule}\n`).join("")}`,
  );
const rule = (more = "") => `{ issuer: "${ISSUER}", jwks: '${JWKS}'${more} }`;
const policy = (name: string, spec: string) =>
  object("AuthorizationPolicy", name, `  selector: { matchLabels: { app: client } }\n${spec}`);

const good = token();
const places = [
  {},
  { authorization: `Bearer ${good}` },
  { "x-token": `Token ${good}` },
  { "x-token": good },
  { "x-token": "Token a" },
  { cookie: `other=1; session=${good}` },
  { cookie: "session=bad" },
  { cookie: `session=${good}`, "x-token": "Token a" },
];

/**
 * RequestAuthentication, and what access rules make of tokens. (Envoy writes the other parameters of a query anew when it takes a
 * token out, and forgets to escape them: these cases have none that need it.)
 */
export const jwtCases: readonly Case[] = [
  { name: "tokens that are good", yaml: tokens(rule()), requests: { ...inbound, headers: GOOD } },
  {
    name: "tokens for an audience",
    yaml: tokens(rule(", audiences: [shop, 'http://api.example']")),
    requests: { ...inbound, headers: [...GOOD, ...BAD] },
  },
  { name: "tokens that are not", yaml: tokens(rule()), requests: { ...inbound, headers: BAD } },
  { name: "tokens that are none", yaml: tokens(rule()), requests: { ...inbound, headers: MALFORMED } },
  {
    name: "without keys nobody gets in",
    yaml: tokens(`{ issuer: "${ISSUER}", jwks: '{"keys":[]}' }`),
    requests: { ...inbound, headers: [...GOOD, ...BAD] },
  },
  {
    name: "places of one's own",
    yaml: tokens(
      rule(", fromHeaders: [{ name: x-token, prefix: 'Token ' }], fromParams: [tok], fromCookies: [session]"),
    ),
    requests: {
      ...inbound,
      paths: ["/", `/?tok=${good}`, `/?a=b&tok=${good}&c=d`, "/?tok=bad", "/?tok="],
      headers: places,
    },
  },
  {
    name: "the usual parameter",
    yaml: tokens(rule()),
    requests: {
      ...inbound,
      paths: ["/", `/?access_token=${good}`, `/x?a=b&access_token=${good}`, "/?access_token=x"],
      headers: [{}, { authorization: `Bearer ${good}` }],
    },
  },
  {
    name: "what the application is told",
    yaml: tokens(
      rule(
        ", forwardOriginalToken: true, outputPayloadToHeader: x-payload, outputClaimToHeaders: [{ header: x-user, claim: sub }, { header: x-roles, claim: realm.roles }, { header: x-exp, claim: scope }, { header: x-none, claim: none }]",
      ),
    ),
    requests: {
      ...inbound,
      headers: [
        {},
        { authorization: `Bearer ${good}` },
        { "x-user": "mallory", "x-payload": "x", "x-none": "y" },
        { authorization: `Bearer ${good}`, "x-user": "mallory" },
      ],
    },
  },
  {
    name: "several issuers",
    yaml: tokens(
      rule(),
      `{ issuer: "https://other.example", jwks: '${JWKS}', audiences: [shop] }`,
      rule(", fromHeaders: [{ name: x-token }]"),
    ),
    requests: {
      ...inbound,
      headers: [
        ...GOOD,
        ...BAD,
        { "x-token": good },
        { "x-token": "bad" },
        { "x-token": good, authorization: "Bearer bad" },
      ],
    },
  },
  {
    name: "access rules on tokens",
    yaml:
      tokens(rule(", outputClaimToHeaders: [{ header: x-user, claim: sub }]")) +
      policy(
        "allow",
        `  rules:
    - from: [{ source: { requestPrincipals: ["${ISSUER}/alice"] } }]
      to: [{ operation: { paths: [/] } }]
    - to: [{ operation: { paths: [/admin] } }]
      when:
        - { key: "request.auth.claims[realm][roles]", values: [admin] }
        - { key: request.auth.audiences, values: [shop] }
    - to: [{ operation: { paths: [/scope] } }]
      when: [{ key: "request.auth.claims[scope]", values: [write] }]
    - to: [{ operation: { paths: [/nobody] } }]
      from: [{ source: { notRequestPrincipals: ["*"] } }]
    - to: [{ operation: { paths: [/presenter] } }]
      when: [{ key: request.auth.presenter, values: ["c*"] }, { key: request.auth.principal, notValues: ["*/bob"] }]
    - to: [{ operation: { paths: [/header] } }]
      when: [{ key: "request.headers[x-user]", values: [alice] }]`,
      ) +
      policy("deny", `  action: DENY\n  rules: [{ when: [{ key: "request.auth.claims[sub]", values: [mallory] }] }]`),
    requests: {
      ...inbound,
      paths: ["/", "/admin", "/scope", "/nobody", "/presenter", "/header"],
      headers: [
        {},
        { authorization: `Bearer ${good}` },
        { authorization: `Bearer ${token({ sub: "bob", aud: "other", scope: "read" })}` },
        { authorization: `Bearer ${token({ sub: "mallory" })}` },
        { authorization: `Bearer ${token({ realm: { roles: "admin" } })}` },
        { authorization: `Bearer ${token({ realm: "admin", azp: "other", scope: ["write"] })}` },
        { authorization: `Bearer ${token({ sub: undefined })}` },
        { "x-user": "alice" },
      ],
    },
  },
];

const edge = object(
  "Gateway",
  "edge",
  "  selector: { istio: ingressgateway }\n  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]",
);

/** Routes by claims, which only gateways have. */
export const claimRouteCases: readonly Case[] = [
  {
    name: "routes by claims",
    yaml:
      edge +
      object(
        "RequestAuthentication",
        "edge",
        `  selector: { matchLabels: { istio: ingressgateway } }\n  jwtRules:\n    - ${rule(", outputClaimToHeaders: [{ header: x-user, claim: sub }]")}`,
      ) +
      virtualService(
        "edge",
        `  hosts: ["*"]
  gateways: [edge]
  http:
    - match: [{ headers: { "@request.auth.claims.realm.roles": { exact: admin } } }]
      directResponse: { status: 200, body: { string: admin } }
    - match: [{ headers: { "@request.auth.claims[sub]": { regex: "bo.*" } }, withoutHeaders: { "@request.auth.claims.azp": { prefix: c } } }]
      directResponse: { status: 200, body: { string: bob } }
    - match: [{ headers: { x-user: { exact: carol } } }]
      directResponse: { status: 200, body: { string: carol } }
    - match: [{ headers: { "@request.auth.claims.iss": {} } }]
      directResponse: { status: 200, body: { string: somebody } }
    - directResponse: { status: 401, body: { string: nobody } }`,
      ),
    requests: {
      to: ["gateway:80"],
      hosts: ["a.example"],
      paths: ["/"],
      headers: [
        {},
        { authorization: `Bearer ${good}` },
        { authorization: `Bearer ${token({ realm: { roles: "admin" } })}` },
        { authorization: `Bearer ${token({ realm: 1, sub: "bob", azp: "x" })}` },
        { authorization: `Bearer ${token({ realm: 1, sub: "bob" })}` },
        { authorization: `Bearer ${token({ realm: 1, sub: "carol" })}` },
        { authorization: "Bearer x" },
        { "x-user": "carol" },
      ],
    },
  },
];
