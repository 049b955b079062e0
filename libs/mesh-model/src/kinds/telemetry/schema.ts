import { s } from "../../schema/index.ts";
import { LATER, workloadSelector } from "../shared.ts";
import { targetFields } from "../targets.ts";

const providers = s.array(s.object({ name: s.required(s.string()) }));
const mode = s.oneOf(["CLIENT_AND_SERVER", "CLIENT", "SERVER"]);

const customTag = s.object({
  literal: s.object({ value: s.required(s.string()) }),
  environment: s.object({ name: s.required(s.string()), defaultValue: s.string() }),
  header: s.object({ name: s.required(s.string()), defaultValue: s.string() }),
  formatter: s.unsupported(s.object({ value: s.string() }), LATER),
});

/** Istio's standard metrics. */
export const STANDARD_METRICS = {
  REQUEST_COUNT: "requests_total",
  REQUEST_DURATION: "request_duration_milliseconds",
  REQUEST_SIZE: "request_bytes",
  RESPONSE_SIZE: "response_bytes",
  TCP_OPENED_CONNECTIONS: "tcp_connections_opened_total",
  TCP_CLOSED_CONNECTIONS: "tcp_connections_closed_total",
  TCP_SENT_BYTES: "tcp_sent_bytes_total",
  TCP_RECEIVED_BYTES: "tcp_received_bytes_total",
  GRPC_REQUEST_MESSAGES: "request_messages_total",
  GRPC_RESPONSE_MESSAGES: "response_messages_total",
} as const;
/** What `match.metric` may say. */
const metricNames = ["ALL_METRICS", ...(Object.keys(STANDARD_METRICS) as (keyof typeof STANDARD_METRICS)[])] as const;

const metricsOverride = s.object({
  match: s.object({ metric: s.oneOf(metricNames), customMetric: s.string(), mode }),
  disabled: s.boolean(),
  tagOverrides: s.map(s.object({ operation: s.oneOf(["UPSERT", "REMOVE"]), value: s.string() })),
});

/** telemetry.istio.io Telemetry. */
export const telemetryBody = s.object({
  spec: s.object({
    selector: workloadSelector,
    ...targetFields,
    metrics: s.array(s.object({ providers, overrides: s.array(metricsOverride), reportingInterval: s.duration() })),
    accessLogging: s.array(
      s.object({
        providers,
        match: s.object({ mode }),
        disabled: s.boolean(),
        filter: s.object({ expression: s.required(s.string()) }),
      }),
    ),
    tracing: s.array(
      s.object({
        providers,
        match: s.object({ mode }),
        randomSamplingPercentage: s.number({ min: 0, max: 100 }),
        disableSpanReporting: s.boolean(),
        customTags: s.map(customTag),
        useRequestIdForTraceSampling: s.boolean(),
        enableIstioTags: s.boolean(),
        disableContextPropagation: s.unsupported(s.boolean(), LATER),
      }),
    ),
  }),
});
