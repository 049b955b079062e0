import type { MeshService } from "@lateen/mesh-model";
import type { Cluster } from "@lateen/proto/envoy/config/cluster/v3/cluster";
import type { ClusterContext } from "./cluster-context.ts";
import { meshSni } from "./names.ts";
import { endingWith, exactly } from "./proto.ts";
import { portClass } from "./protocol.ts";
import { meshAlpn, meshClientTls, originatedTls, rawSocket } from "./tls.ts";
import type { PolicyBlocks } from "./traffic-policy.ts";

/** What is spoken to endpoints; `follow`: what the client speaks. */
export type UpstreamProtocol = "http1" | "http2" | "follow";

/** How connections are secured: as the destination rule says, else mesh mTLS towards those endpoints that offer it. */
export function transportFields(
  context: ClusterContext,
  policy: PolicyBlocks,
  subset: string,
  { discovery, upstream }: { readonly discovery: MeshService["resolution"]; readonly upstream: UpstreamProtocol },
): Parameters<typeof Cluster.fromPartial>[0] {
  const { service, port, client } = context;
  const tls = policy.tls;
  const http = portClass(port.protocol, client) === "http";
  const alpn = meshAlpn(http ? (upstream === "follow" ? "either" : upstream) : "tcp");
  if (tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL") {
    return { transportSocket: externalTls(context, tls, upstream === "http2") };
  }
  if (tls?.mode === "DISABLE") return {};
  const names = tls?.subjectAltNames?.length ? tls.subjectAltNames : context.identities;
  const socket = meshClientTls({
    sni: tls?.sni || meshSni(service.host, port.number, subset),
    alpn,
    identities: names.map((name) => exactly(name)),
    limits: context.config.meshMTLS,
  });
  if (tls?.mode === "ISTIO_MUTUAL") return { transportSocket: socket };
  if (!context.config.enableAutoMtls || service.meshExternal) return {};
  if (discovery === "passthrough") return context.everyEndpointMtls() ? { transportSocket: socket } : {};
  return {
    transportSocketMatches: [
      { name: "tlsMode-istio", match: { tlsMode: "istio" }, transportSocket: socket },
      { name: "tlsMode-disabled", match: {}, transportSocket: rawSocket() },
    ],
  };
}

/** Begins the name of roots in a ConfigMap, `configmap://namespace/name`. */
export const CONFIG_MAP_ROOTS = "configmap://";
/** A name that no certificate has: where the roots are missing nobody is trusted. */
const NOBODY = "nobody.invalid";

function externalTls(context: ClusterContext, tls: NonNullable<PolicyBlocks["tls"]>, http2: boolean) {
  const { service } = context;
  const mutual = tls.mode === "MUTUAL";
  const inConfigMap = tls.credentialName?.startsWith(CONFIG_MAP_ROOTS) ? tls.credentialName : undefined;
  const roots = inConfigMap === undefined ? undefined : context.rootsOf?.(inConfigMap);
  const named = inConfigMap === undefined ? tls.credentialName : undefined;
  const trust = named
    ? `kubernetes://${named}-cacert`
    : tls.caCertificates
      ? `file-root:${tls.caCertificates}`
      : "file-root:system";
  const own = named ? `kubernetes://${named}` : `file-cert:${tls.clientCertificate ?? ""}~${tls.privateKey ?? ""}`;
  const host = service.host.startsWith("*") ? "" : service.host;
  const sni = tls.sni || host;
  const names = tls.subjectAltNames?.length ? tls.subjectAltNames : service.subjectAltNames;
  // Without names to check, the server must at least be the one that was asked for.
  const missing = inConfigMap !== undefined && roots === undefined;
  const expected = missing ? [NOBODY] : names.length > 0 ? names : sni === "" ? [] : [sni];
  return originatedTls({
    sni,
    alpn: http2 ? ["h2"] : [],
    certificate: mutual ? own : undefined,
    crl: tls.insecureSkipVerify ? undefined : tls.caCrl || undefined,
    limits: context.config.tlsDefaults,
    trust: tls.insecureSkipVerify ? undefined : trust,
    roots,
    names: expected.map((name) => ({
      type: name.includes("://") ? "uri" : "dns",
      match: name.startsWith("*.") ? endingWith(name.slice(1)) : exactly(name),
    })),
  });
}
