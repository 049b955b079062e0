import { LateenError, messageOf } from "@lateen/kernel";

/** Why a question to Redis has no answer; `late`: its time was over before it could be asked. A label of metrics. */
export type RedisFailure = "away" | "timeout" | "late" | "busy" | "error";

/** LTN6501: Redis did not decide. `detail.failure` says in which way. */
export function quotaUnavailable(address: string, failure: RedisFailure, cause: unknown): LateenError {
  return new LateenError({
    code: "LTN6501",
    fault: "system",
    message: `Redis at ${address} did not decide on a quota: ${messageOf(cause)}`,
    hint: "look whether Redis runs and answers; until then the declared fail mode holds",
    detail: { address, failure },
    retryable: true,
    cause,
  });
}

/** LTN6502: an address that is not one of Redis. */
export function badRedisUrl(reason: string): LateenError {
  return new LateenError({
    code: "LTN6502",
    fault: "user",
    message: `the URL of Redis cannot be used: ${reason}`,
    hint: "write redis://HOST:PORT or rediss://HOST:PORT (TLS), the password in a file",
  });
}
