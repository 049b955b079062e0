import { celProblem } from "@lateen/cel";
import { type MetricConfig, PluginConfig, Reporter } from "@lateen/proto/istio/stats/stats";
import type { MetricChangeSpec, MetricsSpec } from "../plan.ts";
import { decodeBytes } from "./any.ts";
import { join, millis, onlyFields, refuse } from "./fields.ts";

/** What this proxy reports, without `istio_`; of the last two it reports nothing, so that changing them changes nothing. */
const METRICS: ReadonlySet<string> = new Set([
  "",
  "requests_total",
  "request_duration_milliseconds",
  "request_bytes",
  "response_bytes",
  "tcp_connections_opened_total",
  "tcp_connections_closed_total",
  "tcp_sent_bytes_total",
  "tcp_received_bytes_total",
  "request_messages_total",
  "response_messages_total",
]);

/** @see stats.PluginConfig @throws Refusal naming what would not be honoured. */
export function metricsSpec(bytes: Uint8Array, at: string): MetricsSpec {
  const config = decodeBytes(bytes, PluginConfig, at);
  onlyFields(config, at, ["disableHostHeaderFallback", "tcpReportingDuration", "metrics", "reporter"]);
  if (config.reporter !== Reporter.UNSPECIFIED)
    refuse(join(at, "reporter"), "only the default is supported by this proxy");
  const changes = config.metrics.map((metric, index) => change(metric, join(at, `metrics[${index}]`)));
  return {
    ...(changes.length === 0 ? {} : { changes }),
    ...(config.tcpReportingDuration === undefined
      ? {}
      : { tcpReportingMs: millis(config.tcpReportingDuration, 0, join(at, "tcp_reporting_duration")) }),
    ...(config.disableHostHeaderFallback ? { ignoresHost: true } : {}),
  };
}

function change(metric: MetricConfig, at: string): MetricChangeSpec {
  onlyFields(metric, at, ["dimensions", "name", "tagsToRemove", "drop"]);
  if (!METRICS.has(metric.name)) refuse(join(at, "name"), `${metric.name} is no metric of this proxy`);
  for (const [label, expression] of Object.entries(metric.dimensions)) {
    const problem = celProblem(expression, "label");
    if (problem !== undefined) refuse(join(at, `dimensions[${label}]`), problem);
  }
  return { metric: metric.name, tags: metric.dimensions, removedTags: metric.tagsToRemove, drop: metric.drop };
}
