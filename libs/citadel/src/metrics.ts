/** What citadel counts, under the names of Istio's CA. */
export interface CitadelCounts {
  csr: number;
  success: number;
  csrParseErrors: number;
  idExtractionErrors: number;
  signErrors: number;
  authenticationFailures: number;
}

export function newCounts(): CitadelCounts {
  return { csr: 0, success: 0, csrParseErrors: 0, idExtractionErrors: 0, signErrors: 0, authenticationFailures: 0 };
}

/** Prometheus text. @param expiry epoch milliseconds at which root and signing certificate end. */
export function exposition(counts: CitadelCounts, expiry: { root: number; chain: number }, now: number): string {
  const counter = (name: string, help: string, value: number) => metric(name, help, "counter", value);
  const gauge = (name: string, help: string, value: number) => metric(name, help, "gauge", value);
  return [
    counter("citadel_server_csr_count", "Certificate requests received.", counts.csr),
    counter("citadel_server_success_cert_issuance_count", "Certificates issued.", counts.success),
    counter("citadel_server_csr_parsing_err_count", "Requests that could not be read.", counts.csrParseErrors),
    counter("citadel_server_id_extraction_err_count", "Callers without a usable identity.", counts.idExtractionErrors),
    counter("citadel_server_csr_sign_err_count", "Requests that could not be signed.", counts.signErrors),
    counter(
      "citadel_server_authentication_failure_count",
      "Callers that could not be authenticated.",
      counts.authenticationFailures,
    ),
    gauge(
      "citadel_server_root_cert_expiry_timestamp",
      "End of the root certificate, epoch seconds.",
      expiry.root / 1000,
    ),
    gauge("citadel_server_root_cert_expiry_seconds", "Seconds until the root ends.", (expiry.root - now) / 1000),
    gauge(
      "citadel_server_cert_chain_expiry_timestamp",
      "End of the signing certificate, epoch seconds.",
      expiry.chain / 1000,
    ),
    gauge(
      "citadel_server_cert_chain_expiry_seconds",
      "Seconds until the signing certificate ends.",
      (expiry.chain - now) / 1000,
    ),
  ].join("");
}

function metric(name: string, help: string, type: string, value: number): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`;
}
