import type { GatewayContext, GatewayServer, PlacedServer } from "./gateway-server.ts";
import { downstreamSocket, meshServerTls, ROOT_SECRET, type ServerTls, serverLimits, WORKLOAD_SECRET } from "./tls.ts";

/** The TLS that a server ends itself. */
export function serverSocket({ server }: PlacedServer, http: boolean, context: GatewayContext) {
  const tls = server.tls ?? {};
  const alpn = http ? (context.client.http2 ? ["h2", "http/1.1"] : ["http/1.1"]) : [];
  if (tls.mode === "ISTIO_MUTUAL") {
    const { trustDomain, trustDomainAliases, meshMTLS } = context.config;
    return meshServerTls([...alpn, "istio"], [trustDomain, ...trustDomainAliases], meshMTLS);
  }
  const mutual = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  const options: ServerTls = {
    alpn,
    certificate: certificateSecret(tls),
    others: certificateSecrets(tls).slice(1),
    trust: mutual ? trustSecret(tls) : undefined,
    requireClient: tls.mode === "MUTUAL",
    names: [],
    ...(mutual
      ? {
          altNames: tls.subjectAltNames ?? [],
          spki: tls.verifyCertificateSpki ?? [],
          hashes: tls.verifyCertificateHash ?? [],
          crl: tls.caCrl || undefined,
        }
      : {}),
    ...serverLimits(tls, context.config.tlsDefaults),
  };
  return downstreamSocket(options);
}

type Tls = NonNullable<GatewayServer["tls"]>;

/** A credential of the Gateway API says where it is; others are in the proxy's namespace. */
function stored(credentialName: string): string {
  return credentialName.startsWith("kubernetes-gateway://") ? credentialName : `kubernetes://${credentialName}`;
}

/** SDS name of the server certificate: `kubernetes://<credentialName>` or `file-cert:<cert>~<key>`. */
export function certificateSecret(tls: Tls): string {
  return certificateSecrets(tls)[0] ?? WORKLOAD_SECRET;
}

/** Names of the credentials of a server, the first being the one that everybody gets. */
export function credentialNames(tls: Tls): readonly string[] {
  return tls.credentialName ? [tls.credentialName] : (tls.credentialNames ?? []);
}

/** SDS names of all certificates that a server may present. */
export function certificateSecrets(tls: Tls): readonly string[] {
  const named = credentialNames(tls).map(stored);
  if (named.length > 0) return named;
  const pairs = tls.serverCertificate
    ? [{ serverCertificate: tls.serverCertificate, privateKey: tls.privateKey }]
    : (tls.tlsCertificates ?? []);
  return pairs.map(({ serverCertificate, privateKey }) => `file-cert:${serverCertificate ?? ""}~${privateKey ?? ""}`);
}

/** SDS name of the roots that client certificates must chain to. */
export function trustSecret(tls: Tls): string {
  const [named] = credentialNames(tls);
  if (named !== undefined) return `${stored(named)}-cacert`;
  const file = tls.caCertificates || tls.tlsCertificates?.[0]?.caCertificates;
  return file ? `file-root:${file}` : ROOT_SECRET;
}
