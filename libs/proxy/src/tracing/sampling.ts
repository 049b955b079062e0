import type { TracingSpec } from "./spec.ts";

/** Why a request is traced. */
export type TraceReason = "none" | "sampled" | "client" | "forced";

/** The digit of a UUID that names its version, which is where a request id says why its request is traced. */
const PLACE = 14;
const DIGITS: Readonly<Record<TraceReason, string>> = { none: "4", sampled: "9", client: "b", forced: "a" };
const REASONS = new Map<string, TraceReason>([
  ["9", "sampled"],
  ["b", "client"],
  ["a", "forced"],
]);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** What decides whether a request is traced, apart from the configuration. */
export interface SamplingFacts {
  readonly requestId: string;
  readonly clientTraceId: boolean;
  readonly forced: boolean;
}

/**
 * Whether a request is traced, as Envoy decides: a reason that its id carries holds; else the client's wish, a proxy's, or chance, which
 * is read off the id, so that every proxy on the way decides alike.
 * @returns the reason, and the id that tells it on. An id that is no UUID is never traced.
 */
export function sample(
  facts: SamplingFacts,
  spec: TracingSpec,
): { readonly reason: TraceReason; readonly requestId: string } {
  const { requestId } = facts;
  if (!UUID.test(requestId)) return { reason: "none", requestId };
  const chance = Number.parseInt(requestId.slice(0, 8), 16) % 10_000;
  const chosen = (percent: number): boolean => chance < percent * 100;
  let reason = REASONS.get(requestId[PLACE]?.toLowerCase() ?? "") ?? "none";
  if (reason === "none") {
    if (facts.clientTraceId && chosen(spec.clientSampling)) reason = "client";
    else if (facts.forced) reason = "forced";
    else if (chosen(spec.randomSampling)) reason = "sampled";
  }
  if (!chosen(spec.overallSampling)) reason = "none";
  return { reason, requestId: withReason(requestId, reason) };
}

function withReason(requestId: string, reason: TraceReason): string {
  return requestId.slice(0, PLACE) + DIGITS[reason] + requestId.slice(PLACE + 1);
}
