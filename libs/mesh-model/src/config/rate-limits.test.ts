import { describe, expect, it } from "vitest";
import { findingsOf } from "../testing/findings.ts";
import { rateLimitsFromText } from "./rate-limits.ts";

const read = (text: string) => rateLimitsFromText(text, "limits.yaml");
function problems(text: string): readonly string[] {
  const result = read(text);
  if (result.ok) throw new Error("it was accepted");
  return result.error.map(({ origin, path, message }) => `${origin.line} ${path}: ${message}`);
}

describe("rate limits", () => {
  it("reads what Envoy's rate-limit service reads", () => {
    const result = read(`
# the shop's
domain: shop
descriptors:
  - key: message_type
    value: marketing
    descriptors:
      - key: to_number
        detailed_metric: true
        rate_limit: { unit: DAY, requests_per_unit: 5, name: few, replaces: [{ name: many }] }
  - key: to_number
    shadow_mode: true
    rate_limit: { unit: second, requests_per_unit: 0, name: many }
  - key: path
    value: /api/*
    share_threshold: true
    rate_limit: { unit: month, requests_per_unit: 7, algorithm: ROLLING_WINDOW }
  - key: ldap
    rate_limit: { unlimited: true }
`);
    const plain = { value: undefined, shadow: false, detailedMetric: false, shareThreshold: false, descriptors: [] };
    expect(result).toEqual({
      ok: true,
      value: {
        domain: "shop",
        descriptors: [
          {
            ...plain,
            key: "message_type",
            value: "marketing",
            limit: undefined,
            descriptors: [
              {
                ...plain,
                key: "to_number",
                detailedMetric: true,
                limit: { rate: { requests: 5, unit: "day", algorithm: "fixed" }, name: "few", replaces: ["many"] },
              },
            ],
          },
          {
            ...plain,
            key: "to_number",
            shadow: true,
            limit: { rate: { requests: 0, unit: "second", algorithm: "fixed" }, name: "many", replaces: [] },
          },
          {
            ...plain,
            key: "path",
            value: "/api/*",
            shareThreshold: true,
            limit: { rate: { requests: 7, unit: "month", algorithm: "rolling" }, name: "", replaces: [] },
          },
          { ...plain, key: "ldap", limit: { rate: "unlimited", name: "", replaces: [] } },
        ],
      },
    });
  });

  const rule = (text: string) => `domain: d\ndescriptors:\n  - ${text}\n`;
  it.each([
    ["nothing", "", [/^1 : there is no/]],
    ["no YAML", "domain: [", [/^1/]],
    ["two documents", "domain: a\n---\ndomain: b\n", [/^2 : a rate-limit configuration must be one document/]],
    ["no domain", "descriptors: []", [/^1 : field "domain" is required/]],
    ["an empty domain", 'domain: ""', [/^1 domain: must not be empty/]],
    ["an unknown field", "domain: d\ndescriptor: []\n", [/^2 descriptor: unknown field "descriptor"/]],
    ["no key", rule("value: a"), [/^3 descriptors\[0\]: field "key" is required/]],
    ["a field that is misspelled", rule("{ key: a, ratelimit: {} }"), [/^3 descriptors\[0\].ratelimit: unknown field/]],
    ["an unknown unit", rule("{ key: a, rate_limit: { unit: week, requests_per_unit: 1 } }"), [/"week" is not one of/]],
    ["a limit without unit and number", rule("{ key: a, rate_limit: {} }"), [/"unit" is/, /"requests_per_unit" is/]],
    ["too many requests", rule("{ key: a, rate_limit: { unit: day, requests_per_unit: 4294967296 } }"), [/between 0/]],
    ["both ways", rule("{ key: a, rate_limit: { unlimited: true, unit: day } }"), [/unlimited has no unit/]],
    ["a rule twice", rule("key: a\n  - key: a"), [/^4 descriptors\[1\]: key "a" without a value is in this list/]],
    [
      "a name nobody has",
      rule("{ key: a, rate_limit: { unlimited: true, replaces: [{ name: x }] } }"),
      [/no limit of/],
    ],
    ["a shared threshold of one value", rule("{ key: a, value: b, share_threshold: true }"), [/end in \* only/]],
    ["what is not honoured", rule("{ key: a, value_to_metric: true }"), [/cannot be used/]],
    ["another algorithm", rule("{ key: a, rate_limit: { algorithm: LEAKY } }"), [/is not one of/]],
  ])("refuses %s", (_title, text, expected) => {
    const found = problems(text);
    expect(found).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) expect(found[index]).toMatch(pattern);
  });

  it("refuses what is nested without end", () => {
    const deep = (levels: number): object => ({
      key: "a",
      ...(levels === 0 ? {} : { descriptors: [deep(levels - 1)] }),
    });
    expect(problems(JSON.stringify({ domain: "d", descriptors: [deep(20)] }))).toEqual([
      expect.stringContaining("nested deeper than 16 levels"),
    ]);
  });
});

describe("the ConfigMap ratelimit-config", () => {
  const map = (namespace: string, data: Record<string, string>) =>
    JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "ratelimit-config", namespace }, data });

  it("is read as such in the root namespace, each key with its lines", () => {
    const data = { "a.yaml": "domain: a\n", "b.yaml": "domain: b\ndescriptors: [{}]\n", "c.yaml": "domain: a" };
    expect(findingsOf(map("istio-system", data))).toEqual([
      expect.stringContaining('line 2: descriptors[0]: field "key" is required'),
      expect.stringContaining('domain "a" is in key "a.yaml" already'),
    ]);
  });

  it("is any ConfigMap elsewhere", () => {
    expect(findingsOf(map("default", { "a.yaml": "nonsense: [" }))).toEqual([]);
  });
});
