import type { RetrySpec } from "../route/spec.ts";

/** How an attempt ended, as far as retrying is concerned. */
export type AttemptOutcome =
  /** A response; `grpcStatus` when it is a gRPC one, `rateLimited` when a proxy says that limits were the reason (`x-envoy-ratelimited`). */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly grpcStatus?: number;
      readonly rateLimited?: boolean;
    }
  /** No connection: refused, unreachable or connect timeout. */
  | { readonly kind: "connectFailure" }
  /** Connection lost. `requestSent` false: not one byte of the request had left. */
  | { readonly kind: "reset"; readonly requestSent?: boolean }
  /** The per-try timeout. */
  | { readonly kind: "timeout" }
  /** REFUSED_STREAM: the peer says it did nothing. */
  | { readonly kind: "refused" };

/** gRPC status numbers of the tokens that name one. */
const GRPC_TOKENS: Readonly<Record<string, number>> = {
  cancelled: 1,
  "deadline-exceeded": 4,
  "resource-exhausted": 8,
  internal: 13,
  unavailable: 14,
};

/**
 * Whether to try again.
 * @param attempt attempts made so far, the first is 1.
 * @see envoy `x-envoy-retry-on`, `x-envoy-retry-grpc-on`
 */
export function retryDecision(spec: RetrySpec | undefined, attempt: number, outcome: AttemptOutcome): boolean {
  if (spec === undefined || attempt > spec.attempts) return false;
  // Asking again does not lift a limit: such an answer is final unless the policy names it.
  if (outcome.kind === "status" && outcome.rateLimited === true) return spec.retryOn.includes("envoy-ratelimited");
  return spec.retryOn.some((token) => covers(spec, token, outcome));
}

/** Whether one retry-on token covers the outcome, whatever the number of attempts. A lost attempt counts as a 5xx. */
function covers(spec: RetrySpec, token: string, outcome: AttemptOutcome): boolean {
  const lost = outcome.kind !== "status";
  const status = lost ? 0 : outcome.status;
  switch (token) {
    case "5xx":
      return lost || status >= 500;
    case "gateway-error":
      return lost || (status >= 502 && status <= 504);
    case "reset":
      return lost;
    case "reset-before-request":
      return outcome.kind === "connectFailure" || (outcome.kind === "reset" && outcome.requestSent === false);
    case "connect-failure":
      return outcome.kind === "connectFailure";
    case "refused-stream":
      return outcome.kind === "refused";
    case "retriable-4xx":
      return status === 409;
    case "retriable-status-codes":
      return spec.retriableStatusCodes.includes(status);
    default:
      return outcome.kind === "status" && outcome.grpcStatus !== undefined && GRPC_TOKENS[token] === outcome.grpcStatus;
  }
}

/**
 * Milliseconds to wait before attempt number `attempt + 1`: full jitter over an interval that doubles up to the maximum.
 * @param attempt attempts made so far, the first is 1.
 * @param random uniform in [0, 1).
 */
export function backoffMs(spec: RetrySpec, attempt: number, random: () => number): number {
  const interval = Math.min(spec.baseIntervalMs * 2 ** Math.min(Math.max(attempt, 1) - 1, 30), spec.maxIntervalMs);
  return Math.floor(random() * interval);
}
