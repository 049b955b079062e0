import type { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import type { SecretSpec } from "../plan.ts";
import type { DecodeRun } from "./context.ts";
import { onlyFields, refuse } from "./fields.ts";
import { dataText } from "./tls.ts";

/** @see envoy.extensions.transport_sockets.tls.v3.Secret */
export function secretSpec(secret: Secret, run: DecodeRun): SecretSpec {
  switch (secret.type?.$case) {
    case "tlsCertificate":
      return {
        kind: "certificate",
        name: secret.name,
        certChainPem: dataText(secret.type.value.certificateChain, run, "tls_certificate.certificate_chain"),
        privateKeyPem: dataText(secret.type.value.privateKey, run, "tls_certificate.private_key"),
      };
    case "validationContext":
      onlyFields(secret.type.value, "validation_context", ["trustedCa", "crl", "watchedDirectory"]);
      return {
        kind: "trust",
        name: secret.name,
        bundlePem: dataText(secret.type.value.trustedCa, run, "validation_context.trusted_ca"),
        ...(secret.type.value.crl === undefined
          ? {}
          : { crlPem: dataText(secret.type.value.crl, run, "validation_context.crl") }),
      };
    default:
      return refuse("type", `${secret.type?.$case ?? "no type"} is not supported by this proxy`);
  }
}
