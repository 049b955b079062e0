import { describe, expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

const rule = (text: string, action = "ALLOW") => `{action: ${action}, rules: [${text}]}`;

describe("an AuthorizationPolicy is accepted", () => {
  it.each([
    ["for a principal", rule('{from: [{source: {principals: ["cluster.local/ns/default/sa/a", "*"]}}]}')],
    ["for everybody", rule("{}")],
    [
      "with every kind of condition",
      rule(
        '{from: [{source: {namespaces: [a], ipBlocks: [10.0.0.0/8, "::1"], notNamespaces: [b*]}}], to: [{operation: {methods: [GET], paths: [/a*, "*.html", "/x/{*}/y/{**}"], hosts: ["a.example.com:*"], ports: ["80"]}}], when: [{key: "request.headers[x-user]", values: [a]}, {key: source.ip, notValues: [10.0.0.1]}, {key: destination.port, values: ["80"]}, {key: connection.sni, values: [a.example.com]}]}',
      ),
    ],
    ["for service accounts", rule("{from: [{source: {serviceAccounts: [a, ns/b]}}]}")],
    ["that asks a service", "{action: CUSTOM, provider: {name: a}, rules: [{to: [{operation: {paths: [/admin*]}}]}]}"],
    ["as a denial", rule("{to: [{operation: {methods: [POST]}}]}", "DENY")],
  ])("%s", (_, spec) => {
    expect(findingsOf(documentOf("AuthorizationPolicy", spec))).toEqual([]);
  });
});

describe("an AuthorizationPolicy is refused, or warned about", () => {
  it.each([
    ["when it denies all by having no rules", "{}", "warning spec: an ALLOW policy without rules denies every request"],
    ["when it denies nothing", "{action: DENY}", "error spec: a DENY policy needs rules"],
    ["with a custom action without provider", rule("{}", "CUSTOM"), "error spec: a CUSTOM policy needs provider.name"],
    [
      "with a custom action that depends on who calls",
      "{action: CUSTOM, provider: {name: a}, rules: [{from: [{source: {principals: [a]}}]}]}",
      "error spec.rules[0].from[0].source.principals: principals cannot be used with CUSTOM",
    ],
    [
      "with a provider that nobody asks",
      "{provider: {name: a}, rules: [{}]}",
      "error spec.provider: only CUSTOM policies have a provider",
    ],
    [
      "with an unknown action",
      rule("{}", "ALOW"),
      'error spec.action: "ALOW" is not one of ALLOW, DENY, AUDIT, CUSTOM',
    ],
    ["with an empty source list", rule("{from: []}"), "error spec.rules[0].from: from must not be empty"],
    [
      "with a value that no proxy can hold",
      rule(`{from: [{source: {namespaces: [${"a".repeat(513)}]}}]}`),
      "error spec.rules[0].from[0].source.namespaces[0]: a value has at most 512 characters",
    ],
    [
      "with an empty source",
      rule("{from: [{source: {}}]}"),
      "error spec.rules[0].from[0]: a source needs at least one field",
    ],
    [
      "with an empty operation",
      rule("{to: [{operation: {}}]}"),
      "error spec.rules[0].to[0]: an operation needs at least one field",
    ],
    [
      "with an empty value list",
      rule("{to: [{operation: {methods: []}}]}"),
      "error spec.rules[0].to[0].operation.methods: methods must not be empty",
    ],
    [
      "with a claim that is none",
      rule("{when: [{key: 'request.auth.claims', values: [a]}]}"),
      'error spec.rules[0].when[0].key: "request.auth.claims" names no claim',
    ],
    [
      "with an unknown condition",
      rule("{when: [{key: source.namspace, values: [a]}]}"),
      'error spec.rules[0].when[0].key: "source.namspace" is not a condition',
    ],
    [
      "with a condition without values",
      rule("{when: [{key: source.ip}]}"),
      "error spec.rules[0].when[0]: a condition needs values or notValues",
    ],
    [
      "with a port that is none",
      rule("{to: [{operation: {ports: [http]}}]}"),
      'error spec.rules[0].to[0].operation.ports[0]: "http" is not a port number',
    ],
    [
      "with an address that is none",
      rule("{from: [{source: {ipBlocks: [10.0.0.0/40]}}]}"),
      'error spec.rules[0].from[0].source.ipBlocks[0]: "10.0.0.0/40" is not an address or CIDR',
    ],
    [
      "with an account and a namespace",
      rule("{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}"),
      "error spec.rules[0].from[0].source.serviceAccounts: serviceAccounts and namespaces exclude each other",
    ],
    [
      "with an account pattern",
      rule("{from: [{source: {serviceAccounts: ['a*']}}]}"),
      "error spec.rules[0].from[0].source.serviceAccounts[0]: wildcards are not supported in service accounts",
    ],
    [
      "with a template half open",
      rule('{to: [{operation: {paths: ["/a/{*"]}}]}'),
      'error spec.rules[0].to[0].operation.paths[0]: "/a/{*": only {*} and {**} can be used',
    ],
    [
      "with a template that goes on",
      rule('{to: [{operation: {paths: ["/{**}/{*}"]}}]}'),
      'error spec.rules[0].to[0].operation.paths[0]: "/{**}/{*}": {**} must be the last operator',
    ],
    [
      "with a principal's scheme",
      rule('{from: [{source: {principals: ["spiffe://cluster.local/ns/a/sa/b"]}}]}', "DENY"),
      'warning spec.rules[0].from[0].source.principals[0]: "spiffe://cluster.local/ns/a/sa/b" never matches',
    ],
    [
      "with a lower-case method",
      rule("{to: [{operation: {methods: [get]}}]}"),
      'warning spec.rules[0].to[0].operation.methods[0]: "get" never matches',
    ],
    [
      "with a relative path",
      rule("{to: [{operation: {paths: [admin]}}]}"),
      'warning spec.rules[0].to[0].operation.paths[0]: "admin" never matches',
    ],
    [
      "with a wildcard selector",
      "{selector: {matchLabels: {app: 'a*'}}, rules: [{}]}",
      "error spec.selector.matchLabels.app: wildcards are not supported in selectors",
    ],
    [
      "with a target",
      "{targetRefs: [{kind: Service, name: a}], rules: [{}]}",
      "error spec.targetRefs[0].kind: only a Gateway",
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("AuthorizationPolicy", spec));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(finding);
  });

  it.each([
    ["asks somebody", "{action: CUSTOM, provider: {name: a}, rules: [{}]}", ["a CUSTOM policy cannot be a dry run"]],
    ["allows", "{rules: [{}]}", []],
    ["denies", "{action: DENY, rules: [{}]}", []],
  ])("as a dry run of what %s", (_title, spec, found) => {
    const text = documentOf("AuthorizationPolicy", spec).replace(
      "{name: it}",
      '{name: it, annotations: {istio.io/dry-run: "true"}}',
    );
    expect(findingsOf(text)).toEqual(found.map((one) => expect.stringContaining(one)));
  });
});

describe("a PeerAuthentication", () => {
  it.each([
    ["is accepted", "{mtls: {mode: STRICT}}", undefined],
    [
      "is accepted by port",
      "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}",
      undefined,
    ],
    [
      "needs a known mode",
      "{mtls: {mode: STRICTLY}}",
      'error spec.mtls.mode: "STRICTLY" is not one of UNSET, DISABLE, PERMISSIVE, STRICT',
    ],
    [
      "needs a selector for ports",
      "{portLevelMtls: {8080: {mode: DISABLE}}}",
      "error spec.portLevelMtls: portLevelMtls needs a selector",
    ],
    [
      "needs port numbers",
      "{selector: {matchLabels: {app: a}}, portLevelMtls: {http: {mode: DISABLE}}}",
      'error spec.portLevelMtls.http: "http" is not a port number',
    ],
    [
      "has no ports of nothing",
      "{selector: {matchLabels: {app: a}}, portLevelMtls: {}}",
      "error spec.portLevelMtls: portLevelMtls must not be empty",
    ],
    [
      "selects by matchLabels",
      "{selector: {labels: {app: a}, matchLabels: {app: a}}}",
      'error spec.selector.labels: unknown field "labels"',
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("PeerAuthentication", spec));
    expect(found).toEqual(finding === undefined ? [] : [expect.stringContaining(finding)]);
  });
});
