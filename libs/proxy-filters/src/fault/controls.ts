import { type HeadView, hashName } from "@lateen/traffic";
import { type AbortAnswer, type AbortSpec, type DelaySpec, GRPC_ABORT_STATUS } from "./config.ts";

/** Requests may ask for faults where the configuration leaves them the choice; a share they name can only lower the configured one. */
const DELAY = named("x-envoy-fault-delay-request");
const DELAY_SHARE = named("x-envoy-fault-delay-request-percentage");
const ABORT = named("x-envoy-fault-abort-request");
const ABORT_GRPC = named("x-envoy-fault-abort-grpc-request");
const ABORT_SHARE = named("x-envoy-fault-abort-request-percentage");
/** A request must not hold memory for longer than this. */
const LONGEST_DELAY_MS = 3_600_000;

/** Milliseconds this request is to wait; 0 = not at all. */
export function delayFor(spec: DelaySpec, head: HeadView, random: () => number): number {
  const ms = spec.fixedMs ?? numberOf(head, DELAY) ?? 0;
  const fraction = spec.fixedMs === undefined ? lowered(spec.fraction, head, DELAY_SHARE) : spec.fraction;
  return ms > 0 && hits(fraction, random) ? Math.min(ms, LONGEST_DELAY_MS) : 0;
}

/** What this request is to be answered with, or undefined: nothing. */
export function abortFor(spec: AbortSpec, head: HeadView, random: () => number): AbortAnswer | undefined {
  if (spec.answer !== undefined) return hits(spec.fraction, random) ? spec.answer : undefined;
  const answer = askedAnswer(head);
  return answer !== undefined && hits(lowered(spec.fraction, head, ABORT_SHARE), random) ? answer : undefined;
}

function askedAnswer(head: HeadView): AbortAnswer | undefined {
  const status = numberOf(head, ABORT);
  if (status !== undefined && status >= 200 && status < 600) return { status, grpcStatus: undefined };
  const grpcStatus = numberOf(head, ABORT_GRPC);
  return grpcStatus === undefined ? undefined : { status: GRPC_ABORT_STATUS, grpcStatus };
}

function lowered(fraction: number, head: HeadView, header: Name): number {
  const percent = numberOf(head, header);
  return percent === undefined ? fraction : Math.min(fraction, percent / 100);
}

function hits(fraction: number, random: () => number): boolean {
  return fraction >= 1 || (fraction > 0 && random() < fraction);
}

interface Name {
  readonly bytes: Uint8Array;
  readonly hash: number;
}
function named(name: string): Name {
  return { bytes: new TextEncoder().encode(name), hash: hashName(name) };
}

function numberOf(head: HeadView, name: Name): number | undefined {
  const index = head.find(name.bytes, name.hash);
  if (index < 0) return undefined;
  const text = head.valueText(index);
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
