import { err, ok, type Result } from "@lateen/kernel";
import { parseSpiffeId } from "@lateen/mesh-model";
import { TOKEN_AUDIENCE } from "@lateen/pki";
import type { Authenticator, Caller, TokenReviewer } from "@lateen/ports";

export interface AuthenticatorOptions {
  readonly tokenReviewer: TokenReviewer;
  /** Certificates of other trust domains are refused. */
  readonly trustDomain: string;
  /** Further trust domains whose certificates count, e.g. after a rename. */
  readonly trustDomainAliases?: readonly string[];
  /** Default `istio-ca`. */
  readonly audience?: string;
}

/** A verified certificate speaks for its SPIFFE ID; without one a token does. A certificate that is not ours never falls back. */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const trustDomains = new Set([options.trustDomain, ...(options.trustDomainAliases ?? [])]);
  const audience = options.audience ?? TOKEN_AUDIENCE;
  return {
    async authenticate(uriSans, bearer) {
      if (uriSans.length > 0) return fromCertificate(uriSans, trustDomains);
      if (bearer === undefined || bearer === "")
        return err("neither a client certificate nor a bearer token was given");
      const reviewed = await options.tokenReviewer.review(bearer, audience);
      if (!reviewed.ok) return reviewed;
      const { namespace, serviceAccount, pod } = reviewed.value;
      return ok({ namespace, serviceAccount, via: "token", ...(pod === undefined ? {} : { pod }) });
    },
  };
}

function fromCertificate(uriSans: readonly string[], trustDomains: ReadonlySet<string>): Result<Caller, string> {
  const [uri] = uriSans;
  // An X.509 SVID has exactly one URI (SPIFFE X509-SVID §2): with two it would be open which of them speaks.
  if (uri === undefined || uriSans.length > 1) return err("the client certificate does not carry exactly one URI");
  const identity = parseSpiffeId(uri);
  if (!identity.ok) return err("the client certificate carries no workload identity");
  if (!trustDomains.has(identity.value.trustDomain)) return err("the client certificate is of another trust domain");
  const { namespace, serviceAccount } = identity.value;
  return ok({ namespace, serviceAccount, via: "certificate" });
}
