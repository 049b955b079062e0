import { err, ok, type Result } from "@lateen/kernel";

export interface SpiffeIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const SPIFFE =
  /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\/sa\/([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)$/;

/** `spiffe://<trustDomain>/ns/<namespace>/sa/<serviceAccount>`, the identity Istio gives a workload. */
export function spiffeId(trustDomain: string, namespace: string, serviceAccount: string): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/**
 * Parses a workload's SPIFFE ID; other SPIFFE paths are refused.
 * @see https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
 */
export function parseSpiffeId(uri: string): Result<SpiffeIdentity, string> {
  const match = uri.length <= 2048 ? SPIFFE.exec(uri) : null;
  const [, trustDomain, namespace, serviceAccount] = match ?? [];
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) {
    return err(`"${uri.slice(0, 200)}" is not of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`);
  }
  return ok({ trustDomain, namespace, serviceAccount });
}
