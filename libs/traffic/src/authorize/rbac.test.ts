import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { headFrom } from "../head/build.ts";
import { compileRbac } from "./rbac.ts";
import type { PeerFacts, PermissionSpec, PrincipalSpec, RbacSpec } from "./spec.ts";

const peer: PeerFacts = {
  principal: "spiffe://cluster.local/ns/shop/sa/alice",
  sourceAddress: "10.0.0.1",
  remoteAddress: "203.0.113.7",
  destinationAddress: "10.0.0.2",
  destinationPort: 9080,
  serverName: "outbound_.9080_._.reviews",
};
const head = headFrom({
  method: "GET",
  path: "/api/v1?q=/admin",
  authority: "reviews:9080",
  headers: [["x-token", "t"]],
});
const any = { kind: "any" } as const;
const allow = (permission: PermissionSpec, principal: PrincipalSpec = any): RbacSpec => ({
  action: "allow",
  policies: { p: { permissions: [permission], principals: [principal] } },
});
const judge = (spec: RbacSpec, facts = peer) => compileRbac(spec).evaluate(head, facts).allowed;
const text = (kind: "exact" | "prefix" | "suffix", value: string) => ({ kind, value, ignoreCase: false }) as const;
const header = (name: string, value: string) => ({
  name,
  match: text("exact", value),
  invert: false,
  treatMissingAsEmpty: false,
});

describe("permissions", () => {
  it.each<[string, PermissionSpec, boolean]>([
    ["any", any, true],
    ["path without query", { kind: "urlPath", path: text("exact", "/api/v1") }, true],
    ["nothing in the query", { kind: "urlPath", path: text("suffix", "/admin") }, false],
    ["method", { kind: "header", header: header(":method", "GET") }, true],
    ["header", { kind: "header", header: header("x-token", "t") }, true],
    ["port", { kind: "destinationPort", port: 9080 }, true],
    ["another port", { kind: "destinationPort", port: 80 }, false],
    ["address", { kind: "destinationIp", cidr: "10.0.0.0/30" }, true],
    ["server name", { kind: "serverName", match: text("prefix", "outbound_.9080") }, true],
    ["not", { kind: "not", of: any }, false],
    ["all of none", { kind: "and", of: [] }, true],
    ["any of none", { kind: "or", of: [] }, false],
    ["all", { kind: "and", of: [any, { kind: "destinationPort", port: 80 }] }, false],
    ["one of", { kind: "or", of: [{ kind: "destinationPort", port: 80 }, any] }, true],
  ])("%s", (_, permission, expected) => {
    expect(judge(allow(permission))).toBe(expected);
  });
});

describe("principals", () => {
  const plain = { ...peer, principal: undefined };
  it.each<[string, PrincipalSpec, PeerFacts, boolean]>([
    ["its name", { kind: "authenticated", principal: text("suffix", "/sa/alice") }, peer, true],
    ["another's name", { kind: "authenticated", principal: text("suffix", "/sa/bob") }, peer, false],
    ["a name on plaintext", { kind: "authenticated", principal: text("prefix", "") }, plain, false],
    ["anybody authenticated", { kind: "authenticated", principal: undefined }, peer, true],
    ["anybody authenticated, on plaintext", { kind: "authenticated", principal: undefined }, plain, false],
    ["not authenticated", { kind: "not", of: { kind: "authenticated", principal: undefined } }, plain, true],
    ["connection address", { kind: "directRemoteIp", cidr: "10.0.0.1/32" }, peer, true],
    ["client address", { kind: "remoteIp", cidr: "203.0.113.0/24" }, peer, true],
    ["client address, not the connection's", { kind: "remoteIp", cidr: "10.0.0.0/8" }, peer, false],
    ["an address that cannot be read", { kind: "remoteIp", cidr: "0.0.0.0/0" }, { ...peer, remoteAddress: "" }, false],
  ])("%s", (_, principal, facts, expected) => {
    expect(judge(allow(any, principal), facts)).toBe(expected);
  });

  it("judges every connection anew", () => {
    const rbac = compileRbac(allow(any, { kind: "directRemoteIp", cidr: "10.0.0.0/24" }));
    const from = (sourceAddress: string) => rbac.evaluate(head, { ...peer, sourceAddress }).allowed;
    expect(["10.0.0.1", "10.0.1.1", "10.0.0.1", "", "10.0.0.1"].map(from)).toEqual([true, false, true, false, true]);
  });
});

describe("policies", () => {
  const two = (action: RbacSpec["action"]): RbacSpec => ({
    action,
    policies: {
      b: { permissions: [any], principals: [any] },
      a: { permissions: [{ kind: "destinationPort", port: 1 }], principals: [any] },
    },
  });
  it.each([
    ["allow", { allowed: true, policy: "b" }],
    ["deny", { allowed: false, policy: "b" }],
    ["log", { allowed: true, policy: "b" }],
  ] as const)("%s by the first match in name order", (action, verdict) => {
    expect(compileRbac(two(action)).evaluate(head, peer)).toEqual(verdict);
    expect(compileRbac(two(action)).evaluate(head, { ...peer, destinationPort: 1 }).policy).toBe("a");
  });

  it.each([
    ["allow", false],
    ["deny", true],
    ["log", true],
  ] as const)("without a match %s means %s", (action, allowed) => {
    expect(compileRbac({ action, policies: {} }).evaluate(head, peer)).toEqual({ allowed, policy: undefined });
    const nobody = { action, policies: { p: { permissions: [any], principals: [] } } };
    expect(compileRbac(nobody).evaluate(head, peer).allowed).toBe(allowed);
  });

  it("see an empty head where there is none", () => {
    const rbac = compileRbac(allow({ kind: "header", header: header(":method", "GET") }));
    expect(rbac.evaluate(undefined, peer).allowed).toBe(false);
  });
});

it("obeys the laws of logic", () => {
  const permission: fc.Arbitrary<PermissionSpec> = fc.letrec<{ node: PermissionSpec }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<PermissionSpec>(
        any,
        { kind: "destinationPort", port: 80 },
        { kind: "destinationPort", port: 9080 },
      ),
      tie("node").map((of): PermissionSpec => ({ kind: "not", of })),
      fc.record({ kind: fc.constantFrom("and" as const, "or" as const), of: fc.array(tie("node"), { maxLength: 3 }) }),
    ),
  })).node;
  const truth = (spec: PermissionSpec): boolean => {
    switch (spec.kind) {
      case "any":
        return true;
      case "not":
        return !truth(spec.of);
      case "and":
        return spec.of.every(truth);
      case "or":
        return spec.of.some(truth);
      default:
        return spec.kind === "destinationPort" && spec.port === peer.destinationPort;
    }
  };
  fc.assert(
    fc.property(permission, (spec) => {
      expect(judge(allow(spec))).toBe(truth(spec));
      expect(judge({ ...allow(spec), action: "deny" })).toBe(!truth(spec));
    }),
  );
});

describe("many policies", () => {
  const value = fc.constantFrom("", "/", "/a", "/a/", "/a/b", "/b", "/A");
  const kind = fc.constantFrom("exact" as const, "prefix" as const, "suffix" as const, "contains" as const);
  const urlPath = fc
    .record({ kind, value, ignoreCase: fc.boolean() })
    .map((path): PermissionSpec => ({ kind: "urlPath", path }));
  const leaf = fc.oneof(
    { weight: 4, arbitrary: urlPath },
    fc.constantFrom<PermissionSpec>(
      any,
      { kind: "header", header: header(":method", "GET") },
      { kind: "header", header: header(":method", "PUT") },
    ),
  );
  const { condition } = fc.letrec<{ condition: PermissionSpec }>((tie) => ({
    condition: fc.oneof(
      { maxDepth: 2, depthSize: "small" },
      leaf,
      fc.record({
        kind: fc.constantFrom("and" as const, "or" as const),
        of: fc.array(tie("condition"), { maxLength: 3 }),
      }),
      fc.record({ kind: fc.constant("not" as const), of: tie("condition") }),
    ) as fc.Arbitrary<PermissionSpec>,
  }));
  const policies = fc.array(fc.array(condition, { minLength: 1, maxLength: 2 }), { minLength: 4, maxLength: 9 });

  it("are judged as if each were tried in turn", () => {
    fc.assert(
      fc.property(policies, value, fc.constantFrom("", "?q=/a"), (lists, path, query) => {
        const judged = headFrom({ path: `${path}${query}` });
        const named = lists.map((permissions, i) => [`p${i}`, { permissions, principals: [any] }] as const);
        const found = named.find(
          ([, policy]) => compileRbac({ action: "allow", policies: { p: policy } }).evaluate(judged, peer).allowed,
        );
        const all = compileRbac({ action: "allow", policies: Object.fromEntries(named) });
        expect(all.evaluate(judged, peer)).toEqual({ allowed: found !== undefined, policy: found?.[0] });
      }),
      { seed: 3, numRuns: 500 },
    );
  });
});
