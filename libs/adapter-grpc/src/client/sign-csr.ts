import type { SignCsr } from "@lateen/ports";
import { IstioCertificateServiceClient } from "@lateen/proto/istio/v1/auth/ca";
import { notSigned } from "../errors.ts";
import { channelMaterial } from "./channel.ts";

/** Milliseconds one signing may take. The caller repeats. */
const DEADLINE_MS = 10_000;

/**
 * Asks Istio's certificate service once.
 * @throws LTN6403 when it does not sign or is not there (`retryable` tells the two apart), LTN6402 for unusable PEM.
 */
export const signCsr: SignCsr = (channel, csrPem, validitySeconds) => {
  const material = channelMaterial(channel);
  const client = new IstioCertificateServiceClient(material.target, material.credentials, material.options);
  return new Promise<readonly string[]>((resolve, reject) => {
    client.createCertificate(
      { csr: csrPem, validityDuration: BigInt(Math.max(0, Math.round(validitySeconds))), metadata: undefined },
      material.metadata,
      { deadline: Date.now() + DEADLINE_MS },
      (error, response) => {
        client.close();
        if (error) reject(notSigned(channel.address, error.code, error.details || error.message));
        else if (response.certChain.length === 0)
          reject(notSigned(channel.address, 13, "the answer has no certificate"));
        else resolve(response.certChain);
      },
    );
  });
};
