import { type Clock, type Logger, messageOf } from "@lateen/kernel";
import { durationToMs } from "@lateen/proto";
import type { Node } from "@lateen/proto/envoy/config/core/v3/base";
import type {
  AccessLogCommon,
  HTTPAccessLogEntry,
  TCPAccessLogEntry,
} from "@lateen/proto/envoy/data/accesslog/v3/accesslog";
import type { StreamAccessLogsMessage } from "@lateen/proto/envoy/service/accesslog/v3/als";
import { type CallLabels, createMixerMetrics, type MixerMetrics } from "./metrics.ts";
import { directionOf, peerOf, type Reporter, reporterOf, splitServiceHost, UNKNOWN } from "./reporter.ts";
import { responseFlagsText } from "./response-flags.ts";

export interface MixerLimits {
  /** Series per metric; further ones share an overflow series. Default 2000. */
  readonly maxSeries?: number;
  /** Entries of one message that are counted; the rest is dropped and counted as dropped. Default 10,000. */
  readonly maxEntriesPerMessage?: number;
}

export interface MixerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: MixerLimits;
}

/** Turns the proxies' access log streams into metrics of the mesh. */
export interface Mixer {
  /**
   * Takes one message of a stream. Envoy names its node only in a stream's first message, so the caller passes the node it
   * remembers; a node in the message goes before it. Never throws.
   */
  receive(message: StreamAccessLogsMessage, node: Node | undefined): void;
  /** Prometheus text. */
  metrics(): string;
}

/** Warnings about entries that cannot be read, at most one in this time. */
const WARN_EVERY_MS = 10_000;

export function createMixer(options: MixerOptions): Mixer {
  const limits = { maxSeries: 2000, maxEntriesPerMessage: 10_000, ...options.limits };
  const metrics = createMixerMetrics(limits.maxSeries);
  const logger = options.logger.child({ component: "mixer" });
  let warnedAt = Number.NEGATIVE_INFINITY;

  function each<E>(entries: readonly E[], count: (entry: E) => void): void {
    const counted = entries.slice(0, limits.maxEntriesPerMessage);
    if (counted.length < entries.length) {
      metrics.dropped.add({ reason: "message_too_large" }, entries.length - counted.length);
    }
    for (const entry of counted) {
      try {
        count(entry);
      } catch (error) {
        metrics.dropped.add({ reason: "unreadable" });
        const now = options.clock.monotonic();
        if (now - warnedAt < WARN_EVERY_MS) continue;
        warnedAt = now;
        logger.warn({ event: "report.unreadable", error: messageOf(error) });
      }
    }
  }

  return {
    receive(message, node) {
      const reporter = reporterOf(message.identifier?.node ?? node);
      const entries = message.logEntries;
      switch (entries?.$case) {
        case "httpLogs":
          each(entries.value.logEntry, (entry) => countHttp(metrics, reporter, entry));
          return;
        case "tcpLogs":
          each(entries.value.logEntry, (entry) => countTcp(metrics, reporter, entry));
          return;
        case undefined:
          return;
        default:
          entries satisfies never;
      }
    },
    metrics: () => metrics.registry.exposition(),
  };
}

function countHttp(metrics: MixerMetrics, reporter: Reporter, entry: HTTPAccessLogEntry): void {
  const common = entry.commonProperties;
  if (common?.intermediateLogEntry) {
    metrics.dropped.add({ reason: "intermediate" });
    return;
  }
  const code = entry.response?.responseCode ?? 0;
  const labels = { ...callLabels(reporter, common, httpProtocol(entry)), response_code: String(code) };
  metrics.entries.add({ protocol: "http" });
  metrics.requests.add(labels);
  metrics.requestBytes.observe(sum(entry.request?.requestHeadersBytes, entry.request?.requestBodyBytes), labels);
  metrics.responseBytes.observe(sum(entry.response?.responseHeadersBytes, entry.response?.responseBodyBytes), labels);
  const duration = common?.duration ?? common?.timeToLastDownstreamTxByte;
  if (duration) metrics.duration.observe(durationToMs(duration), labels);
}

function countTcp(metrics: MixerMetrics, reporter: Reporter, entry: TCPAccessLogEntry): void {
  // Entries in between carry sums since the start; only the last one is counted, once.
  if (entry.commonProperties?.intermediateLogEntry) {
    metrics.dropped.add({ reason: "intermediate" });
    return;
  }
  const labels = callLabels(reporter, entry.commonProperties, "tcp");
  metrics.entries.add({ protocol: "tcp" });
  metrics.tcpClosed.add(labels);
  metrics.tcpSent.add(labels, sum(entry.connectionProperties?.sentBytes));
  metrics.tcpReceived.add(labels, sum(entry.connectionProperties?.receivedBytes));
}

/** The Host header is never a label: callers choose it freely. */
function callLabels(reporter: Reporter, common: AccessLogCommon | undefined, protocol: string): CallLabels {
  const direction = directionOf(common, reporter);
  const peer = peerOf(common);
  const atSource = direction.reporter === "source";
  const service = splitServiceHost(direction.service);
  return {
    reporter: direction.reporter,
    source_workload: atSource ? reporter.workload : UNKNOWN,
    source_workload_namespace: atSource ? reporter.namespace : peer.namespace,
    source_principal: atSource ? UNKNOWN : peer.principal,
    source_canonical_service: atSource ? reporter.canonicalService : UNKNOWN,
    destination_workload: atSource ? UNKNOWN : reporter.workload,
    destination_workload_namespace: atSource ? service.namespace : reporter.namespace,
    destination_service: direction.service || UNKNOWN,
    destination_service_name: atSource || direction.service ? service.name : reporter.canonicalService,
    destination_service_namespace: atSource ? service.namespace : reporter.namespace,
    destination_canonical_service: atSource ? UNKNOWN : reporter.canonicalService,
    request_protocol: protocol,
    response_flags: responseFlagsText(common?.responseFlags),
    connection_security_policy: atSource ? UNKNOWN : peer.mutualTls ? "mutual_tls" : "none",
  };
}

function httpProtocol(entry: HTTPAccessLogEntry): string {
  const contentType = entry.request?.requestHeaders["content-type"] ?? "";
  const grpc =
    contentType.startsWith("application/grpc") || entry.response?.responseTrailers["grpc-status"] !== undefined;
  return grpc ? "grpc" : "http";
}

function sum(...counts: readonly (bigint | undefined)[]): number {
  return counts.reduce<number>((total, count) => total + Number(count ?? 0n), 0);
}
