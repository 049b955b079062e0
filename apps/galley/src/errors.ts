import { LateenError } from "@lateen/kernel";

/** LTN2101: another replica may lead now, so this process ends; it stands by again when it is restarted. */
export function leadershipLost(cause: unknown): LateenError {
  return new LateenError({
    code: "LTN2101",
    fault: "system",
    message: "the lease of galley was lost",
    hint: "another replica leads now; this one is to be started again",
    retryable: true,
    cause,
  });
}
