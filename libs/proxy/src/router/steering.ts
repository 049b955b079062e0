import type { ForwardSpec, RetrySpec } from "@lateen/traffic";
import type { EditList } from "../http1/edit-list.ts";
import type { Http1Head } from "../http1/head.ts";
import { K } from "../http1/known-headers.ts";
import { isGrpcType } from "./grpc-type.ts";

/** How one request is forwarded: the route's word, unless a trusted client said otherwise. */
export interface Forwarding {
  readonly timeoutMs: number;
  readonly retry: RetrySpec | undefined;
}

/** Header that tells it. */
const EXPECTED_TIMEOUT = K["x-envoy-expected-rq-timeout-ms"];

/** Tells the upstream how much time it has, unless that is all it wants. */
export function tellExpectedTimeout(edits: EditList, forwarding: Forwarding, elapsedMs: number): void {
  const expected = expectedTimeoutMs(forwarding, elapsedMs);
  if (expected > 0) edits.setKnown(EXPECTED_TIMEOUT, String(expected));
}

/** As {@link tellExpectedTimeout} for the first attempt, and what is left of a gRPC client's time, as it counts here. */
export function tellTimeouts(head: Http1Head, edits: EditList, action: ForwardSpec, forwarding: Forwarding): void {
  tellExpectedTimeout(edits, forwarding, 0);
  if (action.grpcTimeout === undefined || !head.has(K["grpc-timeout"])) return;
  const leftMs = forwarding.timeoutMs > 0 ? forwarding.timeoutMs : streamLimitMs(head, action);
  if (leftMs > 0) edits.set("grpc-timeout", grpcTimeoutText(leftMs));
}

/**
 * What the upstream is told of the time it has: that of one attempt, no more than what is left of all `elapsedMs` after the end of the
 * request. 0: it has all the time it wants. At least 1, because Envoy takes 0 for no limit.
 */
function expectedTimeoutMs({ timeoutMs, retry }: Forwarding, elapsedMs: number): number {
  const perTry = retry?.perTryTimeoutMs ?? 0;
  if (timeoutMs <= 0) return perTry;
  const left = Math.max(1, Math.ceil(timeoutMs - elapsedMs));
  return perTry > 0 ? Math.min(perTry, left) : left;
}

const HEADERS = [
  K["x-envoy-upstream-rq-timeout-ms"],
  K["x-envoy-upstream-rq-per-try-timeout-ms"],
  K["x-envoy-max-retries"],
  K["x-envoy-retry-on"],
  K["x-envoy-retry-grpc-on"],
  K["x-envoy-retriable-status-codes"],
  K["x-envoy-retriable-header-names"],
] as const;

const NO_RETRY: RetrySpec = {
  attempts: 1,
  retryOn: [],
  retriableStatusCodes: [],
  perTryTimeoutMs: 0,
  baseIntervalMs: 25,
  maxIntervalMs: 250,
  avoidPreviousHosts: false,
  hostSelectionMaxAttempts: 1,
};

/**
 * Applies and removes the `x-envoy-…` headers that steer timeouts and retries. Values that are not what they should be are
 * ignored, as Envoy does. Whether the client is trusted was decided when the head was prepared.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter
 */
export function steer(head: Http1Head, action: ForwardSpec): Forwarding {
  let steered = false;
  for (const known of HEADERS) if (head.has(known)) steered = true;
  const routeTimeoutMs = action.grpcTimeout === undefined ? action.timeoutMs : grpcTimeoutMs(head, action);
  if (!steered)
    return routeTimeoutMs === action.timeoutMs ? action : { timeoutMs: routeTimeoutMs, retry: action.retry };
  const timeoutMs = integer(head, "x-envoy-upstream-rq-timeout-ms") ?? routeTimeoutMs;
  const retry = steerRetry(head, action.retry);
  for (const known of HEADERS) head.dropKnown(known);
  return { timeoutMs, retry };
}

/** Milliseconds of the units of a gRPC timeout. */
const GRPC_UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** Longer than any call; what a larger number is taken for. */
const LONGEST_MS = 0x7fff_ffff;

/**
 * The deadline of a request: a gRPC client's own where the route lets it count.
 * @see gRPC over HTTP/2, Timeout; envoy FilterUtility::finalTimeout
 */
function grpcTimeoutMs(head: Http1Head, { grpcTimeout, timeoutMs }: ForwardSpec): number {
  if (grpcTimeout === undefined || !isGrpcType(head)) return timeoutMs;
  // The whole exchange is bounded instead; see streamLimitMs.
  if (grpcTimeout.wholeStream === true) return 0;
  const { maxMs, offsetMs } = grpcTimeout;
  let own = parseGrpcTimeout(head.knownText(K["grpc-timeout"]));
  if (offsetMs > 0 && own > offsetMs) own -= offsetMs;
  return maxMs > 0 && (own === 0 || own > maxMs) ? maxMs : own;
}

/**
 * How long the whole exchange of a gRPC client may take where the route bounds that by `grpc-timeout`; 0: as long as it likes.
 * @see envoy.config.route.v3.RouteAction.MaxStreamDuration.grpc_timeout_header_max
 */
export function streamLimitMs(head: Http1Head, { grpcTimeout }: ForwardSpec): number {
  if (grpcTimeout?.wholeStream !== true || !isGrpcType(head)) return 0;
  const { maxMs, offsetMs } = grpcTimeout;
  const own = parseGrpcTimeout(head.knownText(K["grpc-timeout"]));
  if (own === 0) return 0;
  const limit = maxMs > 0 ? Math.min(own, maxMs) : own;
  return offsetMs > 0 && limit > offsetMs ? limit - offsetMs : limit;
}

/** Milliseconds, at least one; 0 when there is no sound timeout. */
export function parseGrpcTimeout(text: string | undefined): number {
  const match = /^([0-9]{1,8})([HMSmun])$/.exec(text ?? "");
  if (match === null) return 0;
  const ms = Number(match[1]) * (GRPC_UNITS[match[2] ?? ""] ?? 0);
  return Math.min(LONGEST_MS, Math.max(1, Math.ceil(ms)));
}

/** At most eight digits and a unit. */
export function grpcTimeoutText(ms: number): string {
  return ms < 100_000_000 ? `${Math.ceil(ms)}m` : `${Math.ceil(ms / 1000)}S`;
}

function steerRetry(head: Http1Head, configured: RetrySpec | undefined): RetrySpec | undefined {
  const tokens = [
    ...tokensOf(head.knownJoined(K["x-envoy-retry-on"])),
    ...tokensOf(head.knownJoined(K["x-envoy-retry-grpc-on"])),
  ];
  const attempts = integer(head, "x-envoy-max-retries");
  const perTryTimeoutMs = integer(head, "x-envoy-upstream-rq-per-try-timeout-ms");
  if (configured === undefined && tokens.length === 0 && perTryTimeoutMs === undefined) return undefined;
  const base = configured ?? NO_RETRY;
  const codes = tokensOf(head.knownJoined(K["x-envoy-retriable-status-codes"])).flatMap((text) =>
    /^[0-9]{3}$/.test(text) ? [Number(text)] : [],
  );
  return {
    ...base,
    retriableStatusCodes: codes.length === 0 ? base.retriableStatusCodes : [...base.retriableStatusCodes, ...codes],
    retryOn: tokens.length === 0 ? base.retryOn : [...base.retryOn, ...tokens],
    attempts: attempts ?? base.attempts,
    perTryTimeoutMs: perTryTimeoutMs ?? base.perTryTimeoutMs,
  };
}

function tokensOf(text: string | undefined): readonly string[] {
  return (text ?? "")
    .split(",")
    .map((token) => token.trim())
    .filter((token) => token !== "");
}

function integer(
  head: Http1Head,
  name: "x-envoy-upstream-rq-timeout-ms" | "x-envoy-upstream-rq-per-try-timeout-ms" | "x-envoy-max-retries",
): number | undefined {
  const text = head.knownText(K[name]);
  return text !== undefined && /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}
