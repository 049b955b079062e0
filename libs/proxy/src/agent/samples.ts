import { types } from "./configuration.ts";
import type { AgentSample } from "./exposition.ts";
import type { AgentParts } from "./parts.ts";

const DAY_MS = 86_400_000;
const XDS_NAMES: Readonly<Record<string, string>> = {
  [types.cluster]: "cds",
  [types.endpoint]: "eds",
  [types.listener]: "lds",
  [types.route]: "rds",
  [types.nameTable]: "nds",
  [types.secret]: "sds",
};

/** What the agent counts itself. Names as Envoy's and Istio's agent have them where those have one. */
export function agentSamples(parts: AgentParts): readonly AgentSample[] {
  return [...serverSamples(parts), ...identitySamples(parts), ...configurationSamples(parts), ...lossSamples(parts)];
}

function gauge(name: string, help: string, value: number, labels?: AgentSample["labels"]): AgentSample {
  return { name, kind: "gauge", help, value, ...(labels === undefined ? {} : { labels }) };
}
function counter(name: string, help: string, value: number, labels?: AgentSample["labels"]): AgentSample {
  return { ...gauge(name, help, value, labels), kind: "counter" };
}

function serverSamples({ deps, config, pool, status, startedAtMs }: AgentParts): readonly AgentSample[] {
  const memory = process.memoryUsage.rss();
  return [
    gauge("envoy_server_live", "1 while the proxy is not draining", status.draining ? 0 : 1),
    gauge("envoy_server_uptime", "seconds since the start", Math.floor((deps.clock.now() - startedAtMs) / 1000)),
    gauge("envoy_server_concurrency", "data-path threads", config.concurrency),
    gauge("process_resident_memory_bytes", "resident memory of the process", memory),
    counter("istio_agent_scrape_failures_total", "scrapes that failed", status.failedAppScrapes, {
      type: "application",
    }),
    counter("lateen_proxy_worker_restarts_total", "data-path threads that died and were started again", pool.restarts),
  ];
}

function identitySamples({ deps, status }: AgentParts): readonly AgentSample[] {
  const { certificate } = status;
  if (certificate === undefined) return [];
  const left = (certificate.current?.notAfter ?? deps.clock.now()) - deps.clock.now();
  return [
    gauge("istio_agent_cert_expiry_seconds", "seconds until the workload certificate expires", left / 1000, {
      resource_name: "default",
    }),
    gauge("envoy_server_days_until_first_cert_expiring", "whole days", Math.max(0, Math.floor(left / DAY_MS))),
    counter("lateen_agent_certificates_issued_total", "certificates obtained from the CA", certificate.rotations),
    gauge("lateen_agent_certificate_failures", "attempts in a row that failed", certificate.failures),
  ];
}

function configurationSamples({ status, state, configuration }: AgentParts): readonly AgentSample[] {
  const { discovery } = status;
  const updates = [...(discovery?.updates ?? [])].map(([type, counts]) => [XDS_NAMES[type] ?? type, counts] as const);
  return [
    gauge("envoy_control_plane_connected_state", "1 while an xDS stream is open", discovery?.connected ? 1 : 0),
    ...updates.map(([type, { success }]) =>
      counter("lateen_agent_xds_updates_total", "responses taken over whole", success, { type }),
    ),
    ...updates.map(([type, { rejected }]) =>
      counter("lateen_agent_xds_rejects_total", "responses refused in part or whole", rejected, { type }),
    ),
    gauge("envoy_cluster_manager_active_clusters", "clusters in force", state.activeClusters().size),
    gauge("envoy_cluster_manager_warming_clusters", "clusters that wait", waiting(state.warming(), "cluster ")),
    gauge("envoy_listener_manager_total_listeners_active", "listeners in force", state.activeListeners().size),
    gauge(
      "envoy_listener_manager_total_listeners_warming",
      "listeners that wait",
      waiting(state.warming(), "listener "),
    ),
    gauge("lateen_agent_refused_resources", "resources refused and not replaced since", configuration.failures.size),
  ];
}

function waiting(names: readonly string[], prefix: string): number {
  return names.filter((name) => name.startsWith(prefix)).length;
}

function lossSamples({ status, logFiles }: AgentParts): readonly AgentSample[] {
  const { records, unsentRecords } = status;
  return [
    counter("lateen_access_log_records_sent_total", "records the log service took", records?.sent ?? 0),
    counter(
      "lateen_access_log_records_dropped_total",
      "records lost to a full queue or a missing service",
      (records?.dropped ?? 0) + unsentRecords,
    ),
    counter("lateen_access_log_bytes_dropped_total", "log text lost to a slow file", logFiles.droppedBytes),
  ];
}
