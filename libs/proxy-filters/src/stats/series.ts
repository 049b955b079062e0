import type { FilterStats } from "@lateen/proxy";
import type { CallLabels } from "./labels.ts";

/** How a request went, as far as labels tell it. */
export interface Outcome {
  readonly grpc: boolean;
  /** 0–999. */
  readonly responseCode: number;
  /** -1: none. */
  readonly grpcStatus: number;
  /** Joined with `,`; empty: none. */
  readonly flags: string;
}

/** The four standard series of one combination of labels, as slots. */
interface Slots {
  readonly requests: number;
  readonly duration: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** Last gRPC status that has a name; others are told as UNKNOWN, as gRPC libraries take them. */
const LAST_GRPC_STATUS = 16;

function namedStatus({ grpcStatus }: Outcome): number {
  return grpcStatus > LAST_GRPC_STATUS ? 2 : grpcStatus;
}

/** Labels that tell an outcome. */
export function outcomeLabels(outcome: Outcome): CallLabels {
  const grpcStatus = namedStatus(outcome);
  return {
    request_protocol: outcome.grpc ? "grpc" : "http",
    response_code: String(outcome.responseCode),
    grpc_response_status: grpcStatus < 0 ? "" : String(grpcStatus),
    response_flags: outcome.flags === "" ? "-" : outcome.flags,
  };
}

/** The series of one pair of workloads, found by outcome without making an object. */
export class CallSeries {
  readonly labels: CallLabels;
  readonly #stats: FilterStats;
  readonly #byFlags = new Map<string, Map<number, Slots>>();

  constructor(labels: CallLabels, stats: FilterStats) {
    this.labels = labels;
    this.#stats = stats;
  }

  record(outcome: Outcome, durationMs: number, requestBytes: number, responseBytes: number): void {
    const slots = this.#find(outcome);
    const stats = this.#stats;
    stats.add(slots.requests, 1);
    stats.observe(slots.duration, durationMs);
    stats.observe(slots.requestBytes, requestBytes);
    stats.observe(slots.responseBytes, responseBytes);
  }

  #find(outcome: Outcome): Slots {
    const grpcStatus = namedStatus(outcome);
    const key = ((grpcStatus + 1) << 11) | (outcome.grpc ? 1 << 10 : 0) | outcome.responseCode;
    const known = this.#byFlags.get(outcome.flags)?.get(key);
    return known ?? this.#define(outcome, key);
  }

  #define(outcome: Outcome, key: number): Slots {
    const labels = { ...this.labels, ...outcomeLabels(outcome) };
    const slots: Slots = {
      requests: this.#stats.counter("istio_requests_total", labels),
      duration: this.#stats.histogram("istio_request_duration_milliseconds", labels),
      requestBytes: this.#stats.histogram("istio_request_bytes", labels),
      responseBytes: this.#stats.histogram("istio_response_bytes", labels),
    };
    const sameFlags = this.#byFlags.get(outcome.flags) ?? new Map<number, Slots>();
    this.#byFlags.set(outcome.flags, sameFlags.set(key, slots));
    return slots;
  }
}
