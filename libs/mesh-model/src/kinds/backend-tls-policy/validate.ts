import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import { checkHostname } from "../gateway-api/check-refs.ts";
import type { KindContext } from "../index.ts";
import type { backendTlsPolicyBody } from "./schema.ts";

/** gateway.networking.k8s.io BackendTLSPolicy, as the rules of its CRD say. */
export function validateBackendTlsPolicy(body: Infer<typeof backendTlsPolicyBody>, context: KindContext): void {
  const { targetRefs, validation } = body.spec;
  const check = context.check.at("spec");
  if (targetRefs.length === 0) check.at("targetRefs").error("at least one target is required");
  const at = check.at("validation");
  const given = (validation.caCertificateRefs?.length ?? 0) > 0;
  if (given === (validation.wellKnownCACertificates !== undefined)) {
    at.error("exactly one of caCertificateRefs and wellKnownCACertificates is required", { code: codes.conflict });
  }
  checkHostname(validation.hostname, at.at("hostname"));
  if (validation.hostname.startsWith("*")) at.at("hostname").error("a server name has no wildcard");
  for (const [index, { type, hostname, uri }] of (validation.subjectAltNames ?? []).entries()) {
    const value = type === "Hostname" ? hostname : uri;
    const other = type === "Hostname" ? uri : hostname;
    if (!value || other) {
      at.at("subjectAltNames", index).error(`type ${type} needs ${type === "Hostname" ? "hostname" : "uri"} alone`);
    }
  }
}
