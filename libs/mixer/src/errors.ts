import { LateenError } from "@lateen/kernel";

/** LTN8101: a request to the rate-limit service that says nothing which could be decided. */
export function badRateLimitRequest(reason: string): LateenError {
  return new LateenError({
    code: "LTN8101",
    fault: "peer",
    message: `not a request that can be decided: ${reason}`,
    hint: "look at the domain and the actions of the proxy's rate limits",
  });
}

/** LTN8102: the limits are not known yet. Answering without them would let everything pass. */
export function limitsNotKnown(sources: readonly string[]): LateenError {
  return new LateenError({
    code: "LTN8102",
    fault: "system",
    message: `the limits have not been read yet: ${sources.join(", ")}`,
    hint: "look whether galley runs, and whether the files are there",
    detail: { sources },
    retryable: true,
  });
}
