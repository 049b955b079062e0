import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileHostIndex, hostEndWithoutPort } from "./hosts.ts";

const find = (domains: readonly string[], host: string) => {
  const bytes = Buffer.from(`@${host}@`);
  return compileHostIndex(domains.map((domain, i) => [domain, i] as const)).find(bytes, 1, bytes.length - 1);
};

describe("host index", () => {
  it.each([
    [["a.b", "*.b", "a.*", "*"], "a.b", 0],
    [["a.b", "*.b", "a.*", "*"], "c.b", 1],
    [["a.b", "*.b", "a.*", "*"], "a.c", 2],
    [["a.b", "*.b", "a.*", "*"], "x", 3],
    [["*.b", "*.a.b"], "x.a.b", 1],
    [["*-bar.b", "*.b"], "foo-bar.b", 0],
    [["a.*", "*.b"], "a.b", 1],
    [["a*", "a.b*"], "a.b.c", 1],
    // A wildcard stands for at least one character.
    [["*.b"], ".b", undefined],
    [["a.*"], "a.", undefined],
    [["*"], "", 0],
    [["A.b"], "a.B", 0],
    [["*.B"], "X.b", 0],
    [["a", "a"], "a", 0],
    [["a:80"], "a:80", 0],
    [["a"], "a:80", undefined],
    [[], "a", undefined],
  ])("%j finds for %j number %s", (domains, host, expected) => {
    expect(find(domains, host)).toBe(expected);
  });

  it("agrees with trying every domain", () => {
    const label = fc.string({ unit: fc.constantFrom("a", "b", "."), minLength: 1, maxLength: 4 });
    const domain = fc.oneof(
      label,
      label.map((l) => `*${l}`),
      label.map((l) => `${l}*`),
      fc.constant("*"),
    );
    fc.assert(
      fc.property(fc.array(domain, { maxLength: 8 }), label, (domains, host) => {
        expect(find(domains, host)).toBe(slowFind(domains, host));
      }),
    );
  });
});

function slowFind(domains: readonly string[], host: string): number | undefined {
  const rank = (domain: string): number => {
    if (domain === "*") return 1;
    if (domain.startsWith("*")) {
      return host.length >= domain.length && host.endsWith(domain.slice(1)) ? 2000 + domain.length : 0;
    }
    if (domain.endsWith("*")) {
      return host.length >= domain.length && host.startsWith(domain.slice(0, -1)) ? 1000 + domain.length : 0;
    }
    return domain === host ? 3000 : 0;
  };
  let best: number | undefined;
  for (const [i, domain] of domains.entries()) {
    if (rank(domain) > (best === undefined ? 0 : rank(domains[best] ?? ""))) best = i;
  }
  return best;
}

describe("hostEndWithoutPort", () => {
  it.each([
    ["a:80", "a"],
    ["a", "a"],
    ["a:", "a"],
    ["a:x", "a:x"],
    ["[::1]:80", "[::1]"],
    ["[::1]", "[::1]"],
    ["::1", "::1"],
    ["", ""],
    ["80", "80"],
  ])("%s → %s", (authority, host) => {
    const bytes = Buffer.from(authority);
    expect(authority.slice(0, hostEndWithoutPort(bytes, 0, bytes.length))).toBe(host);
  });
});
