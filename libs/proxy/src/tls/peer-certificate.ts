import type { X509Certificate } from "node:crypto";
import type { PeerCertificateFacts } from "../listener/connection-info.ts";
import { parseSubjectAltName } from "./names.ts";

/** Facts of a peer's certificate; the texts that few ask for are made when asked for. */
export class PeerCertificate implements PeerCertificateFacts {
  readonly principal: string | undefined;
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  readonly #certificate: X509Certificate;

  constructor(certificate: X509Certificate) {
    const { uris, dns } = parseSubjectAltName(certificate.subjectAltName);
    this.#certificate = certificate;
    this.uris = uris;
    this.dns = dns;
    this.principal = uris.length === 1 ? uris[0] : undefined;
  }

  /** RFC 2253: the most specific part first. */
  get subject(): string {
    const parts = this.#certificate.subject?.split("\n").filter((part) => part !== "") ?? [];
    return parts.reverse().join(",");
  }

  get hash(): string {
    return this.#certificate.fingerprint256.replaceAll(":", "").toLowerCase();
  }

  get pem(): string {
    return this.#certificate.toString();
  }
}
