import { createHash } from "node:crypto";
import type { DataSource } from "@lateen/proto/envoy/config/core/v3/base";
import {
  type CertificateValidationContext,
  CertificateValidationContext_TrustChainVerification as ChainVerification,
  TlsParameters_TlsProtocol as Protocol,
  SubjectAltNameMatcher_SanType as SanType,
  type TlsCertificate,
  type TlsParameters,
} from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/common";
import type { SdsSecretConfig } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import {
  type CommonTlsContext,
  DownstreamTlsContext,
  UpstreamTlsContext,
} from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import type { Any } from "@lateen/proto/google/protobuf/any";
import type { DownstreamTlsSpec, SecretSpec, TlsValidationSpec, TlsVersion, UpstreamTlsSpec } from "../plan.ts";
import { unpack } from "./any.ts";
import type { DecodeRun } from "./context.ts";
import { join, onlyFields, refuse } from "./fields.ts";
import { stringMatch } from "./matchers.ts";

/** The text of a data source; files are read now. */
export function dataText(source: DataSource | undefined, run: DecodeRun, at: string): string {
  const specifier = source?.specifier;
  if (specifier === undefined) return refuse(at, "a data source is required");
  switch (specifier.$case) {
    case "inlineString":
      return specifier.value;
    case "inlineBytes":
      return specifier.value.toString("utf8");
    case "filename":
      try {
        return run.readFile(specifier.value).toString("utf8");
      } catch (error) {
        return refuse(at, `cannot read ${specifier.value}: ${error instanceof Error ? error.message : String(error)}`);
      }
    case "environmentVariable":
      return run.readEnv(specifier.value) ?? refuse(at, `environment variable ${specifier.value} is not set`);
  }
}

/** @see envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext */
export function upstreamTls(config: Any | undefined, run: DecodeRun, at: string): UpstreamTlsSpec {
  const context = unpack(config, UpstreamTlsContext, at);
  onlyFields(context, at, ["commonTlsContext", "sni", "maxSessionKeys", "enforceRsaKeyUsage"]);
  const common = context.commonTlsContext;
  const path = join(at, "common_tls_context");
  return {
    sni: context.sni === "" ? undefined : context.sni,
    alpn: common?.alpnProtocols ?? [],
    certificateSecret: common === undefined ? undefined : onlyCertificate(common, run, path),
    validation: validation(common, run, path) ?? { trust: undefined, sans: [] },
    ...parameters(common?.tlsParams, join(path, "tls_params")),
  };
}

/** @see envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext */
export function downstreamTls(config: Any | undefined, run: DecodeRun, at: string): DownstreamTlsSpec {
  const context = unpack(config, DownstreamTlsContext, at);
  onlyFields(context, at, [
    "commonTlsContext",
    "requireClientCertificate",
    "sessionTicketKeysType",
    "disableStatefulSessionResumption",
    "sessionTimeout",
    "fullScanCertsOnSniMismatch",
  ]);
  const common = context.commonTlsContext ?? refuse(join(at, "common_tls_context"), "required");
  const path = join(at, "common_tls_context");
  const [certificateSecret = refuse(path, "a server certificate is required"), ...otherCertificates] = certificateNames(
    common,
    run,
    path,
  );
  return {
    alpn: common.alpnProtocols,
    certificateSecret,
    ...(otherCertificates.length === 0 ? {} : { otherCertificates }),
    requireClientCertificate: context.requireClientCertificate ?? false,
    validation: validation(common, run, path),
    ...parameters(common.tlsParams, join(path, "tls_params")),
  };
}

function onlyCertificate(common: CommonTlsContext, run: DecodeRun, at: string): string | undefined {
  const [name, ...others] = certificateNames(common, run, at);
  if (others.length > 0) refuse(at, "a client presents one certificate");
  return name;
}

function certificateNames(common: CommonTlsContext, run: DecodeRun, at: string): readonly string[] {
  onlyFields(common, at, [
    "tlsParams",
    "tlsCertificates",
    "tlsCertificateSdsSecretConfigs",
    "validationContextType",
    "alpnProtocols",
  ]);
  const named = common.tlsCertificateSdsSecretConfigs;
  if (named.length > 0) {
    return named.map((one) => secretName(one, run, join(at, "tls_certificate_sds_secret_configs")));
  }
  return common.tlsCertificates.map((one, index) =>
    inlineCertificate(one, run, join(at, `tls_certificates[${index}]`)),
  );
}

/**
 * Secrets this proxy can get: its own identity and the mesh root, files, and credentials of the control plane's secret store
 * (`kubernetes://…`, `kubernetes-gateway://…`). Others are refused here, before a listener waits for them for ever.
 */
function secretName(config: SdsSecretConfig, run: DecodeRun, at: string): string {
  if (config.name === "") refuse(at, "name is required");
  if (/^(builtin|invalid|configmap):\/\//.test(config.name)) {
    refuse(
      at,
      `secret ${config.name} is not available to this proxy; it knows default, ROOTCA, file-cert:, file-root:, kubernetes:// and kubernetes-gateway://`,
    );
  }
  const secret = fileSecret(config.name, run, at);
  if (secret !== undefined) run.secrets.set(secret.name, secret);
  return config.name;
}

/** `file-root:PATH` and `file-cert:CHAIN~KEY`, the names Istio gives to files that a workload mounts. Other names give undefined. */
export function fileSecret(name: string, run: DecodeRun, at: string): SecretSpec | undefined {
  const read = (path: string): string =>
    dataText({ specifier: { $case: "filename", value: path }, watchedDirectory: undefined }, run, at);
  if (name.startsWith("file-root:")) {
    const path = name.slice("file-root:".length);
    return { kind: "trust", name, bundlePem: path === "system" ? run.systemRoots() : read(path) };
  }
  if (!name.startsWith("file-cert:")) return undefined;
  const [chain = "", key = ""] = name.slice("file-cert:".length).split("~");
  return { kind: "certificate", name, certChainPem: read(chain), privateKeyPem: read(key) };
}

function inlineCertificate(certificate: TlsCertificate, run: DecodeRun, at: string): string {
  onlyFields(certificate, at, ["certificateChain", "privateKey", "watchedDirectory"]);
  const certChainPem = dataText(certificate.certificateChain, run, join(at, "certificate_chain"));
  const privateKeyPem = dataText(certificate.privateKey, run, join(at, "private_key"));
  const digest = createHash("sha256").update(certChainPem).update(privateKeyPem).digest("hex").slice(0, 16);
  const name = `inline:${digest}`;
  run.secrets.set(name, { kind: "certificate", name, certChainPem, privateKeyPem });
  return name;
}

function validation(common: CommonTlsContext | undefined, run: DecodeRun, at: string): TlsValidationSpec | undefined {
  const type = common?.validationContextType;
  if (type === undefined) return undefined;
  switch (type.$case) {
    case "validationContext":
      return validationContext(type.value, undefined, run, join(at, "validation_context"));
    case "validationContextSdsSecretConfig":
      return {
        trust: { secret: secretName(type.value, run, join(at, "validation_context_sds_secret_config")) },
        sans: [],
      };
    case "combinedValidationContext": {
      const path = join(at, "combined_validation_context");
      const sds = type.value.validationContextSdsSecretConfig;
      onlyFields(type.value, path, ["defaultValidationContext", "validationContextSdsSecretConfig"]);
      const secret = sds === undefined ? undefined : secretName(sds, run, path);
      return validationContext(
        type.value.defaultValidationContext,
        secret,
        run,
        join(path, "default_validation_context"),
      );
    }
    default:
      return refuse(at, `${type.$case} is not supported by this proxy`);
  }
}

const SYSTEM_ROOTS = "system-roots";

function validationContext(
  context: CertificateValidationContext | undefined,
  secret: string | undefined,
  run: DecodeRun,
  at: string,
): TlsValidationSpec {
  if (context === undefined) return { trust: secret === undefined ? undefined : { secret }, sans: [] };
  onlyFields(context, at, [
    "trustedCa",
    "crl",
    "systemRootCerts",
    "watchedDirectory",
    "matchTypedSubjectAltNames",
    "matchSubjectAltNames",
    "trustChainVerification",
  ]);
  const sans = [
    ...context.matchTypedSubjectAltNames.map((san, index) => {
      const path = join(at, `match_typed_subject_alt_names[${index}]`);
      const type = san.sanType === SanType.URI ? ("uri" as const) : ("dns" as const);
      if (type === "dns" && san.sanType !== SanType.DNS) refuse(path, "only san_type URI and DNS are supported");
      return { type, match: stringMatch(san.matcher, path) };
    }),
    // The untyped form matches either kind; a value with a scheme can only be a URI.
    ...context.matchSubjectAltNames.flatMap((matcher, index) => {
      const match = stringMatch(matcher, join(at, `match_subject_alt_names[${index}]`));
      return [
        { type: "uri" as const, match },
        { type: "dns" as const, match },
      ];
    }),
  ];
  return {
    trust: trust(context, secret, run, at),
    ...(context.crl === undefined ? {} : { crlPem: dataText(context.crl, run, join(at, "crl")) }),
    sans,
  };
}

function trust(
  context: CertificateValidationContext,
  secret: string | undefined,
  run: DecodeRun,
  at: string,
): TlsValidationSpec["trust"] {
  if (context.trustChainVerification === ChainVerification.ACCEPT_UNTRUSTED) return undefined;
  if (secret !== undefined) return { secret };
  if (context.systemRootCerts !== undefined) {
    run.secrets.set(SYSTEM_ROOTS, { kind: "trust", name: SYSTEM_ROOTS, bundlePem: run.systemRoots() });
    return { secret: SYSTEM_ROOTS };
  }
  if (context.trustedCa === undefined) return undefined;
  return { pem: dataText(context.trustedCa, run, join(at, "trusted_ca")) };
}

function parameters(
  params: TlsParameters | undefined,
  at: string,
): {
  minVersion: TlsVersion | undefined;
  maxVersion: TlsVersion | undefined;
  ciphers: readonly string[];
  curves?: readonly string[];
} {
  if (params !== undefined) {
    // Signature algorithms only narrow what Node negotiates by default.
    onlyFields(params, at, [
      "tlsMinimumProtocolVersion",
      "tlsMaximumProtocolVersion",
      "cipherSuites",
      "ecdhCurves",
      "signatureAlgorithms",
    ]);
  }
  return {
    minVersion: minimum(params?.tlsMinimumProtocolVersion ?? Protocol.TLS_AUTO),
    maxVersion: maximum(params?.tlsMaximumProtocolVersion ?? Protocol.TLS_AUTO, at),
    ciphers: (params?.cipherSuites ?? []).flatMap((suite) => suite.replaceAll(/[[\]]/g, "").split("|")),
    ...(params === undefined || params.ecdhCurves.length === 0 ? {} : { curves: params.ecdhCurves }),
  };
}

function minimum(version: Protocol): TlsVersion | undefined {
  // TLS 1.0 and 1.1 are never offered; asking for them as a minimum gives 1.2.
  if (version === Protocol.TLS_AUTO) return undefined;
  return version === Protocol.TLSv1_3 ? "TLSv1.3" : "TLSv1.2";
}

function maximum(version: Protocol, at: string): TlsVersion | undefined {
  switch (version) {
    case Protocol.TLS_AUTO:
      return undefined;
    case Protocol.TLSv1_2:
      return "TLSv1.2";
    case Protocol.TLSv1_3:
      return "TLSv1.3";
    default:
      return refuse(join(at, "tls_maximum_protocol_version"), "TLS 1.0 and 1.1 are not supported");
  }
}
