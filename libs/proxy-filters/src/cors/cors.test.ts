import { Cors, CorsPolicy } from "@lateen/proto/envoy/extensions/filters/http/cors/v3/cors";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { CORS } from "./config.ts";
import { corsRuntime } from "./cors.ts";
import { decodeCors, decodeCorsPolicy } from "./decode.ts";

type Policy = Parameters<typeof CorsPolicy.fromPartial>[0];
const decode = (policy: Policy) => decodeCorsPolicy(CorsPolicy.encode(CorsPolicy.fromPartial(policy)).finish());
const exact = (value: string) => ({ matchPattern: { $case: "exact", value }, ignoreCase: false }) as const;

const POLICY: Policy = {
  allowOriginStringMatch: [exact("https://a.example")],
  allowMethods: "GET,PUT",
  allowHeaders: "x-a,x-b",
  exposeHeaders: "x-c",
  maxAge: "86400",
  allowCredentials: true,
};
const PREFLIGHT = { "access-control-request-method": "PUT" };

/** Runs a request with these headers through the filter; `response`: what was set on its response. */
function run(policy: Policy | undefined, method: string, headers: Readonly<Record<string, string>>) {
  const { context, stats } = fakeContext("outbound", undefined, CORS);
  const filter = corsRuntime.create(decodeCors(Cors.encode(Cors.fromPartial({})).finish()), context);
  const exchange = new FakeExchange({ method, headers: Object.entries(headers) });
  if (policy !== undefined) exchange.configs[CORS] = decode(policy);
  const verdict = filter.onRequestHead?.(exchange);
  filter.onResponseHead?.(exchange);
  return { verdict, response: exchange.responseEdits.log, replies: exchange.replies, stats };
}

describe("cors", () => {
  it.each([
    ["without a policy", undefined, "GET", { origin: "https://a.example" }],
    ["without an origin", POLICY, "GET", {}],
    ["of another origin", POLICY, "GET", { origin: "https://b.example" }],
    ["that is a preflight of another origin", POLICY, "OPTIONS", { origin: "https://b.example", ...PREFLIGHT }],
  ])("a request %s passes unmarked", (_title, policy, method, headers) => {
    const { verdict, response, replies } = run(policy, method, headers);
    expect([verdict, response, replies]).toEqual(["continue", [], []]);
  });

  it("marks what an allowed origin may read", () => {
    const { verdict, response } = run(POLICY, "GET", { origin: "https://a.example" });
    expect(verdict).toBe("continue");
    expect(response).toEqual([
      "set access-control-allow-origin=https://a.example",
      "set access-control-allow-credentials=true",
      "set access-control-expose-headers=x-c",
    ]);
  });

  it("answers a preflight itself", () => {
    const { verdict, response, replies } = run(POLICY, "OPTIONS", { origin: "https://a.example", ...PREFLIGHT });
    expect(verdict).toBe("replied");
    expect(replies).toEqual([{ status: 200, body: "", flag: "", details: "cors_response" }]);
    expect(response).toEqual([
      "set access-control-allow-origin=https://a.example",
      "set access-control-allow-credentials=true",
      "set access-control-expose-headers=x-c",
      "set access-control-allow-methods=GET,PUT",
      "set access-control-allow-headers=x-a,x-b",
      "set access-control-max-age=86400",
    ]);
  });

  it("OPTIONS without a requested method is an ordinary request", () => {
    expect(run(POLICY, "OPTIONS", { origin: "https://a.example" }).verdict).toBe("continue");
  });

  it("answers unmatched preflights without an allowed origin where they are not to be forwarded", () => {
    const policy = { ...POLICY, forwardNotMatchingPreflights: false };
    const { verdict, response } = run(policy, "OPTIONS", { origin: "https://b.example", ...PREFLIGHT });
    expect(verdict).toBe("replied");
    expect(response.map((edit) => edit.replace(/=.*/, ""))).toEqual([
      "set access-control-allow-credentials",
      "set access-control-allow-methods",
      "set access-control-allow-headers",
      "set access-control-max-age",
    ]);
  });

  it.each([
    ["* for every origin", exact("*"), "https://any.example", true],
    ["a prefix", { matchPattern: { $case: "prefix", value: "https://a" } }, "https://ab.example", true],
    ["an expression", { matchPattern: { $case: "safeRegex", value: { regex: "https://[a-c]" } } }, "https://b", true],
    ["an expression of the whole", { matchPattern: { $case: "safeRegex", value: { regex: "b" } } }, "https://b", false],
  ] as const)("origins by %s", (_title, matcher, origin, allowed) => {
    const { response, stats } = run({ allowOriginStringMatch: [matcher] }, "GET", { origin });
    expect(response).toEqual(allowed ? [`set access-control-allow-origin=${origin}`] : []);
    expect(stats.total(allowed ? "envoy_cors_origin_valid" : "envoy_cors_origin_invalid")).toBe(1);
  });

  it("a share of zero is off", () => {
    const off = { filterEnabled: { defaultValue: { numerator: 0, denominator: 0 }, runtimeKey: "" } } as const;
    expect(run({ ...POLICY, ...off }, "GET", { origin: "https://a.example" }).response).toEqual([]);
  });

  it("refuses an expression that RE2 does not know", () => {
    const origin = { matchPattern: { $case: "safeRegex", value: { regex: "(?=a)" } } } as const;
    expect(() => decode({ allowOriginStringMatch: [origin] })).toThrow(/allow_origin_string_match\[0\]/);
  });
});
