import { X509Certificate } from "node:crypto";
import { type ConnectionOptions, createSecureContext, type PeerCertificate, type SecureContext } from "node:tls";
import { err, messageOf, ok, type Result } from "@lateen/kernel";
import { compileTextMatch } from "@lateen/traffic";
import type { DownstreamTlsSpec, SecretSpec, TlsValidationSpec, UpstreamTlsSpec } from "../config/plan.ts";
import { type CertificateNames, parseSubjectAltName } from "./names.ts";

/** Ready options for `tls.connect`; the identity of this object says which context a session belongs to. */
export interface ClientTls {
  readonly options: ConnectionOptions;
}

/** What a connection is made for; `auto`: HTTP of either version, `any`: bytes. */
export type Spoken = "http1" | "http2" | "auto" | "any";

interface ClientContext {
  readonly version: number;
  readonly made: Result<ClientTls, string>;
}

/** Ready parts of a TLS server. */
export interface ServerTls {
  readonly context: SecureContext;
  readonly alpn: readonly string[];
  /** URI SANs of the first certificate, as whose owner the server speaks. */
  readonly localUris: readonly string[];
  readonly requestCertificate: boolean;
  readonly requireCertificate: boolean;
  /** Whether the chain of a presented certificate must verify. */
  readonly verify: boolean;
  /** Judges the names of a verified peer; undefined = accepted. */
  judge(names: CertificateNames): string | undefined;
}

/**
 * TLS contexts made from specs and secrets, shared by all connections that use the same ones (so sessions resume), made anew when
 * a secret they use changes. Connections that exist keep the context they were made with.
 */
export class TlsContexts {
  readonly #secrets = new Map<string, SecretSpec>();
  readonly #client: Readonly<Record<Spoken, WeakMap<UpstreamTlsSpec, ClientContext>>> = {
    http1: new WeakMap(),
    http2: new WeakMap(),
    auto: new WeakMap(),
    any: new WeakMap(),
  };
  readonly #server = new WeakMap<DownstreamTlsSpec, { version: number; made: Result<ServerTls, string> }>();
  #version = 0;

  /** Puts secrets in force; answers why one could not be used. A bad one leaves its predecessor in force. */
  update(secrets: readonly SecretSpec[]): readonly { readonly name: string; readonly reason: string }[] {
    const failures: { name: string; reason: string }[] = [];
    for (const secret of secrets) {
      const problem = checkSecret(secret);
      if (problem === undefined) this.#secrets.set(secret.name, secret);
      else failures.push({ name: secret.name, reason: problem });
    }
    if (secrets.length > 0) this.#version++;
    return failures;
  }

  /** @param speaks what will be spoken: the server may choose nothing else. */
  client(spec: UpstreamTlsSpec, speaks: Spoken = "any"): Result<ClientTls, string> {
    const known = this.#client[speaks].get(spec);
    if (known?.version === this.#version) return known.made;
    const made = this.#makeClient(spec, speaks);
    this.#client[speaks].set(spec, { version: this.#version, made });
    return made;
  }

  server(spec: DownstreamTlsSpec): Result<ServerTls, string> {
    const known = this.#server.get(spec);
    if (known?.version === this.#version) return known.made;
    const made = this.#makeServer(spec);
    this.#server.set(spec, { version: this.#version, made });
    return made;
  }

  #makeClient(spec: UpstreamTlsSpec, speaks: Spoken): Result<ClientTls, string> {
    const ca = this.#trust(spec.validation);
    if (!ca.ok) return ca;
    const pair = spec.certificateSecret === undefined ? ok(undefined) : this.#certificate(spec.certificateSecret);
    if (!pair.ok) return pair;
    const judge = sanJudge(spec.validation);
    try {
      const secureContext = createSecureContext({
        ...versions(spec),
        ...ca.value,
        ...(pair.value === undefined ? {} : { cert: pair.value.certChainPem, key: pair.value.privateKeyPem }),
      });
      const alpn = offeredBy(spec.alpn, speaks);
      const options: ConnectionOptions = {
        secureContext,
        ...(spec.sni === undefined ? {} : { servername: spec.sni }),
        ...(alpn.length === 0 ? {} : { ALPNProtocols: alpn }),
        rejectUnauthorized: ca.value !== undefined,
        checkServerIdentity: (_host: string, certificate: PeerCertificate) => {
          const problem = judge(parseSubjectAltName(certificate.subjectaltname));
          return problem === undefined ? undefined : new Error(problem);
        },
      };
      return ok({ options });
    } catch (error) {
      return err(messageOf(error));
    }
  }

  #makeServer(spec: DownstreamTlsSpec): Result<ServerTls, string> {
    const pairs: Extract<SecretSpec, { kind: "certificate" }>[] = [];
    for (const name of [spec.certificateSecret, ...(spec.otherCertificates ?? [])]) {
      const pair = this.#certificate(name);
      if (!pair.ok) return pair;
      pairs.push(pair.value);
    }
    const ca = this.#trust(spec.validation);
    if (!ca.ok) return ca;
    const requestCertificate = spec.requireClientCertificate || ca.value !== undefined;
    try {
      const context = createSecureContext({
        ...versions(spec),
        cert: pairs.map(({ certChainPem }) => certChainPem),
        key: pairs.map(({ privateKeyPem }) => privateKeyPem),
        sessionIdContext: "lateen",
        ...ca.value,
      });
      return ok({
        context,
        alpn: spec.alpn,
        localUris: urisOf(pairs[0]?.certChainPem),
        requestCertificate,
        requireCertificate: spec.requireClientCertificate,
        verify: ca.value !== undefined,
        judge: sanJudge(spec.validation),
      });
    } catch (error) {
      return err(messageOf(error));
    }
  }

  #certificate(name: string): Result<Extract<SecretSpec, { kind: "certificate" }>, string> {
    const secret = this.#secrets.get(name);
    return secret?.kind === "certificate" ? ok(secret) : err(`no certificate named "${name}" has arrived`);
  }

  /** What to verify against; undefined = do not verify. */
  #trust(validation: TlsValidationSpec | undefined): Result<Trust | undefined, string> {
    const trust = validation?.trust;
    if (trust === undefined) return ok(undefined);
    const own = validation?.crlPem === undefined ? [] : [validation.crlPem];
    if ("pem" in trust) return ok(trustOf(trust.pem, own));
    const secret = this.#secrets.get(trust.secret);
    if (secret?.kind !== "trust") return err(`no trust bundle named "${trust.secret}" has arrived`);
    return ok(trustOf(secret.bundlePem, secret.crlPem === undefined ? own : [...own, secret.crlPem]));
  }
}

/** PEM of authorities and revocation lists, as node:tls takes them. */
interface Trust {
  readonly ca: string;
  readonly crl?: string[];
}

function trustOf(ca: string, crl: string[]): Trust {
  return crl.length === 0 ? { ca } : { ca, crl };
}

/** What is offered by ALPN: only what the connection is for, or the server might choose something else. */
function offeredBy(alpn: readonly string[], speaks: Spoken): readonly string[] {
  switch (speaks) {
    case "any":
      return alpn;
    case "auto":
      return alpn.length === 0 ? ["h2", "http/1.1"] : alpn;
    case "http1":
      return alpn.filter((protocol) => !HTTP2_PROTOCOLS.includes(protocol));
    case "http2": {
      const left = alpn.filter((protocol) => !HTTP1_PROTOCOLS.includes(protocol));
      // HTTP/2 over TLS is always negotiated (RFC 9113 §3.3).
      return left.length === 0 ? ["h2"] : left;
    }
  }
}

const HTTP2_PROTOCOLS: readonly string[] = ["h2", "istio-h2"];
const HTTP1_PROTOCOLS: readonly string[] = ["http/1.1", "http/1.0", "istio-http/1.1", "istio-http/1.0"];

function urisOf(certChainPem: string | undefined): readonly string[] {
  if (certChainPem === undefined) return [];
  return parseSubjectAltName(new X509Certificate(certChainPem).subjectAltName).uris;
}

/** Why no certificate could make these settings work (unknown cipher, contradictory versions, bad SAN expression). */
export function checkTls(spec: UpstreamTlsSpec | DownstreamTlsSpec): string | undefined {
  try {
    createSecureContext(versions(spec));
    sanJudge(spec.validation);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function versions(spec: UpstreamTlsSpec | DownstreamTlsSpec) {
  return {
    minVersion: spec.minVersion ?? ("TLSv1.2" as const),
    ...(spec.maxVersion === undefined ? {} : { maxVersion: spec.maxVersion }),
    ...(spec.ciphers.length === 0 ? {} : { ciphers: [...spec.ciphers, ...TLS13_CIPHERS].join(":") }),
    ...(spec.curves === undefined ? {} : { ecdhCurve: spec.curves.join(":") }),
  };
}

/** Lists of TLS 1.2 suites do not restrict TLS 1.3 (as in Envoy). */
const TLS13_CIPHERS = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];

function checkSecret(secret: SecretSpec): string | undefined {
  try {
    if (secret.kind === "certificate") createSecureContext({ cert: secret.certChainPem, key: secret.privateKeyPem });
    else if (!secret.bundlePem.includes("-----BEGIN CERTIFICATE-----")) return "the trust bundle holds no certificate";
    else createSecureContext({ ...trustOf(secret.bundlePem, secret.crlPem === undefined ? [] : [secret.crlPem]) });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** A workload certificate carries exactly one URI SAN (SPIFFE X.509-SVID §2); more make any URI match fail. */
function sanJudge(validation: TlsValidationSpec | undefined): (names: CertificateNames) => string | undefined {
  const matchers = (validation?.sans ?? []).map((san) => ({ type: san.type, matches: compileTextMatch(san.match) }));
  return (names) => {
    if (matchers.length === 0) return undefined;
    for (const { type, matches } of matchers) {
      if (type === "uri" ? names.uris.length === 1 && matches(names.uris[0] ?? "") : names.dns.some(matches)) {
        return undefined;
      }
    }
    return "no subject alternative name of the peer is accepted";
  };
}
