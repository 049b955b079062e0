import { LateenError } from "@lateen/kernel";

/** A certificate request that cannot be honoured. */
export function badCsr(reason: string): LateenError {
  return new LateenError({
    code: "LTN4001",
    fault: "peer",
    message: `the certificate request is not usable: ${reason}`,
    hint: "send a PEM PKCS#10 request signed by a P-256 or RSA (2048 bits or more) key",
  });
}

/** CA files that do not belong together or cannot sign. */
export function badCa(reason: string): LateenError {
  return new LateenError({
    code: "LTN4002",
    fault: "user",
    message: `the CA's certificates cannot be used: ${reason}`,
    hint: "ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem must belong to one certificate authority",
  });
}

/** A certificate that cannot be read. */
export function badCertificate(reason: string): LateenError {
  return new LateenError({ code: "LTN4003", fault: "user", message: `not a usable certificate: ${reason}` });
}

/** LTN4004: a file of the run directory that the control plane needs is missing. */
export function missingRunFile(path: string, cause?: unknown): LateenError {
  return new LateenError({
    code: "LTN4004",
    fault: "system",
    message: `${path} cannot be read`,
    hint: "whoever starts the program must provide the token and root certificate",
    retryable: true,
    cause,
  });
}

/** LTN4005: the certificate authority's answer does not fit the request. */
export function badAnswer(reason: string): LateenError {
  return new LateenError({
    code: "LTN4005",
    fault: "peer",
    message: `the certificate authority's answer cannot be used: ${reason}`,
    retryable: true,
  });
}
