import { LateenError } from "@lateen/kernel";

/** Another process owns the address, path or port. */
export function addressInUse(address: string): LateenError {
  return new LateenError({
    code: "LTN6001",
    fault: "user",
    message: `${address} is in use by another process`,
    hint: "stop that process or choose another address",
    detail: { address },
    retryable: true,
  });
}

/** The process may not bind the address (privileged port, foreign interface). */
export function addressNotAllowed(address: string, reason: string): LateenError {
  return new LateenError({
    code: "LTN6002",
    fault: "user",
    message: `cannot listen on ${address}: ${reason}`,
    hint: "use a port above 1023 and an address of this machine",
    detail: { address },
  });
}

/** Flags or environment variables that cannot be used. */
export function badConfiguration(problems: readonly string[]): LateenError {
  return new LateenError({
    code: "LTN6003",
    fault: "user",
    message: problems.join("; "),
    hint: "see --help",
    detail: { problems },
  });
}
