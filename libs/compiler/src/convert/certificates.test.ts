import { generateKeyPairSync } from "node:crypto";
import { createTestCa } from "@lateen/test-support";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PAIR_PEM, ROOT_PEM } from "../testing/certificates.ts";
import { keyPairProblem, revocationProblem, rootsProblem } from "./certificates.ts";

const { certPem, keyPem } = PAIR_PEM;
const ca = createTestCa();
const other = ca.issue({ dns: ["b.com"] });
const rsa = ca.issue({ dns: ["a.com"], rsa: true });
const list = ca.revoke(other);
const pem = (label: string, content: string) => `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`;
const encrypted = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "a" },
}).privateKey;

describe("a certificate and its key", () => {
  it.each([
    ["ECDSA", certPem, keyPem],
    ["RSA", rsa.certPem, rsa.keyPem],
    ["a chain", other.certPem + ca.rootPem, other.keyPem],
    ["text around the blocks", `made by hand\n${certPem}\nbye`, `key:\n${keyPem}`],
    ["lines of Windows", certPem.replaceAll("\n", "\r\n"), keyPem.replaceAll("\n", "\r\n")],
  ])("%s can be used", (_title, chain, key) => {
    expect(keyPairProblem(chain, key)).toBeUndefined();
  });

  it.each([
    ["nothing", "", keyPem, "there is no certificate in it"],
    ["text", "cert", keyPem, "there is no certificate in it"],
    ["no end", "-----BEGIN CERTIFICATE-----", keyPem, "PEM in it is broken"],
    ["no base64", pem("CERTIFICATE", "!"), keyPem, "PEM in it is broken"],
    ["no DER", pem("CERTIFICATE", "YWJj"), keyPem, "a certificate in it cannot be read"],
    ["half a chain", `${certPem}${pem("CERTIFICATE", "YWJj")}`, keyPem, "a certificate in it cannot be read"],
    ["no key", certPem, "", "there is no private key in it"],
    ["a broken key", certPem, pem("PRIVATE KEY", "YWJj"), "the private key cannot be read"],
    ["a key with a password", certPem, encrypted, "the private key cannot be read"],
    ["another's key", certPem, other.keyPem, "the key is not that of the certificate"],
  ])("%s cannot", (_title, chain, key, reason) => {
    expect(keyPairProblem(chain, key)).toBe(reason);
  });
});

describe("roots", () => {
  it.each([
    [ROOT_PEM, undefined],
    [ROOT_PEM + certPem, undefined],
    ["", "there is no certificate in it"],
    [keyPem, "there is no certificate in it"],
    [ROOT_PEM + pem("CERTIFICATE", "YWJj"), "a certificate in it cannot be read"],
  ])("case %#", (text, reason) => {
    expect(rootsProblem(text)).toBe(reason);
  });
});

describe("a revocation list", () => {
  it.each([
    [list, undefined],
    ["", "there is no revocation list in it"],
    [ROOT_PEM, "there is no revocation list in it"],
    [pem("X509 CRL", "YWJj"), "a revocation list in it cannot be read"],
    [pem("X509 CRL", ROOT_PEM.replaceAll(/-----.*-----|\s/g, "")), "a revocation list in it cannot be read"],
    [list + pem("X509 CRL", "MAA="), "a revocation list in it cannot be read"],
  ])("case %#", (text, reason) => {
    expect(revocationProblem(text)).toBe(reason);
  });

  it("is never more than its bytes: whatever is cut or changed is told and does not throw", () => {
    const der = Buffer.from(list.replaceAll(/-----.*-----|\s/g, ""), "base64");
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, byte) => {
        const cut = pem("X509 CRL", der.subarray(0, at).toString("base64"));
        const changed = Buffer.from(der);
        changed[at] = byte;
        expect(revocationProblem(cut)).toBeDefined();
        expect(["string", "undefined"]).toContain(
          typeof revocationProblem(pem("X509 CRL", changed.toString("base64"))),
        );
      }),
    );
  });
});
