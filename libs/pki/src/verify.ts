import { createPrivateKey, X509Certificate } from "node:crypto";
import { type Clock, err, messageOf, ok, type Result } from "@lateen/kernel";
import type { CaMaterial } from "@lateen/ports";
import { weakKeyReason } from "./keys.ts";
import { splitPem } from "./pem.ts";

/** Longest chain that is looked at, roots not counted. */
const MAX_CHAIN = 10;

/**
 * Whether the first certificate of `chainPem` chains to a certificate of the trust bundle: every link signed by the next, every
 * signer a CA, all within their time. Names are the caller's business.
 */
export function verifyChain(
  chainPem: string | readonly string[],
  rootPem: string,
  clock: Clock,
): Result<{ readonly leaf: X509Certificate }, string> {
  const texts = typeof chainPem === "string" ? splitPem(chainPem) : chainPem.flatMap(splitPem);
  if (texts.length === 0) return err("no certificate");
  if (texts.length > MAX_CHAIN) return err(`more than ${MAX_CHAIN} certificates`);
  try {
    const roots = splitPem(rootPem).map((pem) => new X509Certificate(pem));
    const chain = texts.map((pem) => new X509Certificate(pem));
    return followChain(chain, roots, clock.now());
  } catch (error) {
    return err(messageOf(error));
  }
}

function followChain(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: number,
): Result<{ readonly leaf: X509Certificate }, string> {
  const [leaf] = chain;
  if (leaf === undefined) return err("no certificate");
  let current = leaf;
  for (let depth = 0; depth <= MAX_CHAIN; depth++) {
    if (current.validToDate.getTime() <= now) return err("a certificate has expired");
    if (current.validFromDate.getTime() > now) return err("a certificate is not valid yet");
    const anchor = roots.find((root) => root.fingerprint256 === current.fingerprint256 || signs(root, current));
    if (anchor !== undefined) {
      if (anchor.validToDate.getTime() <= now) return err("the root certificate has expired");
      return ok({ leaf });
    }
    const next = chain.find((candidate) => candidate !== current && signs(candidate, current));
    if (next === undefined) return err("the chain does not lead to a trusted root");
    current = next;
  }
  return err("the chain does not lead to a trusted root");
}

function signs(issuer: X509Certificate, subject: X509Certificate): boolean {
  return issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

/** Why this CA cannot be used to sign, or ok: key and certificate match, it is a CA in its time and leads to its root. */
export function checkCa(ca: CaMaterial, clock: Clock): Result<{ readonly notAfter: number }, string> {
  try {
    const certificate = new X509Certificate(ca.certPem);
    if (!certificate.ca) return err("ca-cert.pem is not a CA certificate");
    if (!certificate.checkPrivateKey(createPrivateKey(ca.keyPem)))
      return err("ca-key.pem does not belong to ca-cert.pem");
    const weak = weakKeyReason(certificate.publicKey);
    if (weak !== undefined) return err(weak);
    const chain = verifyChain(`${ca.certPem}\n${ca.chainPem}`, ca.rootPem, clock);
    return chain.ok ? ok({ notAfter: certificate.validToDate.getTime() }) : chain;
  } catch (error) {
    return err(messageOf(error));
  }
}
