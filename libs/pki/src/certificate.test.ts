import { createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { systemClock } from "@lateen/kernel";
import { describe, expect, it } from "vitest";
import { createRootCa, issueCertificate } from "./certificate.ts";
import { createCsr, MAX_CSR_LENGTH, parseCsr } from "./csr.ts";
import { certificateFacts } from "./facts.ts";
import { splitPem } from "./pem.ts";
import { checkCa, verifyChain } from "./verify.ts";

const clock = systemClock();
const at = (ms: number) => ({ ...clock, now: () => ms });
const ca = createRootCa({ trustDomain: "cluster.local" }, clock);
const uri = "spiffe://cluster.local/ns/default/sa/reviews";
const { csrPem } = createCsr({ spiffeId: uri });

describe("issueCertificate", () => {
  const issued = issueCertificate(ca, { csrPem, spiffeId: uri, ttlSeconds: 3600 }, clock);

  it("certifies the request's key under the given identity", () => {
    const leaf = new X509Certificate(issued.certPem);
    const facts = certificateFacts(issued.certPem);
    expect(facts).toMatchObject({ uriSans: [uri], dnsSans: [], ca: false });
    expect(facts.notAfter).toBe(issued.notAfter);
    expect(facts.notBefore).toBeLessThan(clock.now() - 14 * 60_000);
    const parsed = parseCsr(csrPem);
    expect(parsed.ok && leaf.publicKey.equals(parsed.value.publicKey)).toBe(true);
    expect(leaf.subject).toBeFalsy();
    expect(issued.chain).toHaveLength(2);
    expect(issued.chain.at(-1)).toBe(ca.rootPem);
  });

  it("marks the alternative name critical because the subject is empty", () => {
    const der = new X509Certificate(issued.certPem).raw.toString("hex");
    // OID 2.5.29.17 followed by BOOLEAN TRUE.
    expect(der).toContain("0603551d110101ff");
  });

  it("takes names from its caller, not from the request", () => {
    const forged = createCsr({ spiffeId: "spiffe://cluster.local/ns/kube-system/sa/admin" });
    const leaf = issueCertificate(ca, { csrPem: forged.csrPem, spiffeId: uri, ttlSeconds: 60 }, clock);
    expect(certificateFacts(leaf.certPem).uriSans).toEqual([uri]);
  });

  it("never outlives the CA", () => {
    const short = createRootCa({ trustDomain: "x", ttlSeconds: 100 }, clock);
    const leaf = issueCertificate(short, { csrPem, spiffeId: uri, ttlSeconds: 86_400 }, clock);
    expect(leaf.notAfter).toBe(certificateFacts(short.certPem).notAfter);
    expect(() => issueCertificate(short, { csrPem, spiffeId: uri, ttlSeconds: 1 }, at(clock.now() + 101_000))).toThrow(
      /expired/,
    );
  });

  it("serves DNS names", () => {
    const names = ["istiod.istio-system.svc", "localhost"];
    const leaf = issueCertificate(ca, { csrPem, dnsNames: names, ttlSeconds: 60 }, clock);
    expect(certificateFacts(leaf.certPem).dnsSans).toEqual(names);
    expect(new X509Certificate(leaf.certPem).checkHost("istiod.istio-system.svc")).toBe("istiod.istio-system.svc");
  });

  it("refuses to issue without a name", () => {
    expect(() => issueCertificate(ca, { csrPem, ttlSeconds: 60 }, clock)).toThrow(/no name/);
  });
});

describe("verifyChain", () => {
  const leaf = issueCertificate(ca, { csrPem, spiffeId: uri, ttlSeconds: 3600 }, clock);
  const other = createRootCa({ trustDomain: "cluster.local" }, clock);
  it.each([
    ["its own root", ca.rootPem, 0, true],
    ["a bundle with its root", other.rootPem + ca.rootPem, 0, true],
    ["another root of the same name", other.rootPem, 0, false],
    ["its root, too late", ca.rootPem, 3_700_000, false],
    ["its root, too early", ca.rootPem, -3_600_000, false],
    ["nothing", "", 0, false],
  ])("against %s", (_, root, shift, expected) => {
    expect(verifyChain(leaf.certPem, root, at(clock.now() + shift)).ok).toBe(expected);
  });

  it("does not take a leaf for a CA", () => {
    const { csrPem: victimCsr } = createCsr({ spiffeId: uri });
    const fake = createCsr({ spiffeId: uri });
    const intermediate = issueCertificate(ca, { csrPem: fake.csrPem, spiffeId: uri, ttlSeconds: 3600 }, clock);
    const rogue = { certPem: intermediate.certPem, keyPem: fake.privateKeyPem, rootPem: ca.rootPem, chainPem: "" };
    const forged = issueCertificate(rogue, { csrPem: victimCsr, spiffeId: uri, ttlSeconds: 60 }, clock);
    expect(verifyChain(forged.certPem, ca.rootPem, clock).ok).toBe(false);
  });
});

describe("checkCa", () => {
  const other = createRootCa({ trustDomain: "other" }, clock);
  it.each([
    ["what belongs together", ca, true],
    ["a key of another CA", { ...ca, keyPem: other.keyPem }, false],
    ["a root of another CA", { ...ca, rootPem: other.rootPem }, false],
    ["text that is no certificate", { ...ca, certPem: "x" }, false],
  ])("judges %s", (_, material, expected) => {
    expect(checkCa(material, clock).ok).toBe(expected);
  });
});

describe("parseCsr", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" });
  const csrOf = (key: typeof rsa) =>
    createCsr({ spiffeId: uri, privateKeyPem: key.privateKey.export({ type: "pkcs8", format: "pem" }).toString() })
      .csrPem;

  it("takes P-256 and RSA of 2048 bits", () => {
    expect(parseCsr(csrPem).ok).toBe(true);
    const parsed = parseCsr(csrOf(rsa));
    expect(
      parsed.ok &&
        parsed.value.publicKey.equals(createPublicKey(rsa.publicKey.export({ type: "spki", format: "pem" }))),
    ).toBe(true);
  });

  const body = splitBase64(csrPem);
  const flipped = Buffer.from(body);
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
  it.each([
    ["a short RSA key", csrOf(weak), "too short"],
    ["another curve", csrOf(p384 as never), "not P-256"],
    ["a broken signature", pem(flipped), "signature"],
    ["bytes after the end", pem(Buffer.concat([body, Buffer.from([0])])), "malformed"],
    ["no PEM", "hello", "not one PEM block"],
    ["a certificate", ca.certPem, "not one PEM block"],
    ["two blocks", csrPem + csrPem, "not one PEM block"],
    ["something huge", "A".repeat(MAX_CSR_LENGTH + 1), "longer than"],
    ["deep nesting", pem(Buffer.alloc(8000, Buffer.from([0x30, 0x80]))), "malformed"],
  ])("refuses %s", (_, text, reason) => {
    const parsed = parseCsr(text);
    expect(parsed.ok ? "accepted" : parsed.error).toContain(reason);
  });

  function splitBase64(text: string): Buffer {
    return Buffer.from(text.replace(/-----[^-]+-----/g, ""), "base64");
  }
  function pem(der: Buffer): string {
    return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
  }
});

it("splits bundles", () => {
  expect(splitPem(`text\n${ca.certPem}\n${ca.certPem}`)).toHaveLength(2);
});
