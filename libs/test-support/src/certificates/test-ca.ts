import { generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from "node:crypto";
import { bitString, flag, integer, octets, oid, pem, sequence, tlv, utcTime } from "./der.ts";

/** A key and a certificate chain, PEM. */
export interface TestCertificate {
  readonly keyPem: string;
  readonly certPem: string;
}

/** A throw-away CA whose certificates are valid from yesterday until tomorrow. */
export interface TestCa {
  readonly rootPem: string;
  /** @param names `rsa`: with an RSA key instead of P-256. */
  issue(names: {
    readonly dns?: readonly string[];
    readonly uris?: readonly string[];
    readonly rsa?: boolean;
  }): TestCertificate;
  /** A revocation list with these certificates, PEM. */
  revoke(...certificates: readonly TestCertificate[]): string;
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
    issue({ dns = [], uris = [], rsa = false }) {
      const leaf = rsa
        ? generateKeyPairSync("rsa", { modulusLength: 2048 })
        : generateKeyPairSync("ec", { namedCurve: "P-256" });
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
    revoke(...certificates) {
      const since = utcTime(new Date(Date.now() - DAY_MS));
      const revoked = certificates.map(({ certPem }) => {
        const { serialNumber } = new X509Certificate(certPem);
        return sequence(integer(Buffer.from(serialNumber, "hex")), since);
      });
      const next = utcTime(new Date(Date.now() + DAY_MS));
      const body = sequence(ECDSA_SHA256, name, since, next, ...(revoked.length === 0 ? [] : [sequence(...revoked)]));
      return pem("X509 CRL", sequence(body, ECDSA_SHA256, bitString(sign("sha256", body, key.privateKey))));
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
