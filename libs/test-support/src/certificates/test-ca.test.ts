import { X509Certificate } from "node:crypto";
import { expect, it } from "vitest";
import { createTestCa } from "./test-ca.ts";

it("issues certificates that another implementation reads and verifies", () => {
  const ca = createTestCa("tests");
  const { certPem } = ca.issue({ dns: ["a.example.com"], uris: ["spiffe://cluster.local/ns/default/sa/a"] });
  const leaf = new X509Certificate(certPem);
  expect(leaf.verify(new X509Certificate(ca.rootPem).publicKey)).toBe(true);
  expect(leaf.subjectAltName).toBe("URI:spiffe://cluster.local/ns/default/sa/a, DNS:a.example.com");
  expect(leaf.ca).toBe(false);
  expect(leaf.validToDate.getTime()).toBeGreaterThan(Date.now());
});
