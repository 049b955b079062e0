import type { SideOutcome, SideRequest } from "../chain/spi.ts";
import type { TimerWheel, WheelTimer } from "../io/timer-wheel.ts";
import type { Slots } from "../stats/slots.ts";
import { otlpRequest } from "./otlp.ts";
import type { Span } from "./span.ts";
import type { TracingProviderSpec } from "./spec.ts";
import { zipkinJson } from "./zipkin.ts";

/** Spans that may wait; more are dropped and counted. */
export const MAX_WAITING = 2048;
/** Spans in one request to the collector. */
const MAX_BATCH = 512;
/** How long a span waits for others. */
const FLUSH_MS = 1000;
const ZIPKIN_TIMEOUT_MS = 5000;
const MAX_RESPONSE_BYTES = 64 * 1024;

export interface ExporterContext {
  readonly wheel: TimerWheel;
  readonly stats: Slots;
  /** The worker is about to end: nothing waits any more. */
  readonly ending?: () => boolean;
  readonly call: (request: SideRequest, done: (outcome: SideOutcome) => void) => unknown;
}

/**
 * Takes finished spans and tells them to a collector, one request at a time. Fail mode: open. What a collector does not take, or what
 * comes while too much waits, is dropped and counted; traffic never waits.
 */
export class SpanExporter {
  readonly #provider: TracingProviderSpec;
  readonly #context: ExporterContext;
  readonly #timer: WheelTimer;
  readonly #sent: number;
  readonly #overflow: number;
  readonly #failed: number;
  #waiting: Span[] = [];
  #busy = false;

  constructor(provider: TracingProviderSpec, context: ExporterContext) {
    this.#provider = provider;
    this.#context = context;
    this.#timer = context.wheel.timer(() => this.flush());
    const labels = { collector: provider.cluster };
    this.#sent = context.stats.counter("lateen_tracing_spans_sent_total", labels);
    this.#overflow = context.stats.counter("lateen_tracing_spans_dropped_total", { ...labels, reason: "overflow" });
    this.#failed = context.stats.counter("lateen_tracing_spans_dropped_total", { ...labels, reason: "failed" });
  }

  add(span: Span): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#context.stats.add(this.#overflow, 1);
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= MAX_BATCH) this.flush();
    else if (!this.#timer.armed && !this.#busy) this.#timer.arm(this.#context.ending?.() ? 0 : FLUSH_MS);
  }

  /** Sends what waits, unless a request is under way: what waits then goes out after it. */
  flush(): void {
    if (this.#busy || this.#waiting.length === 0) return;
    this.#timer.cancel();
    this.#busy = true;
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#context.call(requestOf(this.#provider, batch), (outcome) => {
      this.#busy = false;
      this.#context.stats.add(accepted(outcome) ? this.#sent : this.#failed, batch.length);
      if (this.#waiting.length > 0) this.#timer.arm(this.#waiting.length >= MAX_BATCH ? 0 : FLUSH_MS);
    });
  }
}

function accepted(outcome: SideOutcome): boolean {
  if (outcome.kind !== "response" || outcome.status < 200 || outcome.status > 299) return false;
  const status = [...outcome.trailers, ...outcome.headers].find(([name]) => name === "grpc-status");
  return status === undefined || status[1] === "0";
}

function requestOf(provider: TracingProviderSpec, spans: readonly Span[]): SideRequest {
  const { cluster, authority } = provider;
  const common = { cluster, authority, method: "POST", maxResponseBytes: MAX_RESPONSE_BYTES };
  if (provider.kind === "zipkin") {
    const headers = [["content-type", "application/json"]] as const;
    const body = zipkinJson(spans);
    return { ...common, path: provider.path, headers, body, grpc: false, timeoutMs: ZIPKIN_TIMEOUT_MS };
  }
  const message = otlpRequest(spans, provider.serviceName);
  const { timeoutMs } = provider;
  if (provider.http !== undefined) {
    const headers = [["content-type", "application/x-protobuf"] as const, ...provider.http.headers];
    return { ...common, path: provider.http.path, headers, body: message, grpc: false, timeoutMs };
  }
  const body = Buffer.alloc(5 + message.length);
  body.writeUInt32BE(message.length, 1);
  body.set(message, 5);
  const headers = [
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ] as const;
  const path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
  return { ...common, path, headers, body, grpc: true, timeoutMs };
}
