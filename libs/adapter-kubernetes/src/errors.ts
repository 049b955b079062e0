import { LateenError } from "@lateen/kernel";

/** What an API server said when it refused. */
export interface Refusal {
  /** HTTP status, or the code of a Status object. */
  readonly status: number;
  /** `reason` of the Status object, such as `AlreadyExists` or `Expired`; empty without one. */
  readonly reason: string;
  /** Milliseconds that the server asks to wait; undefined when it does not. */
  readonly retryAfterMs: number | undefined;
}

/** LTN6501: the API server answered and refused. `detail` is a {@link Refusal}. */
export function refusedByServer(what: string, refusal: Refusal, message: string): LateenError {
  const { status } = refusal;
  return new LateenError({
    code: "LTN6501",
    fault: status === 403 || status === 401 ? "user" : "peer",
    message: `${what}: the API server answered ${status}${message === "" ? "" : `: ${message}`}`,
    ...(status === 403 ? { hint: "grant this account the verb on the resource" } : {}),
    ...(status === 401 ? { hint: "the credentials are not valid, or not any more" } : {}),
    detail: { ...refusal },
    retryable: status === 401 || status === 408 || status === 409 || status === 429 || status >= 500,
  });
}

/** LTN6502: the API server could not be reached, broke off, or did not answer in time. */
export function unreachable(what: string, cause: unknown): LateenError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LateenError({
    code: "LTN6502",
    fault: "peer",
    message: `${what}: ${reason}`,
    retryable: true,
    cause,
  });
}

/** LTN6503: what came is not what the Kubernetes API says. */
export function notUnderstood(what: string, reason: string): LateenError {
  return new LateenError({
    code: "LTN6503",
    fault: "peer",
    message: `${what}: the answer is not of the Kubernetes API: ${reason}`,
    hint: "check that the address is that of an API server, and of nothing before it",
    retryable: true,
  });
}

/** LTN6504: an answer is larger than is read. */
export function tooLarge(what: string, limit: number): LateenError {
  return new LateenError({
    code: "LTN6504",
    fault: "peer",
    message: `${what}: the answer is larger than ${limit} bytes`,
    retryable: true,
  });
}

/** LTN6505: there is no usable way to an API server. */
export function noAccess(message: string, hint: string): LateenError {
  return new LateenError({ code: "LTN6505", fault: "user", message, hint });
}

/** LTN6506: objects are kept by the API server, so they are changed there. */
export function changedByKubectl(count: number): LateenError {
  return new LateenError({
    code: "LTN6506",
    fault: "user",
    message: `${count} objects were given by command, and the configuration is that of the Kubernetes API`,
    hint: "use kubectl apply and kubectl delete",
  });
}

/** LTN6507: the CA's secret holds something else than a CA. */
export function caSecretError(secret: string, reason: string): LateenError {
  return new LateenError({
    code: "LTN6507",
    fault: "user",
    message: `the CA in secret ${secret} cannot be used: ${reason}`,
    hint: "it must hold ca-cert.pem, ca-key.pem and root-cert.pem; delete it to start with a new CA",
    detail: { secret },
  });
}

/** The refusal in an error of this library; undefined for any other error. */
export function refusalOf(error: unknown): Refusal | undefined {
  return error instanceof LateenError && error.code === "LTN6501" ? (error.detail as unknown as Refusal) : undefined;
}

/** Whether the server refused with this status. */
export function isRefused(error: unknown, status: number): boolean {
  return refusalOf(error)?.status === status;
}
