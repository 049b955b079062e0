import type { Check } from "./check.ts";

/** Suites for TLS 1.2 that Envoy and OpenSSL have in common, in OpenSSL's words. */
const CIPHER_SUITES: readonly string[] = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "AES256-GCM-SHA384",
  "AES128-GCM-SHA256",
  "AES256-SHA",
  "AES128-SHA",
];

/** Groups for the key exchange that both know. */
const CURVES: readonly string[] = ["X25519", "P-256", "P-384", "P-521", "X25519MLKEM768"];

/** The suites of a list that proxies know, each once. An Envoy refuses a list in which it does not know one. */
export function usableCipherSuites(suites: readonly string[] | undefined): readonly string[] {
  return [...new Set(suites ?? [])].filter((suite) => CIPHER_SUITES.includes(suite));
}

/** As Istio, which leaves out what it does not know, and says so. */
export function checkCipherSuites(suites: readonly string[] | undefined, check: Check): void {
  for (const [index, suite] of (suites ?? []).entries()) {
    const at = check.at(index);
    if (!CIPHER_SUITES.includes(suite)) at.warn(`cipher suite "${suite}" is not known, and is left out`);
    else if (suites?.indexOf(suite) !== index) at.warn(`cipher suite "${suite}" is written twice`);
  }
}

/** Limits for the whole mesh have to be meant as they are written. */
export function checkTlsSettings(
  settings: { readonly cipherSuites?: readonly string[]; readonly ecdhCurves?: readonly string[] } | undefined,
  check: Check,
): void {
  for (const [field, known] of [
    ["cipherSuites", CIPHER_SUITES],
    ["ecdhCurves", CURVES],
  ] as const) {
    for (const [index, name] of (settings?.[field] ?? []).entries()) {
      const at = check.at(field, index);
      if (!known.includes(name)) at.error(`"${name}" is none of ${known.join(", ")}`);
      else if (settings?.[field]?.indexOf(name) !== index) at.error(`"${name}" is written twice`);
    }
  }
}
