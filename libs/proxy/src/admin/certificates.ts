import { certificateFacts, splitPem } from "@lateen/pki";
import type { SecretSpec } from "../config/plan.ts";

const DAY_MS = 86_400_000;

/** Envoy's `/certs`: what the certificates in use say, never their keys. @see envoy.admin.v3.Certificates */
export function certificatesJson(secrets: Iterable<SecretSpec>, nowMs: number): unknown {
  const all = [...secrets];
  const details = (kind: SecretSpec["kind"]) =>
    all
      .filter((secret) => secret.kind === kind)
      .flatMap((secret) =>
        describeSecret(secret, nowMs).map((fact) => ({ path: `<inline: ${secret.name}>`, ...fact })),
      );
  const chains = details("certificate");
  const roots = details("trust");
  return { certificates: chains.length + roots.length === 0 ? [] : [{ caCert: roots, certChain: chains }] };
}

/** Facts of every certificate of a secret; empty for text that is none. */
export function describeSecret(secret: SecretSpec, nowMs: number) {
  const pem = secret.kind === "certificate" ? secret.certChainPem : secret.bundlePem;
  return splitPem(pem).flatMap((text) => {
    try {
      const { serial, notBefore, notAfter, uriSans, dnsSans } = certificateFacts(text);
      return [
        {
          serialNumber: serial,
          subjectAltNames: [...uriSans.map((uri) => ({ uri })), ...dnsSans.map((dns) => ({ dns }))],
          daysUntilExpiration: String(Math.max(0, Math.floor((notAfter - nowMs) / DAY_MS))),
          validFrom: new Date(notBefore).toISOString(),
          expirationTime: new Date(notAfter).toISOString(),
        },
      ];
    } catch {
      return [];
    }
  });
}
