import { decodeText, type Resource } from "@lateen/mesh-model";
import type { RBAC } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import { RBAC as HttpRbac } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { describe, expect, it } from "vitest";
import { httpManagerOf, service, viewOf } from "../testing/mesh.ts";
import { authorizationRules } from "./authorization.ts";

function policies(...specs: readonly string[]): readonly Resource<"AuthorizationPolicy">[] {
  return specs.map((spec, index) => {
    const text = `{ apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: { name: p${index}, namespace: ns }, spec: ${spec} }`;
    const [document] = decodeText({ file: "p.yaml", text });
    if (!document?.ok) throw new Error(JSON.stringify(document));
    return document.object as Resource<"AuthorizationPolicy">;
  });
}
function compile(layer: "http" | "tcp", ...specs: readonly string[]) {
  return authorizationRules(policies(...specs), { trustDomains: ["td", "old"], layer });
}
const ALLOW = (rule: string) => `{ rules: [${rule}] }`;
const DENY = (rule: string) => `{ action: DENY, rules: [${rule}] }`;

interface Tree {
  readonly [field: string]: Tree & string;
}
const tree = (value: unknown): Tree => value as Tree;

/** A matcher tree as short text. */
function text(value: unknown): string {
  const node = tree(value).rule ?? tree(value).identifier;
  const { $case: kind, value: inner } = node as unknown as { readonly $case: string; readonly value: Tree };
  const parts = () => (inner.rules ?? inner.ids) as unknown as readonly unknown[];
  switch (kind) {
    case "any":
      return "any";
    case "andRules":
    case "andIds":
      return parts().map(text).join(" ");
    case "orRules":
    case "orIds":
      return `(${parts().map(text).join(" | ")})`;
    case "notRule":
    case "notId":
      return `not ${text(inner)}`;
    case "authenticated":
      return `from ${string(inner.principalName)}`;
    case "header":
      return `${inner.name} ${string(inner.headerMatchSpecifier?.value)}`;
    case "urlPath":
      return `path ${string(inner.rule?.value)}`;
    case "requestedServerName":
      return `sni ${string(inner)}`;
    case "destinationPort":
      return `port ${String(inner)}`;
    default:
      return `${kind} ${inner.addressPrefix}/${inner.prefixLen}`;
  }
}
function string(matcher: unknown): string {
  const { $case: kind, value } = tree(matcher).matchPattern as unknown as {
    readonly $case: string;
    readonly value: Tree;
  };
  return `${kind} ${kind === "safeRegex" ? value.regex : String(value)}`;
}
function lines(rbac: RBAC | undefined): readonly string[] {
  return Object.entries(rbac?.policies ?? {}).map(
    ([name, policy]) =>
      `${name}: ${policy.principals.map(text).join(" or ")} → ${policy.permissions.map(text).join(" or ")}`,
  );
}
const one = (rule: string) => lines(compile("http", ALLOW(rule)).allow)[0]?.replace("ns[ns]-policy[p0]-rule[0]: ", "");

describe("sources", () => {
  it.each([
    ["principals: [td/ns/a/sa/b]", "(from exact spiffe://td/ns/a/sa/b | from exact spiffe://old/ns/a/sa/b) → any"],
    ["principals: [old/ns/a/sa/b]", "(from exact spiffe://td/ns/a/sa/b | from exact spiffe://old/ns/a/sa/b) → any"],
    [
      "principals: [cluster.local/ns/a/sa/b]",
      "(from exact spiffe://td/ns/a/sa/b | from exact spiffe://old/ns/a/sa/b) → any",
    ],
    ["principals: [foreign/ns/a/sa/b]", "from exact spiffe://foreign/ns/a/sa/b → any"],
    ["principals: ['*']", "from safeRegex .+ → any"],
    ["principals: ['*/sa/b']", "from suffix /sa/b → any"],
    ["principals: ['foreign/ns/a/*']", "from prefix spiffe://foreign/ns/a/ → any"],
    ["namespaces: [a]", "from safeRegex spiffe://[^/]+/ns/a/sa/[^/]+ → any"],
    ["namespaces: ['a*']", "from safeRegex spiffe://[^/]+/ns/a[^/]*/sa/[^/]+ → any"],
    ["notNamespaces: [a.b]", "not from safeRegex spiffe://[^/]+/ns/a\\.b/sa/[^/]+ → any"],
    ["serviceAccounts: [b]", "from safeRegex spiffe://[^/]+/ns/ns/sa/b → any"],
    ["serviceAccounts: [a/b]", "from safeRegex spiffe://[^/]+/ns/a/sa/b → any"],
    ["ipBlocks: [10.0.0.0/8, 192.0.2.1]", "(directRemoteIp 10.0.0.0/8 | directRemoteIp 192.0.2.1/32) → any"],
    ["remoteIpBlocks: ['2001:db8::1']", "remoteIp 2001:db8::1/128 → any"],
  ])("%s", (source, expected) => {
    expect(one(`{ from: [{ source: { ${source} } }] }`)).toBe(expected);
  });

  it("are alternatives, each an AND of its fields", () => {
    expect(
      one("{ from: [{ source: { namespaces: [a], ipBlocks: [10.0.0.1] } }, { source: { ipBlocks: [10.0.0.2] } }] }"),
    ).toBe(
      "from safeRegex spiffe://[^/]+/ns/a/sa/[^/]+ directRemoteIp 10.0.0.1/32 or directRemoteIp 10.0.0.2/32 → any",
    );
  });
});

describe("operations", () => {
  it.each([
    ["methods: [GET, POST]", "any → (:method exact GET | :method exact POST)"],
    ["notMethods: [GET]", "any → not :method exact GET"],
    ["paths: [/a, '/b*', '*.js', '*']", "any → (path exact /a | path prefix /b | path suffix .js | path safeRegex .+)"],
    ["paths: ['/v/{*}/x', '/v/{**}']", "any → (path safeRegex /v/[^/]+/x | path safeRegex /v/.*)"],
    ["hosts: [a.com, 'b.com:*']", "any → (:authority exact a.com | :authority prefix b.com:)"],
    ["ports: ['8080']", "any → port 8080"],
  ])("%s", (operation, expected) => {
    expect(one(`{ to: [{ operation: { ${operation} } }] }`)).toBe(expected);
  });
});

describe("conditions", () => {
  it.each([
    ["{ key: 'request.headers[X-Token]', values: [a, 'b*'] }", "(x-token exact a | x-token prefix b) → any"],
    ["{ key: source.namespace, notValues: [a] }", "not from safeRegex spiffe://[^/]+/ns/a/sa/[^/]+ → any"],
    ["{ key: source.principal, values: [foreign/ns/a/sa/b] }", "from exact spiffe://foreign/ns/a/sa/b → any"],
    ["{ key: destination.port, values: ['80'] }", "any → port 80"],
    ["{ key: destination.ip, values: [10.0.0.0/8] }", "any → destinationIp 10.0.0.0/8"],
    ["{ key: connection.sni, values: [a.com] }", "any → sni exact a.com"],
    ["{ key: remote.ip, values: [10.0.0.1] }", "remoteIp 10.0.0.1/32 → any"],
  ])("%s", (condition, expected) => {
    expect(one(`{ when: [${condition}] }`)).toBe(expected);
  });
});

describe("policies together", () => {
  it("deny and allow are separate; an allow list without rules lets nothing in", () => {
    const both = compile("http", DENY("{ to: [{ operation: { methods: [PUT] } }] }"), ALLOW("{}"));
    expect(lines(both.deny)).toEqual(["ns[ns]-policy[p0]-rule[0]: any → :method exact PUT"]);
    expect(lines(both.allow)).toEqual(["ns[ns]-policy[p1]-rule[0]: any → any"]);
    expect(compile("http", "{}").allow).toMatchObject({ policies: {} });
    expect(compile("http")).toEqual({ deny: undefined, allow: undefined });
  });

  it("AUDIT changes nothing", () => {
    expect(compile("http", "{ action: AUDIT, rules: [{}] }")).toEqual({ deny: undefined, allow: undefined });
  });

  it("on TCP, HTTP-only parts make an allow rule void and a deny rule wider", () => {
    const rule = "{ from: [{ source: { namespaces: [a] } }], to: [{ operation: { methods: [GET], ports: ['1'] } }] }";
    expect(compile("tcp", ALLOW(rule)).allow).toMatchObject({ policies: {} });
    expect(lines(compile("tcp", DENY(rule)).deny)).toEqual([
      "ns[ns]-policy[p0]-rule[0]: from safeRegex spiffe://[^/]+/ns/a/sa/[^/]+ → port 1",
    ]);
  });

  it("policies of the root namespace and of the workload's are united, deny stands first", () => {
    const policy = (name: string, namespace: string, spec: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
---`;
    const yaml = [
      service("web", "10.0.0.1", ["http:80"]),
      policy("mesh", "istio-system", "{ action: DENY, rules: [{ to: [{ operation: { methods: [TRACE] } }] }] }"),
      policy("web", "default", "{ selector: { matchLabels: { app: web } }, rules: [{}] }"),
      policy("else", "default", "{ selector: { matchLabels: { app: else } }, action: DENY, rules: [{}] }"),
      policy("prod", "prod", "{ action: DENY, rules: [{}] }"),
    ].join("");
    const chain = viewOf(yaml, { labels: { app: "web" } })
      .listener("virtualInbound")
      .filterChains.find((candidate) => candidate.filterChainMatch?.destinationPort === 80);
    const found = httpManagerOf(chain?.filters[0])
      .httpFilters.filter(({ name }) => name === "envoy.filters.http.rbac")
      .map(({ configType }) =>
        HttpRbac.decode(configType?.$case === "typedConfig" ? configType.value.value : Buffer.alloc(0)),
      );
    expect(found.map(({ rules }) => [rules?.action, Object.keys(rules?.policies ?? {})])).toEqual([
      [1, ["ns[istio-system]-policy[mesh]-rule[0]"]],
      [0, ["ns[default]-policy[web]-rule[0]"]],
    ]);
  });
});
