import { decodeText, type ExtAuthzProvider, type Resource } from "@lateen/mesh-model";
import type { RBAC } from "@lateen/proto/envoy/config/rbac/v3/rbac";
import { ExtAuthz } from "@lateen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz";
import { RBAC as HttpRbac } from "@lateen/proto/envoy/extensions/filters/http/rbac/v3/rbac";
import { describe, expect, it } from "vitest";
import { httpManagerOf, service, viewOf } from "../testing/mesh.ts";
import { authorizationRules } from "./authorization.ts";
import { customFilters } from "./ext-authz.ts";

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

describe("CUSTOM policies", () => {
  const CUSTOM = (provider: string, rule = "{}") =>
    `{ action: CUSTOM, provider: { name: ${provider} }, rules: [${rule}] }`;
  const provider = (kind: "grpc" | "http"): ExtAuthzProvider => ({
    kind,
    service: "infra/authz.infra.svc.cluster.local",
    port: 9000,
    timeoutMs: 1500,
    failOpen: true,
    statusOnError: 503,
    clearRouteCache: false,
    body: { maxBytes: 100, allowPartial: true, asBytes: false },
    pathPrefix: "/check",
    requestHeaders: ["x-a", "x-b-*"],
    additionalHeaders: { "x-mesh": "m" },
    upstreamOnAllow: ["*-user"],
    downstreamOnDeny: ["*"],
    downstreamOnAllow: [],
  });
  const compiled = (kind: "grpc" | "http", layer: "http" | "tcp", tokens: boolean, ...specs: readonly string[]) =>
    authorizationRules(policies(...specs), {
      trustDomains: ["td"],
      layer,
      tokens,
      providers: new Map([["p", provider(kind)]]),
    });
  const filtersOf = (kind: "grpc" | "http", ...specs: readonly string[]) => {
    const { custom } = compiled(kind, "http", true, ...specs);
    return customFilters(custom ?? raise()).map(({ name, configType }) => {
      const bytes = configType?.$case === "typedConfig" ? configType.value.value : Buffer.alloc(0);
      return name.endsWith("rbac") ? HttpRbac.toJSON(HttpRbac.decode(bytes)) : ExtAuthz.toJSON(ExtAuthz.decode(bytes));
    });
  };

  it("ask their provider about the requests they speak of", () => {
    const [shadow, authz] = filtersOf("grpc", CUSTOM("p", "{ to: [{ operation: { paths: [/admin*] } }] }"));
    expect(Object.keys(tree(shadow).shadowRules?.policies ?? {})).toEqual([
      "istio-ext-authz-p-ns[ns]-policy[p0]-rule[0]",
    ]);
    expect(shadow).toMatchObject({ shadowRulesStatPrefix: "istio_ext_authz_" });
    expect(authz).toMatchObject({
      grpcService: {
        envoyGrpc: {
          clusterName: "outbound|9000||authz.infra.svc.cluster.local",
          authority: "authz.infra.svc.cluster.local",
        },
        timeout: "1.5s",
      },
      transportApiVersion: "V3",
      failureModeAllow: true,
      statusOnError: { code: "ServiceUnavailable" },
      withRequestBody: { maxRequestBytes: 100, allowPartialMessage: true },
      filterEnabledMetadata: {
        filter: "envoy.filters.http.rbac",
        path: [{ key: "istio_ext_authz_shadow_effective_policy_id" }],
        value: { stringMatch: { prefix: "istio-ext-authz-p" } },
      },
    });
  });

  it("ask HTTP services with the headers they are to see", () => {
    const [, authz] = filtersOf("http", CUSTOM("p"));
    expect(authz).toMatchObject({
      allowedHeaders: {
        patterns: [
          { exact: "x-a", ignoreCase: true },
          { prefix: "x-b-", ignoreCase: true },
        ],
      },
      httpService: {
        serverUri: { cluster: "outbound|9000||authz.infra.svc.cluster.local", timeout: "1.5s" },
        pathPrefix: "/check",
        authorizationRequest: { headersToAdd: [{ key: "x-mesh", value: "m" }] },
        authorizationResponse: {
          allowedUpstreamHeaders: { patterns: [{ suffix: "-user", ignoreCase: true }] },
          allowedClientHeaders: { patterns: [{ prefix: "", ignoreCase: true }] },
        },
      },
    });
  });

  it.each([
    ["a provider that nobody defined", "http", true, [CUSTOM("other")]],
    ["two providers", "http", true, [CUSTOM("p"), CUSTOM("other")]],
    ["bytes", "tcp", true, [CUSTOM("p")]],
    ["servers without a proxy", "http", false, [CUSTOM("p")]],
  ] as const)("deny everything for %s", (_title, layer, tokens, specs) => {
    const { custom, deny } = compiled("grpc", layer, tokens, ...specs);
    expect([custom, Object.keys(deny?.policies ?? {})[0]]).toEqual([undefined, "ns[ns]-policy[p0]-rule[0]"]);
  });

  it("stand beside the others", () => {
    const { custom, deny, allow } = compiled("grpc", "http", true, CUSTOM("p"), DENY("{}"), ALLOW("{}"));
    expect([
      custom?.providerName,
      Object.keys(deny?.policies ?? {}).length,
      Object.keys(allow?.policies ?? {}).length,
    ]).toEqual(["p", 1, 1]);
  });
});

function raise(): never {
  throw new Error("no filters");
}
