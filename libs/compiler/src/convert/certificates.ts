import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/**
 * What proxies take of certificates, keys and revocation lists in PEM (RFC 7468). An Envoy refuses a whole update for one that it cannot
 * read, so they are looked at before they are sent. Each answer is a reason, or undefined: it can be used.
 */
export type PemProblem = string | undefined;

/** Smallest RSA key that Envoy takes, bits. */
const RSA_BITS = 2048;
/** Curves of ECDSA keys that Envoy takes. */
const CURVES: readonly string[] = ["prime256v1", "secp384r1", "secp521r1"];

/** A chain, the proxy's own certificate first, and its key. */
export function keyPairProblem(chain: string, key: string): PemProblem {
  const certificates = readCertificates(chain);
  if (typeof certificates === "string") return certificates;
  const [own] = certificates;
  if (own === undefined) return "there is no certificate in it";
  const secret = readKey(key);
  if (typeof secret === "string") return secret;
  return own.checkPrivateKey(secret) ? keyProblem(secret) : "the key is not that of the certificate";
}

/** Certificates of authorities that are trusted. */
export function rootsProblem(text: string): PemProblem {
  const certificates = readCertificates(text);
  if (typeof certificates === "string") return certificates;
  return certificates.length === 0 ? "there is no certificate in it" : undefined;
}

/** Revocation lists (RFC 5280 §5). */
export function revocationProblem(text: string): PemProblem {
  const blocks = blocksOf(text, "X509 CRL");
  if (typeof blocks === "string") return blocks;
  if (blocks.length === 0) return "there is no revocation list in it";
  return blocks.every((block) => isRevocationList(Buffer.from(contentOf(block), "base64")))
    ? undefined
    : "a revocation list in it cannot be read";
}

function readCertificates(text: string): readonly X509Certificate[] | string {
  const blocks = blocksOf(text, "CERTIFICATE");
  if (typeof blocks === "string") return blocks;
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return "a certificate in it cannot be read";
  }
}

function readKey(text: string): KeyObject | string {
  const [block] = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?-----END \1-----/.exec(text) ?? [];
  if (block === undefined) return "there is no private key in it";
  try {
    return createPrivateKey(block);
  } catch {
    return "the private key cannot be read";
  }
}

function keyProblem({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): PemProblem {
  switch (asymmetricKeyType) {
    case "rsa":
      return (asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS
        ? undefined
        : `RSA keys need at least ${RSA_BITS} bits`;
    case "ec":
      return CURVES.includes(asymmetricKeyDetails?.namedCurve ?? "")
        ? undefined
        : "ECDSA keys need curve P-256, P-384 or P-521";
    default:
      return "keys are RSA or ECDSA";
  }
}

/** Blocks of a label; a reason when one has no end or other than base64 in it. */
function blocksOf(text: string, label: string): readonly string[] | string {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const blocks: string[] = [];
  for (let at = text.indexOf(begin); at >= 0; at = text.indexOf(begin, at + begin.length)) {
    const stop = text.indexOf(end, at);
    const block = stop < 0 ? "" : text.slice(at, stop + end.length);
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(contentOf(block))) return "PEM in it is broken";
    blocks.push(block);
  }
  return blocks;
}

const contentOf = (block: string): string => block.replaceAll(/-----[A-Z0-9 ]+-----|\s/g, "");

/** One element of DER (X.690 §8.1), its content and where the next begins; undefined: there is none of definite length here. */
function element(
  der: Buffer,
  at: number,
): { readonly tag: number; readonly content: Buffer; readonly end: number } | undefined {
  const tag = der[at];
  const first = der[at + 1];
  if (tag === undefined || first === undefined) return undefined;
  const octets = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || octets > 4 || at + 2 + octets > der.length) return undefined;
  const length = octets === 0 ? first : der.readUIntBE(at + 2, octets);
  const start = at + 2 + octets;
  if (start + length > der.length) return undefined;
  return { tag, content: der.subarray(start, start + length), end: start + length };
}

/** Tags of all elements of a sequence; undefined: it is none. */
function tagsOf(der: Buffer): readonly number[] | undefined {
  const tags: number[] = [];
  for (let at = 0; at < der.length; ) {
    const one = element(der, at);
    if (one === undefined) return undefined;
    tags.push(one.tag);
    at = one.end;
  }
  return tags;
}

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const SEQUENCE = 0x30;
const TIMES: readonly (number | undefined)[] = [0x17, 0x18];

/** CertificateList: what is signed, how, and the signature. What is signed begins with a version, an algorithm, an issuer, a time. */
function isRevocationList(der: Buffer): boolean {
  const list = element(der, 0);
  if (list?.tag !== SEQUENCE || list.end !== der.length) return false;
  if (tagsOf(list.content)?.join() !== [SEQUENCE, SEQUENCE, BIT_STRING].join()) return false;
  const tags = tagsOf(element(list.content, 0)?.content ?? Buffer.alloc(0)) ?? [];
  const [algorithm, issuer, time] = tags[0] === INTEGER ? tags.slice(1) : tags;
  return algorithm === SEQUENCE && issuer === SEQUENCE && TIMES.includes(time);
}
