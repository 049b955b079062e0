import { CorsPolicy } from "@lateen/proto/envoy/extensions/filters/http/cors/v3/cors";
import { routeTable } from "@lateen/proxy";
import { describe, expect, it } from "vitest";
import { service, viewOf } from "../testing/mesh.ts";
import { run } from "../testing/simulate.ts";

const policyOf = (cors: string) => {
  const view = viewOf(`${service("web", "10.0.0.1", ["http:80"])}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web }
spec: { hosts: [web], http: [{ corsPolicy: ${cors}, route: [{ destination: { host: web } }] }] }`);
  routeTable(view.route("80"), run());
  const packed = view.virtualHost("80", "web").routes[0]?.typedPerFilterConfig["envoy.filters.http.cors"];
  return packed === undefined ? undefined : CorsPolicy.decode(packed.value);
};

describe("corsPolicy", () => {
  it("goes to the CORS filter with the route", () => {
    expect(
      policyOf(
        "{ allowOrigins: [{ exact: 'https://a' }, { prefix: 'https://b' }, { regex: '.*' }], allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], exposeHeaders: [x-c], maxAge: 24h, allowCredentials: true }",
      ),
    ).toMatchObject({
      allowOriginStringMatch: [
        { matchPattern: { $case: "exact", value: "https://a" } },
        { matchPattern: { $case: "prefix", value: "https://b" } },
        { matchPattern: { $case: "safeRegex", value: { regex: ".*" } } },
      ],
      allowMethods: "GET,PUT",
      allowHeaders: "x-a,x-b",
      exposeHeaders: "x-c",
      maxAge: "86400",
      allowCredentials: true,
      forwardNotMatchingPreflights: true,
    });
  });

  it.each([
    ["{ allowOrigins: [{ exact: a }], unmatchedPreflights: IGNORE }", { forwardNotMatchingPreflights: false }],
    ["{ allowOrigins: [{ exact: a }], unmatchedPreflights: FORWARD }", { forwardNotMatchingPreflights: true }],
    ["{ allowOrigin: [a] }", { allowOriginStringMatch: [{ matchPattern: { $case: "exact", value: "a" } }] }],
  ])("%s", (cors, expected) => {
    expect(policyOf(cors)).toMatchObject(expected);
  });
});
