import type { ConnectionFacts } from "@lateen/traffic";

/** What is known about a downstream connection once it is accepted and, with TLS, its handshake is done. */
export interface ConnectionInfo {
  /** CONNECTION_ID; absent: nobody asks for it by this. */
  readonly connectionId?: number;
  readonly sourceAddress: string;
  readonly sourcePort: number;
  /** The address the client wanted: original destination, else where it arrived. */
  readonly destinationAddress: string;
  readonly destinationPort: number;
  /** SNI, lower case, or empty. */
  readonly serverName: string;
  readonly secure: boolean;
  readonly peer: PeerCertificateFacts | undefined;
  /** What its filter chain was chosen by; absent where nothing was chosen. */
  readonly matched?: ConnectionFacts;
  /** URI SANs of the certificate that we presented; left out without TLS. */
  readonly localUris?: readonly string[];
}

/** Facts of a verified client certificate. */
export interface PeerCertificateFacts {
  /** The URI SAN when there is exactly one. */
  readonly principal: string | undefined;
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  readonly subject: string;
  /** SHA-256 of the certificate, hex. */
  readonly hash: string;
  readonly pem: string;
}

/** `ip:port`, IPv6 in brackets. */
export function addressText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** IPv4 that arrived on an IPv6 socket, as IPv4. */
export function unmapped(address: string): string {
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}
