import { LateenError, messageOf } from "@lateen/kernel";

/** LTN6401: a gRPC server could not listen. `detail.code` is the system's error code, such as EADDRINUSE. */
export function cannotListen(host: string, port: number | string, cause: unknown): LateenError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "UNKNOWN";
  return new LateenError({
    code: "LTN6401",
    fault: "user",
    message: `cannot listen on ${host}:${port}: ${messageOf(cause)}`,
    hint:
      code === "EADDRINUSE" ? "stop the program that uses the port, or choose another port" : "choose another address",
    detail: { host, port, code },
    cause,
  });
}

/** LTN6402: certificate, key or root of a server or client cannot be used. */
export function badTlsMaterial(what: string, cause: unknown): LateenError {
  return new LateenError({
    code: "LTN6402",
    fault: "system",
    message: `the TLS material of ${what} cannot be used: ${messageOf(cause)}`,
    hint: "check that key, certificate and root are PEM and belong together",
    cause,
  });
}

/** LTN6403: the CA did not sign. `retryable` is false when asking again cannot help. */
export function notSigned(address: string, status: number, reason: string): LateenError {
  const final = status === 3 || status === 7 || status === 16 || status === 12;
  return new LateenError({
    code: "LTN6403",
    fault: final ? "user" : "peer",
    message: `the certificate authority at ${address} did not sign: ${reason}`,
    hint: final ? "check the workload's token and service account" : "check that the control plane runs",
    detail: { address, status },
    retryable: !final,
  });
}

/** LTN6404: galley did not put objects in force. `retryable` is false when asking again cannot help. */
export function notWritten(address: string, status: number, reason: string): LateenError {
  const final = status === 3 || status === 7 || status === 16 || status === 12;
  return new LateenError({
    code: "LTN6404",
    fault: final ? "user" : "peer",
    message: `galley at ${address} did not take the objects: ${reason}`,
    hint: final ? "mend what they were made from" : "check that galley runs",
    detail: { address, status },
    retryable: !final,
  });
}
