import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, X509Certificate } from "node:crypto";
import type { Clock } from "@lateen/kernel";
import type { CaMaterial } from "@lateen/ports";
import { parseCsr } from "./csr.ts";
import {
  type Asn1,
  binary,
  bitString,
  children,
  content,
  extension,
  fromDer,
  integer,
  OID,
  octets,
  oid,
  sequence,
  setOf,
  tagged,
  time,
  truth,
  utf8,
} from "./der.ts";
import { badCa, badCsr } from "./errors.ts";
import { extensionsOf } from "./facts.ts";
import { generateP256, keyIdentifier, privateKeyPem, spkiDer, weakKeyReason } from "./keys.ts";
import { splitPem } from "./pem.ts";
import { signatureAlgorithm, signedPem } from "./sign.ts";

/** Certificates start this much in the past, for machines whose clocks are behind. */
const BACKDATE_MS = 15 * 60_000;
const TEN_YEARS_SECONDS = 10 * 365 * 86_400;

export interface RootCaOptions {
  /** Becomes the organisation of the root's name. */
  readonly trustDomain: string;
  /** Default ten years. */
  readonly ttlSeconds?: number;
}

/** A new self-signed root on P-256. */
export function createRootCa(options: RootCaOptions, clock: Clock): CaMaterial {
  const { privateKey, publicKey } = generateP256();
  const name = sequence(setOf(sequence(oid(OID.organization), utf8(options.trustDomain))));
  const now = clock.now();
  const identifier = keyIdentifier(publicKey);
  const certPem = certificatePem({
    issuer: name,
    subject: name,
    publicKey,
    signingKey: privateKey,
    notBefore: now - BACKDATE_MS,
    notAfter: now + (options.ttlSeconds ?? TEN_YEARS_SECONDS) * 1000,
    extensions: [
      extension(OID.basicConstraints, true, sequence(truth())),
      extension(OID.keyUsage, true, bitString(Uint8Array.of(0x06), 1)),
      extension(OID.subjectKeyIdentifier, false, octets(binary(identifier))),
    ],
  });
  return { certPem, keyPem: privateKeyPem(privateKey), rootPem: certPem, chainPem: "" };
}

export interface IssueRequest {
  /** SPKI PEM of the key to certify, or a request whose key it is. Exactly one of the two. */
  readonly publicKeyPem?: string;
  readonly csrPem?: string;
  readonly spiffeId?: string;
  readonly dnsNames?: readonly string[];
  readonly ttlSeconds: number;
}

export interface IssuedCertificate {
  /** Leaf, intermediates, root bundle: one PEM text each, as IstioCertificateResponse wants it. */
  readonly chain: readonly string[];
  /** Leaf and intermediates in one text: what a TLS server or client presents. */
  readonly certPem: string;
  readonly rootPem: string;
  /** Epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * Certifies a key for a workload (SPIFFE URI) or a server (DNS names). The certificate never outlives the CA's.
 * @throws LateenError LTN4001 for an unusable request or key, LTN4002 for an unusable CA.
 */
export function issueCertificate(ca: CaMaterial, request: IssueRequest, clock: Clock): IssuedCertificate {
  const publicKey = keyToCertify(request);
  const issuer = new X509Certificate(ca.certPem);
  const now = clock.now();
  const caEnd = issuer.validToDate.getTime();
  if (caEnd <= now) throw badCa("its certificate has expired");
  const notBefore = now - BACKDATE_MS;
  const notAfter = Math.min(now + request.ttlSeconds * 1000, caEnd);
  const leaf = certificatePem({
    issuer: subjectOf(issuer),
    subject: sequence(),
    publicKey,
    signingKey: createPrivateKey(ca.keyPem),
    notBefore,
    notAfter,
    extensions: leafExtensions(request, issuer),
  });
  const intermediates = intermediatesOf(ca);
  return {
    chain: [leaf, ...intermediates, ca.rootPem],
    certPem: [leaf, ...intermediates].join(""),
    rootPem: ca.rootPem,
    notBefore: Math.floor(notBefore / 1000) * 1000,
    notAfter: Math.floor(notAfter / 1000) * 1000,
  };
}

function keyToCertify(request: IssueRequest): KeyObject {
  if (request.csrPem !== undefined) {
    const parsed = parseCsr(request.csrPem);
    if (!parsed.ok) throw badCsr(parsed.error);
    return parsed.value.publicKey;
  }
  if (request.publicKeyPem === undefined) throw badCsr("it names no key");
  const key = createPublicKey(request.publicKeyPem);
  const weak = weakKeyReason(key);
  if (weak !== undefined) throw badCsr(weak);
  return key;
}

function leafExtensions(request: IssueRequest, issuer: X509Certificate): Asn1[] {
  const names = [
    ...(request.spiffeId === undefined ? [] : [tagged(6, request.spiffeId)]),
    ...(request.dnsNames ?? []).map((name) => tagged(2, name)),
  ];
  if (names.length === 0) throw badCsr("it would carry no name");
  const issuerKey = content(extensionsOf(issuer).get(OID.subjectKeyIdentifier));
  return [
    extension(OID.basicConstraints, true, sequence()),
    extension(OID.keyUsage, true, bitString(Uint8Array.of(0xa0), 5)),
    extension(OID.extendedKeyUsage, false, sequence(oid(OID.serverAuth), oid(OID.clientAuth))),
    // The subject is empty, so the alternative name is the only one and must be understood (RFC 5280 §4.2.1.6).
    extension(OID.subjectAltName, true, sequence(...names)),
    ...(issuerKey === "" ? [] : [extension(OID.authorityKeyIdentifier, false, sequence(tagged(0, issuerKey)))]),
  ];
}

interface CertificateParts {
  readonly issuer: Asn1;
  readonly subject: Asn1;
  readonly publicKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: Asn1[];
}

function certificatePem(parts: CertificateParts): string {
  const serial = randomBytes(16);
  // Positive and of full length.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const toBeSigned = sequence(
    tagged(0, [integer(Uint8Array.of(2))]),
    integer(serial),
    signatureAlgorithm(parts.signingKey),
    parts.issuer,
    sequence(time(parts.notBefore), time(parts.notAfter)),
    parts.subject,
    fromDer(spkiDer(parts.publicKey)),
    tagged(3, [sequence(...parts.extensions)]),
  );
  return signedPem("CERTIFICATE", toBeSigned, parts.signingKey);
}

/** The subject exactly as the CA's certificate encodes it: names are compared byte by byte. */
function subjectOf(certificate: X509Certificate): Asn1 {
  const subject = children(children(fromDer(certificate.raw))[0])[5];
  if (subject === undefined) throw badCa("its certificate has no subject");
  return subject;
}

/** The CA's certificate and those above it, without roots: what goes between leaf and root. */
function intermediatesOf(ca: CaMaterial): readonly string[] {
  const roots = new Set(splitPem(ca.rootPem).map(fingerprint));
  const seen = new Set<string>();
  return [...splitPem(ca.certPem), ...splitPem(ca.chainPem)].filter((pem) => {
    const print = fingerprint(pem);
    const fresh = !roots.has(print) && !seen.has(print);
    seen.add(print);
    return fresh;
  });
}

function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}
