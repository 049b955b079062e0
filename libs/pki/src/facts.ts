import { X509Certificate } from "node:crypto";
import { type Asn1, children, content, fromDer, isContext, OID, oidOf } from "./der.ts";
import { badCertificate } from "./errors.ts";
import { splitPem } from "./pem.ts";

export interface CertificateFacts {
  /** Hexadecimal, lower case. */
  readonly serial: string;
  /** Epoch milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  /** May sign certificates. */
  readonly ca: boolean;
}

/**
 * What the first certificate of a PEM text says.
 * @throws LateenError LTN4003 when there is none or it cannot be read.
 */
export function certificateFacts(pem: string): CertificateFacts {
  const first = splitPem(pem)[0];
  if (first === undefined) throw badCertificate("no PEM block CERTIFICATE");
  try {
    return factsOf(new X509Certificate(first));
  } catch (error) {
    throw badCertificate(error instanceof Error ? error.message : String(error));
  }
}

export function factsOf(certificate: X509Certificate): CertificateFacts {
  const names = children(extensionsOf(certificate).get(OID.subjectAltName));
  const texts = (tag: number) => names.filter((name) => isContext(name, tag)).map(content);
  return {
    serial: certificate.serialNumber.toLowerCase(),
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
    uriSans: texts(6),
    dnsSans: texts(2),
    ca: certificate.ca,
  };
}

/** Extension values by object identifier. Read from the DER: Node's text form of names is made for people. */
export function extensionsOf(certificate: X509Certificate): ReadonlyMap<string, Asn1> {
  const found = new Map<string, Asn1>();
  const fields = children(children(fromDer(certificate.raw))[0]);
  for (const field of fields.filter((item) => isContext(item, 3))) {
    for (const entry of children(children(field)[0])) {
      const parts = children(entry);
      const value = parts.at(-1);
      if (value !== undefined) found.set(oidOf(parts[0]), fromDer(Buffer.from(content(value), "binary")));
    }
  }
  return found;
}
