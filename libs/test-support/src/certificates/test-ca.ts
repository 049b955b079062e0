import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { bitString, flag, integer, octets, oid, pem, sequence, tlv, utcTime } from "./der.ts";

/** A key and a certificate chain, PEM. */
export interface TestCertificate {
  readonly keyPem: string;
  readonly certPem: string;
}

/** A throw-away CA whose certificates are valid from yesterday until tomorrow. */
export interface TestCa {
  readonly rootPem: string;
  issue(names: { readonly dns?: readonly string[]; readonly uris?: readonly string[] }): TestCertificate;
}

const DAY_MS = 86_400_000;
const ECDSA_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));

/** Makes a P-256 CA named `organization`. */
export function createTestCa(organization = "test"): TestCa {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = sequence(tlv(0x31, sequence(oid("2.5.4.10"), tlv(0x0c, Buffer.from(organization)))));
  const rootPem = certificate({
    issuer: name,
    subject: name,
    key: key.publicKey,
    issuerKey: key.privateKey,
    extensions: [sequence(oid("2.5.29.19"), flag(true), octets(sequence(flag(true))))],
  });
  return {
    rootPem,
    issue({ dns = [], uris = [] }) {
      const leaf = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const names = [
        ...uris.map((uri) => tlv(0x86, Buffer.from(uri))),
        ...dns.map((host) => tlv(0x82, Buffer.from(host))),
      ];
      const certPem = certificate({
        issuer: name,
        subject: sequence(),
        key: leaf.publicKey,
        issuerKey: key.privateKey,
        extensions: [
          sequence(oid("2.5.29.17"), flag(true), octets(sequence(...names))),
          sequence(oid("2.5.29.37"), octets(sequence(oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.5.5.7.3.2")))),
        ],
      });
      return { certPem, keyPem: leaf.privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
    },
  };
}

function certificate(facts: {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly key: KeyObject;
  readonly issuerKey: KeyObject;
  readonly extensions: readonly Buffer[];
}): string {
  const serial = randomBytes(8);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 1;
  const now = Date.now();
  const body = sequence(
    tlv(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    ECDSA_SHA256,
    facts.issuer,
    sequence(utcTime(new Date(now - DAY_MS)), utcTime(new Date(now + DAY_MS))),
    facts.subject,
    facts.key.export({ type: "spki", format: "der" }),
    tlv(0xa3, sequence(...facts.extensions)),
  );
  return pem("CERTIFICATE", sequence(body, ECDSA_SHA256, bitString(sign("sha256", body, facts.issuerKey))));
}
