import type { GatewayContext, GatewayServer, PlacedServer } from "./gateway-server.ts";
import { downstreamSocket, meshServerTls, ROOT_SECRET, type ServerTls, WORKLOAD_SECRET } from "./tls.ts";

/** The TLS that a server ends itself. */
export function serverSocket({ server }: PlacedServer, http: boolean, context: GatewayContext) {
  const tls = server.tls ?? {};
  const alpn = http ? (context.client.http2 ? ["h2", "http/1.1"] : ["http/1.1"]) : [];
  if (tls.mode === "ISTIO_MUTUAL") {
    return meshServerTls([...alpn, "istio"], [context.config.trustDomain, ...context.config.trustDomainAliases]);
  }
  const mutual = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  const options: ServerTls = {
    alpn,
    certificate: certificateSecret(tls),
    trust: mutual ? trustSecret(tls) : undefined,
    requireClient: tls.mode === "MUTUAL",
    names: [],
    minVersion: tls.minProtocolVersion ?? "TLSV1_2",
    maxVersion: tls.maxProtocolVersion ?? "TLS_AUTO",
    ciphers: tls.cipherSuites ?? [],
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
  if (tls.credentialName) return stored(tls.credentialName);
  if (tls.serverCertificate) return `file-cert:${tls.serverCertificate}~${tls.privateKey ?? ""}`;
  return WORKLOAD_SECRET;
}

/** SDS name of the roots that client certificates must chain to. */
export function trustSecret(tls: Tls): string {
  if (tls.credentialName) return `${stored(tls.credentialName)}-cacert`;
  return tls.caCertificates ? `file-root:${tls.caCertificates}` : ROOT_SECRET;
}
