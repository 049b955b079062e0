import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hostMatches, hostsIntersect, shortHostToFqdn } from "./hosts.ts";
import { protocolOf } from "./protocol.ts";

describe("shortHostToFqdn", () => {
  it.each([
    ["reviews", "reviews.prod.svc.cluster.local"],
    ["Reviews", "reviews.prod.svc.cluster.local"],
    ["reviews.default", "reviews.default"],
    ["a.example.com.", "a.example.com"],
    ["*", "*"],
    ["*.example.com", "*.example.com"],
  ])("%s in namespace prod is %s", (host, fqdn) => {
    expect(shortHostToFqdn(host, "prod")).toBe(fqdn);
  });

  it("uses the domain it is given", () => {
    expect(shortHostToFqdn("a", "b", "mesh.example")).toBe("a.b.svc.mesh.example");
  });
});

describe("hostMatches", () => {
  it.each([
    ["a.example.com", "a.example.com", true],
    ["a.example.com", "A.Example.com", true],
    ["*.example.com", "a.example.com", true],
    ["*.example.com", "a.b.example.com", true],
    ["*.example.com", "example.com", false],
    ["*.example.com", ".example.com", false],
    ["*", "anything", true],
    ["a.example.com", "b.example.com", false],
    ["*-x.example.com", "a-x.example.com", true],
  ])("%s covers %s: %s", (pattern, host, expected) => {
    expect(hostMatches(pattern, host)).toBe(expected);
  });
});

describe("hostsIntersect", () => {
  it.each([
    ["*.example.com", "*.a.example.com", true],
    ["*.com", "a.example.com", true],
    ["*", "*.example.com", true],
    ["*.example.com", "*.example.org", false],
    ["a", "b", false],
  ])("%s and %s: %s", (a, b, expected) => {
    expect(hostsIntersect(a, b)).toBe(expected);
    expect(hostsIntersect(b, a)).toBe(expected);
  });

  it("holds when some host is covered by both", () => {
    const label = fc.constantFrom("a", "b", "c");
    const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
    const pattern = fc.oneof(
      host,
      host.map((suffix) => `*.${suffix}`),
      fc.constant("*"),
    );
    fc.assert(
      fc.property(pattern, pattern, host, (a, b, name) => {
        if (hostMatches(a, name) && hostMatches(b, name)) expect(hostsIntersect(a, b)).toBe(true);
      }),
    );
  });
});

describe("protocolOf", () => {
  it.each([
    ["http", undefined, 80, "HTTP"],
    ["http-web", undefined, 80, "HTTP"],
    ["HTTP2-x", undefined, 80, "HTTP2"],
    ["grpc", undefined, 80, "GRPC"],
    ["grpc-web", undefined, 80, "GRPCWeb"],
    ["grpc-web-x", undefined, 80, "GRPCWeb"],
    ["https", undefined, 443, "HTTPS"],
    ["tls-x", undefined, 443, "TLS"],
    ["mongo", undefined, 27017, "Mongo"],
    ["tcp", undefined, 80, "TCP"],
    ["web", undefined, 80, "Auto"],
    [undefined, undefined, 80, "Auto"],
    [undefined, undefined, 3306, "TCP"],
    ["db", undefined, 27017, "TCP"],
    ["http", undefined, 3306, "HTTP"],
    ["tcp", "http", 80, "HTTP"],
    ["http", "kubernetes.io/h2c", 80, "HTTP2"],
    ["x", "kubernetes.io/wss", 80, "HTTPS"],
    ["http", "example.com/unknown", 80, "HTTP"],
  ])("name %s, appProtocol %s, port %i: %s", (name, appProtocol, port, expected) => {
    expect(protocolOf(name, appProtocol, port)).toBe(expected);
  });
});
