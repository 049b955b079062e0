import { type TlsSettings, usableCipherSuites } from "@lateen/mesh-model";
import { packAny } from "@lateen/proto";
import { DataSource, type TransportSocket } from "@lateen/proto/envoy/config/core/v3/base";
import { ProxyProtocolConfig_Version } from "@lateen/proto/envoy/config/core/v3/proxy_protocol";
import { ProxyProtocolUpstreamTransport } from "@lateen/proto/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol";
import { RawBuffer } from "@lateen/proto/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer";
import {
  CertificateValidationContext,
  SubjectAltNameMatcher_SanType,
  TlsParameters,
  TlsParameters_TlsProtocol,
} from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/common";
import type { SdsSecretConfig } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import {
  type CommonTlsContext,
  DownstreamTlsContext,
  UpstreamTlsContext,
} from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/tls";
import type { StringMatcher } from "@lateen/proto/envoy/type/matcher/v3/string";
import { adsSource, agentSource, exactly, startingWith } from "./proto.ts";

/** SDS names under which every agent offers its workload's key and certificate, and the mesh's roots. */
export const WORKLOAD_SECRET = "default";
/** The mesh's roots. */
export const ROOT_SECRET = "ROOTCA";
const TLS_SOCKET = "envoy.transport_sockets.tls";

/** ALPN that marks mesh mTLS, by what is inside. */
export const ALPN_MESH_HTTP = ["istio-http/1.0", "istio-http/1.1", "istio-h2"] as const;
/** Mesh mTLS with anything but HTTP inside. */
export const ALPN_MESH_TCP = ["istio-peer-exchange", "istio"] as const;
/** What the HTTP inspector reports of plaintext. */
export const ALPN_HTTP = ["http/1.0", "http/1.1", "h2c"] as const;

/** What a client offers inside mesh mTLS. `either`: it is told by the bytes, because a server believes what was agreed on. */
export function meshAlpn(kind: "tcp" | "http1" | "http2" | "either"): readonly string[] {
  switch (kind) {
    case "tcp":
      return ALPN_MESH_TCP;
    case "http1":
      return ["istio-http/1.1", "istio", "http/1.1"];
    case "http2":
      return ["istio-h2", "istio", "h2"];
    case "either":
      return ["istio-http/1.1", "istio-h2", "istio"];
  }
}

/** Cipher suites of the mesh's servers for TLS 1.2, strongest first. */
const CIPHERS = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-GCM-SHA256",
];

/**
 * How long an Envoy waits for a secret that may not exist before it goes on without: a cluster that waits holds up every later change of
 * all clusters, a listener that of its port. What comes later is used all the same.
 */
const STORED_SECRET_WAIT_MS = 5_000;
/** The agent is on the same machine, and has a file or has none. */
const FILE_SECRET_WAIT_MS = 1_000;

/**
 * A secret by its SDS name: what a Gateway or rule names comes from the control plane, everything else from the agent. Without the
 * workload's own certificate nothing works, so that only for that the wait has no end.
 */
export function secretRef(name: string): SdsSecretConfig {
  const stored = name.startsWith("kubernetes://") || name.startsWith("kubernetes-gateway://");
  if (stored) return { name, sdsConfig: adsSource(STORED_SECRET_WAIT_MS) };
  const own = name === WORKLOAD_SECRET || name === ROOT_SECRET;
  return { name, sdsConfig: agentSource(own ? 0 : FILE_SECRET_WAIT_MS) };
}

/** No transport security. */
export function rawSocket(): TransportSocket {
  return {
    name: "envoy.transport_sockets.raw_buffer",
    configType: { $case: "typedConfig", value: packAny(RawBuffer, RawBuffer.fromPartial({})) },
  };
}

/** Sends a PROXY line before anything else. */
export function behindProxyLine(inner: TransportSocket, version: "V1" | "V2"): TransportSocket {
  const config = ProxyProtocolUpstreamTransport.fromPartial({
    config: { version: version === "V1" ? ProxyProtocolConfig_Version.V1 : ProxyProtocolConfig_Version.V2 },
    transportSocket: inner,
  });
  return {
    name: "envoy.transport_sockets.upstream_proxy_protocol",
    configType: { $case: "typedConfig", value: packAny(ProxyProtocolUpstreamTransport, config) },
  };
}

function altNames(type: "uri" | "dns", matchers: readonly StringMatcher[]) {
  const sanType = type === "uri" ? SubjectAltNameMatcher_SanType.URI : SubjectAltNameMatcher_SanType.DNS;
  return matchers.map((matcher) => ({ sanType, matcher, oid: "" }));
}

/** Trust of a named secret, and the names the peer must have one of (empty: any). */
function validation(trust: string, names: CertificateValidationContext): CommonTlsContext["validationContextType"] {
  return {
    $case: "combinedValidationContext",
    value: { defaultValidationContext: names, validationContextSdsSecretConfig: secretRef(trust) },
  };
}

/** Client side of mesh mTLS: own certificate, mesh roots, the server must be one of `identities` when any is known. */
export function meshClientTls(options: {
  readonly sni: string;
  readonly alpn: readonly string[];
  readonly identities: readonly StringMatcher[];
  /** What the mesh demands of its own TLS. */
  readonly limits?: TlsSettings | undefined;
}): TransportSocket {
  return upstreamSocket(
    UpstreamTlsContext.fromPartial({
      sni: options.sni,
      commonTlsContext: {
        tlsParams: clientLimits(options.limits),
        tlsCertificateSdsSecretConfigs: [secretRef(WORKLOAD_SECRET)],
        validationContextType: validation(
          ROOT_SECRET,
          CertificateValidationContext.fromPartial({
            matchTypedSubjectAltNames: altNames("uri", options.identities),
          }),
        ),
        alpnProtocols: [...options.alpn],
      },
    }),
  );
}

/** What a destination rule says of TLS that is not the mesh's. */
export interface OriginatedTls {
  readonly sni: string;
  readonly alpn: readonly string[];
  /** SDS name of the client certificate, for mutual TLS. */
  readonly certificate: string | undefined;
  /** SDS name of the roots; undefined: the server is not verified. */
  readonly trust: string | undefined;
  /** PEM of the roots, instead of their SDS name. */
  readonly roots?: string | undefined;
  readonly names: readonly { readonly type: "uri" | "dns"; readonly match: StringMatcher }[];
  /** File with revocation lists. */
  readonly crl?: string | undefined;
  /** What the mesh demands of such TLS. */
  readonly limits?: TlsSettings | undefined;
}

/**
 * TLS 1.2 or 1.3 unless the mesh demands more: without a maximum Envoy as a client stops at 1.2. Suites and groups are the proxy's unless
 * said.
 */
function clientLimits(limits: TlsSettings = {}): TlsParameters {
  const { minProtocolVersion = "TLS_AUTO", ecdhCurves = [] } = limits;
  return TlsParameters.fromPartial({
    tlsMinimumProtocolVersion: version(minProtocolVersion === "TLS_AUTO" ? "TLSV1_2" : minProtocolVersion),
    tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
    cipherSuites: [...usableCipherSuites(limits.cipherSuites)],
    ecdhCurves: [...ecdhCurves],
  });
}

function revocation(file: string | undefined) {
  return file === undefined ? {} : { crl: { specifier: { $case: "filename", value: file } as const } };
}

/** Client side of ordinary TLS towards servers outside the mesh. */
export function originatedTls(options: OriginatedTls): TransportSocket {
  const names = CertificateValidationContext.fromPartial({
    matchTypedSubjectAltNames: options.names.flatMap((name) => altNames(name.type, [name.match])),
    ...revocation(options.crl),
  });
  return upstreamSocket(
    UpstreamTlsContext.fromPartial({
      sni: options.sni,
      commonTlsContext: {
        tlsParams: clientLimits(options.limits),
        tlsCertificateSdsSecretConfigs: options.certificate === undefined ? [] : [secretRef(options.certificate)],
        validationContextType:
          options.roots !== undefined
            ? {
                $case: "validationContext",
                value: {
                  ...names,
                  trustedCa: DataSource.fromPartial({ specifier: { $case: "inlineString", value: options.roots } }),
                },
              }
            : options.trust === undefined
              ? { $case: "validationContext", value: CertificateValidationContext.fromPartial({}) }
              : validation(options.trust, names),
        alpnProtocols: [...options.alpn],
      },
    }),
  );
}

function upstreamSocket(context: UpstreamTlsContext): TransportSocket {
  return { name: TLS_SOCKET, configType: { $case: "typedConfig", value: packAny(UpstreamTlsContext, context) } };
}

/** Server side of mesh mTLS: a client certificate of this trust domain is required. */
export function meshServerTls(
  alpn: readonly string[],
  trustDomains: readonly string[],
  limits: TlsSettings = {},
): TransportSocket {
  const ciphers = usableCipherSuites(limits.cipherSuites);
  return downstreamSocket({
    alpn,
    certificate: WORKLOAD_SECRET,
    trust: ROOT_SECRET,
    requireClient: true,
    names: trustDomains.map((domain) => startingWith(`spiffe://${domain}/`)),
    minVersion: limits.minProtocolVersion === "TLSV1_3" ? "TLSV1_3" : "TLSV1_2",
    maxVersion: "TLS_AUTO",
    ciphers: ciphers.length > 0 ? ciphers : CIPHERS,
    curves: limits.ecdhCurves ?? [],
  });
}

/** Whether nothing newer than TLS 1.1 is asked for, which proxies of this project do not speak: they would refuse all of the listener. */
export function outdatedTls(tls: { readonly maxProtocolVersion?: TlsVersionName | undefined } | undefined): boolean {
  return tls?.maxProtocolVersion === "TLSV1_0" || tls?.maxProtocolVersion === "TLSV1_1";
}

export type TlsVersionName = "TLS_AUTO" | "TLSV1_0" | "TLSV1_1" | "TLSV1_2" | "TLSV1_3";

/** Server side of a TLS connection. `certificate` and `trust` are SDS names. */
export interface ServerTls {
  readonly alpn: readonly string[];
  readonly certificate: string;
  readonly trust: string | undefined;
  readonly requireClient: boolean;
  /** Further certificates, for clients that cannot use the first. */
  readonly others?: readonly string[];
  /** URI SANs the client must have one of; empty: any. */
  readonly names: readonly StringMatcher[];
  /** Names the client's certificate must have one of, URIs or DNS names; empty: any. */
  readonly altNames?: readonly string[];
  /** Digests of public keys and certificates, one of which the client's must have; empty: any. */
  readonly spki?: readonly string[];
  readonly hashes?: readonly string[];
  /** File with revocation lists. */
  readonly crl?: string | undefined;
  readonly minVersion: TlsVersionName;
  readonly maxVersion: TlsVersionName;
  readonly ciphers: readonly string[];
  /** Groups for the key exchange; empty: the proxy's. */
  readonly curves?: readonly string[];
}

/** Versions, suites and groups of a server: its own, else those of the mesh, else TLS 1.2 and what the proxy has. */
export function serverLimits(
  own: {
    readonly minProtocolVersion?: TlsVersionName;
    readonly maxProtocolVersion?: TlsVersionName;
    readonly cipherSuites?: readonly string[];
  },
  mesh: TlsSettings = {},
): Pick<ServerTls, "minVersion" | "maxVersion" | "ciphers" | "curves"> {
  const ciphers = usableCipherSuites(own.cipherSuites);
  const minimum = mesh.minProtocolVersion === "TLSV1_3" ? "TLSV1_3" : "TLSV1_2";
  return {
    minVersion: own.minProtocolVersion ?? minimum,
    maxVersion: own.maxProtocolVersion ?? "TLS_AUTO",
    ciphers: ciphers.length > 0 ? ciphers : usableCipherSuites(mesh.cipherSuites),
    curves: mesh.ecdhCurves ?? [],
  };
}

/** Server side of TLS. Client certificates are verified when there is something to verify them by. */
export function downstreamSocket(options: ServerTls): TransportSocket {
  const names = CertificateValidationContext.fromPartial({
    matchTypedSubjectAltNames: [
      ...altNames("uri", options.names),
      ...(options.altNames ?? []).flatMap((name) => altNames(name.includes("://") ? "uri" : "dns", [exactly(name)])),
    ],
    verifyCertificateSpki: [...(options.spki ?? [])],
    verifyCertificateHash: [...(options.hashes ?? [])],
    ...revocation(options.crl),
  });
  const context = DownstreamTlsContext.fromPartial({
    requireClientCertificate: options.requireClient,
    commonTlsContext: {
      tlsParams: {
        tlsMinimumProtocolVersion: version(options.minVersion),
        tlsMaximumProtocolVersion: version(options.maxVersion),
        cipherSuites: [...options.ciphers],
        ecdhCurves: [...(options.curves ?? [])],
      },
      tlsCertificateSdsSecretConfigs: [options.certificate, ...(options.others ?? [])].map(secretRef),
      alpnProtocols: [...options.alpn],
      validationContextType: options.trust === undefined ? undefined : validation(options.trust, names),
    },
  });
  return { name: TLS_SOCKET, configType: { $case: "typedConfig", value: packAny(DownstreamTlsContext, context) } };
}

function version(name: TlsVersionName): TlsParameters_TlsProtocol {
  switch (name) {
    case "TLS_AUTO":
      return TlsParameters_TlsProtocol.TLS_AUTO;
    case "TLSV1_0":
      return TlsParameters_TlsProtocol.TLSv1_0;
    case "TLSV1_1":
      return TlsParameters_TlsProtocol.TLSv1_1;
    case "TLSV1_2":
      return TlsParameters_TlsProtocol.TLSv1_2;
    case "TLSV1_3":
      return TlsParameters_TlsProtocol.TLSv1_3;
  }
}
