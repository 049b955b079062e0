import { type Counter, createRegistry, type Histogram, ISTIO_BUCKETS, type MetricRegistry } from "@lateen/telemetry";

/** Labels of every mesh metric, named as Istio's standard metrics name them. */
const CALL_LABELS = [
  "reporter",
  "source_workload",
  "source_workload_namespace",
  "source_principal",
  "source_canonical_service",
  "destination_workload",
  "destination_workload_namespace",
  "destination_service",
  "destination_service_name",
  "destination_service_namespace",
  "destination_canonical_service",
  "request_protocol",
  "response_flags",
  "connection_security_policy",
] as const;
const REQUEST_LABELS = [...CALL_LABELS, "response_code"] as const;

export type CallLabels = Readonly<Record<(typeof CALL_LABELS)[number], string>>;
export type RequestLabels = Readonly<Record<(typeof REQUEST_LABELS)[number], string>>;

/** Everything the mixer exports, declared as data. */
export interface MixerMetrics {
  readonly registry: MetricRegistry;
  readonly requests: Counter;
  readonly duration: Histogram;
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;
  readonly tcpClosed: Counter;
  readonly tcpSent: Counter;
  readonly tcpReceived: Counter;
  readonly entries: Counter;
  readonly dropped: Counter;
}

/**
 * Names begin with `mixer_` where the proxies' own begin with `istio_`: a Prometheus that scrapes both must not count a request twice.
 */
export function createMixerMetrics(maxSeries: number): MixerMetrics {
  const registry = createRegistry({ maxSeries });
  const request = [...REQUEST_LABELS];
  const call = [...CALL_LABELS];
  const histogram = (name: string, help: string) =>
    registry.histogram({ name, help, labels: request, buckets: ISTIO_BUCKETS });
  return {
    registry,
    requests: registry.counter({
      name: "mixer_requests_total",
      help: "Requests reported by proxies.",
      labels: request,
    }),
    duration: histogram(
      "mixer_request_duration_milliseconds",
      "Time from a request's first byte to its answer's last.",
    ),
    requestBytes: histogram("mixer_request_bytes", "Request size, head and body."),
    responseBytes: histogram("mixer_response_bytes", "Response size, head and body."),
    tcpClosed: registry.counter({
      name: "mixer_tcp_connections_closed_total",
      help: "TCP connections that ended.",
      labels: call,
    }),
    tcpSent: registry.counter({
      name: "mixer_tcp_sent_bytes_total",
      help: "Bytes sent to the caller over TCP connections that ended.",
      labels: call,
    }),
    tcpReceived: registry.counter({
      name: "mixer_tcp_received_bytes_total",
      help: "Bytes received from the caller over TCP connections that ended.",
      labels: call,
    }),
    entries: registry.counter({
      name: "mixer_report_entries_total",
      help: "Access log entries taken in.",
      labels: ["protocol"],
    }),
    dropped: registry.counter({
      name: "mixer_report_entries_dropped_total",
      help: "Access log entries not counted, by reason.",
      labels: ["reason"],
    }),
  };
}
