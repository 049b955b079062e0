import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkUnique } from "../../validation/common.ts";
import { isIp } from "../../validation/ip.ts";
import { checkLabels, isDnsLabel, isWildcardHost } from "../../validation/names.ts";
import { checkCipherSuites } from "../../validation/tls.ts";
import type { KindContext } from "../index.ts";
import type { gatewayBody } from "./schema.ts";

type Server = NonNullable<Infer<typeof gatewayBody>["spec"]["servers"]>[number];
type ServerTls = NonNullable<Server["tls"]>;

const PLAIN: ReadonlySet<string> = new Set(["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "TCP", "MONGO", "REDIS", "MYSQL"]);
const HTTP: ReadonlySet<string> = new Set(["HTTP", "HTTP2", "GRPC", "GRPC-WEB"]);
const SECURE: ReadonlySet<string> = new Set(["HTTPS", "TLS"]);
const VERSIONS: readonly string[] = ["TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"];
const CERTIFICATE_FIELDS = ["serverCertificate", "privateKey", "caCertificates", "credentialName"] as const;

/** networking.istio.io Gateway, as Istio's admission checks it. */
export function validateGateway(body: Infer<typeof gatewayBody>, context: KindContext): void {
  const { spec } = body;
  const check = context.check.at("spec");
  const servers = spec.servers ?? [];
  if (servers.length === 0) check.error("at least one server is required", { code: codes.missingField });
  if (spec.selector === undefined || Object.keys(spec.selector).length === 0) {
    check.warn("a gateway without selector applies to every gateway workload");
  }
  checkLabels(spec.selector, check.at("selector"));
  for (const [index, server] of servers.entries()) checkServer(server, check.at("servers", index));
  checkUnique(
    servers.map((server, index) => [server.port.name ?? "", check.at("servers", index, "port", "name")]),
    (name) => `port name "${name}" is used by another server`,
  );
}

function checkServer(server: Server, check: Check): void {
  const protocol = server.port.protocol.toUpperCase();
  if (!PLAIN.has(protocol) && !SECURE.has(protocol)) {
    check.at("port", "protocol").error(`"${server.port.protocol}" is not one of ${[...PLAIN, ...SECURE].join(", ")}`);
  }
  if (!server.port.name) check.at("port").error(`field "name" is required`, { code: codes.missingField });
  if (server.port.targetPort !== undefined) check.at("port", "targetPort").warn("targetPort is ignored");
  if (server.bind && !isIp(server.bind)) check.at("bind").error(`"${server.bind}" is not an IP address`);
  if (server.hosts.length === 0) check.at("hosts").error("at least one host is required");
  for (const [index, host] of server.hosts.entries()) {
    if (!isGatewayHost(host)) check.at("hosts", index).error(`"${host}" is not a host or "namespace/host"`);
  }
  checkTlsBlock(server, protocol, check);
}

function isGatewayHost(host: string): boolean {
  const slash = host.indexOf("/");
  if (slash < 0) return isWildcardHost(host);
  const namespace = host.slice(0, slash);
  return (namespace === "*" || namespace === "." || isDnsLabel(namespace)) && isWildcardHost(host.slice(slash + 1));
}

function checkTlsBlock(server: Server, protocol: string, check: Check): void {
  const { tls } = server;
  if (SECURE.has(protocol) && tls === undefined) {
    check.error(`a server with protocol ${protocol} needs tls`, { code: codes.missingField });
  }
  if (tls === undefined) return;
  const at = check.at("tls");
  if (PLAIN.has(protocol)) {
    const onlyRedirect = HTTP.has(protocol) && Object.keys(tls).every((field) => field === "httpsRedirect");
    if (!onlyRedirect)
      at.error(`a server with protocol ${protocol} cannot have tls settings`, { hint: "use HTTPS or TLS" });
    return;
  }
  if (tls.httpsRedirect === true) at.at("httpsRedirect").warn("httpsRedirect has no effect on a TLS server");
  checkServerTls(tls, protocol, at);
}

/** Of public keys in base64, of certificates in hex with or without colons. */
const DIGESTS = {
  verifyCertificateSpki: /^[A-Za-z0-9+/]{43}=$/,
  verifyCertificateHash: /^(?:[0-9a-fA-F]{64}|(?:[0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2})$/,
} as const;

/** Several certificates, of which clients get the kind they can use; and what is asked of client certificates. */
function checkCertificateLists(tls: ServerTls, check: Check): void {
  const ways = (["credentialName", "credentialNames", "serverCertificate", "tlsCertificates"] as const).filter(
    (field) => tls[field]?.length,
  );
  const lists = ways.filter((way) => way === "credentialNames" || way === "tlsCertificates");
  if (ways.length > 1 && lists.length > 0) {
    check.error(`${ways.join(" and ")} exclude each other`, { code: codes.conflict });
  }
  for (const field of ["credentialNames", "tlsCertificates"] as const) {
    if ((tls[field]?.length ?? 0) > 2) check.at(field).error("at most two certificates can be used");
  }
  for (const [index, pair] of (tls.tlsCertificates ?? []).entries()) {
    if (!pair.serverCertificate || !pair.privateKey) {
      check
        .at("tlsCertificates", index)
        .error("serverCertificate and privateKey are both required", { code: codes.missingField });
    }
  }
  for (const [field, form] of Object.entries(DIGESTS) as [keyof typeof DIGESTS, RegExp][]) {
    for (const [index, digest] of (tls[field] ?? []).entries()) {
      if (!form.test(digest)) check.at(field, index).error(`"${digest}" is no SHA-256 digest`);
    }
  }
  const verifies = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  for (const field of ["subjectAltNames", "verifyCertificateSpki", "verifyCertificateHash"] as const) {
    if (tls[field]?.length && !verifies) {
      check.at(field).warn(`${field} has no effect: mode ${tls.mode ?? "PASSTHROUGH"} asks for no client certificate`);
    }
  }
}

function checkServerTls(tls: ServerTls, protocol: string, check: Check): void {
  const mode = tls.mode ?? "PASSTHROUGH";
  const files = (Boolean(tls.serverCertificate) && Boolean(tls.privateKey)) || Boolean(tls.tlsCertificates?.length);
  const named = Boolean(tls.credentialName) || Boolean(tls.credentialNames?.length);
  checkCertificateLists(tls, check);
  if (tls.credentialName && (tls.serverCertificate || tls.privateKey)) {
    check.error("credentialName and serverCertificate/privateKey exclude each other", { code: codes.conflict });
  }
  switch (mode) {
    case "AUTO_PASSTHROUGH":
      if (CERTIFICATE_FIELDS.some((field) => tls[field]))
        check.warn("certificates have no effect with mode AUTO_PASSTHROUGH");
      break;
    case "PASSTHROUGH":
      if (protocol === "HTTPS" && tls.mode === undefined) {
        check.warn("tls without mode means PASSTHROUGH", { hint: "set mode: SIMPLE to terminate TLS here" });
      }
      if (CERTIFICATE_FIELDS.some((field) => tls[field]))
        check.warn("certificates have no effect with mode PASSTHROUGH");
      break;
    case "ISTIO_MUTUAL":
      for (const field of CERTIFICATE_FIELDS) {
        if (tls[field])
          check.at(field).error(`${field} cannot be set with mode ISTIO_MUTUAL`, { code: codes.conflict });
      }
      break;
    default:
      if (!files && !named) {
        check.error(`mode ${mode} needs credentialName, or serverCertificate and privateKey`, {
          code: codes.missingField,
        });
      }
      if (mode !== "SIMPLE" && !tls.caCertificates && !named) {
        check.error(`mode ${mode} needs caCertificates or credentialName`, { code: codes.missingField });
      }
  }
  const [min, max] = [VERSIONS.indexOf(tls.minProtocolVersion ?? ""), VERSIONS.indexOf(tls.maxProtocolVersion ?? "")];
  if (max >= 0 && min > max) {
    check.at("minProtocolVersion").warn("minProtocolVersion is above maxProtocolVersion: no client can connect");
  }
  checkCipherSuites(tls.cipherSuites, check.at("cipherSuites"));
  for (const field of ["minProtocolVersion", "maxProtocolVersion"] as const) {
    const version = tls[field];
    if ((version === "TLSV1_0" || version === "TLSV1_1") && !tls.cipherSuites?.length) {
      check.at(field).warn(`${version} needs cipherSuites that it can use`);
    }
  }
}
