import type forge from "node-forge";
import asn1 from "node-forge/lib/asn1.js";
import util from "node-forge/lib/util.js";

/** The few ASN.1 shapes that X.509 needs: node-forge for structure, node:crypto for every key and signature. */
export type Asn1 = forge.asn1.Asn1;

const { Type, Class } = asn1;

export const OID = {
  organization: "2.5.4.10",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  extensionRequest: "1.2.840.113549.1.9.14",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  sha256WithRsa: "1.2.840.113549.1.1.11",
} as const;

function universal(type: forge.asn1.Type, value: string | Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, type, Array.isArray(value), value);
}

export const sequence = (...items: Asn1[]): Asn1 => universal(Type.SEQUENCE, items);
export const setOf = (...items: Asn1[]): Asn1 => universal(Type.SET, items);
export const oid = (id: string): Asn1 => universal(Type.OID, asn1.oidToDer(id).getBytes());
export const nul = (): Asn1 => universal(Type.NULL, "");
export const truth = (): Asn1 => universal(Type.BOOLEAN, "\xff");
export const integer = (bytes: Uint8Array): Asn1 => universal(Type.INTEGER, binary(bytes));
export const utf8 = (text: string): Asn1 => universal(Type.UTF8, util.encodeUtf8(text));
/** A bit string of whole bytes, or with the given number of unused bits. */
export const bitString = (bytes: Uint8Array, unused = 0): Asn1 =>
  universal(Type.BITSTRING, String.fromCharCode(unused) + binary(bytes));
export const octets = (bytes: string): Asn1 => universal(Type.OCTETSTRING, bytes);

/** `[tag]` context-specific, primitive or constructed. */
export function tagged(tag: number, value: string | Asn1[]): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag as forge.asn1.Type, Array.isArray(value), value);
}

/** UTCTime before 2050, GeneralizedTime after (RFC 5280 §4.1.2.5). */
export function time(epochMs: number): Asn1 {
  const date = new Date(epochMs);
  return date.getUTCFullYear() < 2050
    ? universal(Type.UTCTIME, asn1.dateToUtcTime(date))
    : universal(Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

/** One X.509 extension. */
export function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  return sequence(oid(id), ...(critical ? [truth()] : []), octets(asn1.toDer(value).getBytes()));
}

export function toDer(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), "binary");
}

/** @throws when the bytes are no DER, go on after its end, or nest too deeply. */
export function fromDer(bytes: Uint8Array): Asn1 {
  return asn1.fromDer(util.createBuffer(binary(bytes)), { strict: true, decodeBitStrings: false } as never);
}

/** Elements of a constructed value; empty for a primitive one. */
export function children(value: Asn1 | undefined): readonly Asn1[] {
  return Array.isArray(value?.value) ? value.value : [];
}

/** Content bytes of a primitive value, one character a byte. */
export function content(value: Asn1 | undefined): string {
  return typeof value?.value === "string" ? value.value : "";
}

export function isContext(value: Asn1 | undefined, tag: number): boolean {
  return value?.tagClass === Class.CONTEXT_SPECIFIC && (value.type as number) === tag;
}

export function oidOf(value: Asn1 | undefined): string {
  return value?.tagClass === Class.UNIVERSAL && value.type === Type.OID ? asn1.derToOid(content(value)) : "";
}

/** Bytes as the one-character-a-byte strings that forge wants. */
export function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("binary");
}
