import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalRevisionOf, canonicalServiceOf } from "./canonical.ts";
import { parseSpiffeId, spiffeId } from "./spiffe.ts";

describe("SPIFFE IDs", () => {
  it("read back what was written", () => {
    const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
    fc.assert(
      fc.property(label, label, label, (trustDomain, namespace, serviceAccount) => {
        const parsed = parseSpiffeId(spiffeId(trustDomain, namespace, serviceAccount));
        expect(parsed).toEqual({ ok: true, value: { trustDomain, namespace, serviceAccount } });
      }),
    );
  });

  it.each([
    "",
    "spiffe://",
    "spiffe://td/ns/a",
    "spiffe://td/ns/a/sa/",
    "spiffe://td/ns//sa/b",
    "spiffe://td/ns/a/sa/b/c",
    "spiffe://td/sa/b/ns/a",
    "spiffe://td/ns/a/sa/../b",
    "spiffe://td/ns/a/sa/b?x",
    "spiffe://td/ns/a/sa/b\n",
    "SPIFFE://td/ns/a/sa/b",
    "https://td/ns/a/sa/b",
    `spiffe://${"a".repeat(3000)}/ns/a/sa/b`,
  ])("%j is none", (uri) => {
    expect(parseSpiffeId(uri).ok).toBe(false);
  });
});

describe("canonical names", () => {
  it.each([
    [{ "service.istio.io/canonical-name": "a", "app.kubernetes.io/name": "b", app: "c" }, "a"],
    [{ "app.kubernetes.io/name": "b", app: "c" }, "b"],
    [{ app: "c" }, "c"],
    [{}, "w"],
    [{ app: "" }, "w"],
  ])("service of %j is %s", (labels, expected) => {
    expect(canonicalServiceOf(labels, "w")).toBe(expected);
  });

  it.each([
    [{ "service.istio.io/canonical-revision": "1", "app.kubernetes.io/version": "2", version: "3" }, "1"],
    [{ "app.kubernetes.io/version": "2", version: "3" }, "2"],
    [{ version: "3" }, "3"],
    [{}, "latest"],
  ])("revision of %j is %s", (labels, expected) => {
    expect(canonicalRevisionOf(labels)).toBe(expected);
  });

  it("of nothing is unknown", () => {
    expect(canonicalServiceOf({}, "")).toBe("unknown");
  });
});
