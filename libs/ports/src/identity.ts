import type { Result } from "@lateen/kernel";

/** Who a verified token speaks for. */
export interface TokenIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Set when the token is bound to a pod. */
  readonly pod?: string;
}

/** Verifies projected service-account tokens, as Kubernetes' TokenReview does. */
export interface TokenReviewer {
  review(token: string, audience: string): Promise<Result<TokenIdentity, string>>;
}

/** An authenticated caller of a control-plane service. */
export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly via: "certificate" | "token";
  /** Pod that the token is bound to; certificates and unbound tokens speak for every pod of the account. */
  readonly pod?: string;
}

/** Decides who calls a control-plane service. Implemented by citadel. */
export interface Authenticator {
  /**
   * @param peerCertUriSans URI names of the client certificate, only when its chain was verified; empty without one.
   * @param bearer token of the `authorization` header, without `Bearer `.
   * @returns a reason that may be shown to the peer otherwise.
   */
  authenticate(peerCertUriSans: readonly string[], bearer: string | undefined): Promise<Result<Caller, string>>;
}

/** PEM files of one CA, as Istio's `cacerts` secret holds them. */
export interface CaMaterial {
  readonly certPem: string;
  readonly keyPem: string;
  readonly rootPem: string;
  /** Intermediates from the CA's certificate up to, not including, the root; may be empty. */
  readonly chainPem: string;
}

/** Keeps the CA's key and certificates. */
export interface SecretStore {
  loadCa(): Promise<CaMaterial | undefined>;
  saveCa(material: CaMaterial): Promise<void>;
}
