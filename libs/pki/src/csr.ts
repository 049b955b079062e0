import { createPrivateKey, createPublicKey, type KeyObject, verify } from "node:crypto";
import { err, ok, type Result } from "@lateen/kernel";
import {
  children,
  content,
  extension,
  fromDer,
  integer,
  OID,
  oid,
  oidOf,
  sequence,
  setOf,
  tagged,
  toDer,
} from "./der.ts";
import { generateP256, privateKeyPem, spkiDer, weakKeyReason } from "./keys.ts";
import { singlePem } from "./pem.ts";
import { signedPem } from "./sign.ts";

/** Longest request text that is looked at. */
export const MAX_CSR_LENGTH = 16 * 1024;

export interface CsrOptions {
  readonly spiffeId: string;
  /** PKCS#8 PEM of a key to use; a new P-256 key without it. */
  readonly privateKeyPem?: string;
}

/** A PKCS#10 request with the identity as URI SAN, and the key it was signed with. */
export function createCsr(options: CsrOptions): { readonly csrPem: string; readonly privateKeyPem: string } {
  const privateKey =
    options.privateKeyPem === undefined ? generateP256().privateKey : createPrivateKey(options.privateKeyPem);
  const names = extension(OID.subjectAltName, false, sequence(tagged(6, options.spiffeId)));
  const request = sequence(
    integer(Uint8Array.of(0)),
    sequence(),
    fromDer(spkiDer(createPublicKey(privateKey))),
    tagged(0, [sequence(oid(OID.extensionRequest), setOf(sequence(names)))]),
  );
  return {
    csrPem: signedPem("CERTIFICATE REQUEST", request, privateKey),
    privateKeyPem: options.privateKeyPem ?? privateKeyPem(privateKey),
  };
}

/** Hash functions of the signature algorithms that are accepted; SHA-1 and MD5 are not among them. */
const HASHES: Readonly<Record<string, string>> = {
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
};

/**
 * Reads a request and proves that its sender holds the key. Names and other attributes in it are not looked at: the identity
 * comes from the authenticated caller.
 */
export function parseCsr(csrPem: string): Result<{ readonly publicKey: KeyObject }, string> {
  if (csrPem.length > MAX_CSR_LENGTH) return err(`longer than ${MAX_CSR_LENGTH} characters`);
  const der = singlePem(csrPem, ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"]);
  if (der === undefined) return err("not one PEM block CERTIFICATE REQUEST");
  try {
    return parseDer(der);
  } catch {
    return err("malformed PKCS#10");
  }
}

function parseDer(der: Buffer): Result<{ readonly publicKey: KeyObject }, string> {
  const [request, algorithm, signature] = children(fromDer(der));
  const spki = children(request)[2];
  if (request === undefined || spki === undefined || signature === undefined) return err("malformed PKCS#10");
  const publicKey = createPublicKey({ key: toDer(spki), type: "spki", format: "der" });
  const weak = weakKeyReason(publicKey);
  if (weak !== undefined) return err(weak);
  const hash = HASHES[oidOf(children(algorithm)[0])];
  if (hash === undefined) return err("its signature algorithm is not accepted");
  const bits = content(signature);
  if (bits.charCodeAt(0) !== 0) return err("malformed PKCS#10");
  const genuine = verify(hash, toDer(request), publicKey, Buffer.from(bits.slice(1), "binary"));
  return genuine ? ok({ publicKey }) : err("its signature does not match its key");
}
