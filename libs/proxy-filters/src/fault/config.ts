import type { HeaderMatchSpec } from "@lateen/traffic";

export const FAULT = "envoy.filters.http.fault";

/** Faults to inject, of a filter or of a route. @see envoy.extensions.filters.http.fault.v3.HTTPFault */
export interface FaultConfig {
  readonly delay: DelaySpec | undefined;
  readonly abort: AbortSpec | undefined;
  /** Only requests for this cluster; undefined: any. */
  readonly cluster: string | undefined;
  /** All must match. */
  readonly headers: readonly HeaderMatchSpec[];
  /** Faults under way at once; further requests go unharmed. */
  readonly maxActive: number | undefined;
}
export interface DelaySpec {
  /** Share of requests in [0,1]. */
  readonly fraction: number;
  /** Milliseconds; undefined: the request's `x-envoy-fault-delay-request` says. */
  readonly fixedMs: number | undefined;
}
export interface AbortSpec {
  /** Share of requests in [0,1]. */
  readonly fraction: number;
  /** Undefined: the request's `x-envoy-fault-abort-request` or `-grpc-request` says. */
  readonly answer: AbortAnswer | undefined;
}
export interface AbortAnswer {
  readonly status: number;
  /** What a gRPC client is told. */
  readonly grpcStatus: number | undefined;
}

/** HTTP status of an answer whose gRPC status was chosen, as Envoy's filter gives it: also to requests that are not gRPC. */
export const GRPC_ABORT_STATUS = 200;
