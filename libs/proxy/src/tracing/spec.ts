/** How a connection manager traces. @see envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing */
export interface TracingSpec {
  readonly provider: TracingProviderSpec;
  /** Percent, 0–100: of requests with `x-client-trace-id`, of all others, and of those that either chose. */
  readonly clientSampling: number;
  readonly randomSampling: number;
  readonly overallSampling: number;
  /** Longest path in a span, in characters. */
  readonly maxPathLength: number;
  readonly customTags: readonly CustomTagSpec[];
}

/** Where spans go, and which headers carry their contexts: B3 with Zipkin, W3C's with OpenTelemetry. */
export type TracingProviderSpec =
  | {
      readonly kind: "zipkin";
      readonly cluster: string;
      readonly authority: string;
      readonly path: string;
      readonly longTraceIds: boolean;
      /** A server goes on with the span of its client instead of one of its own. */
      readonly sharedSpans: boolean;
    }
  | {
      readonly kind: "otlp";
      readonly cluster: string;
      readonly authority: string;
      readonly serviceName: string;
      /** Undefined: over gRPC. */
      readonly http:
        | { readonly path: string; readonly headers: readonly (readonly [name: string, value: string])[] }
        | undefined;
      readonly timeoutMs: number;
    };

export type CustomTagSpec = { readonly tag: string } & (
  | { readonly kind: "literal"; readonly value: string }
  | { readonly kind: "environment" | "header"; readonly name: string; readonly fallback: string }
  /** Of the request. */
  | {
      readonly kind: "metadata";
      readonly namespace: string;
      readonly path: readonly string[];
      readonly fallback: string;
    }
);
