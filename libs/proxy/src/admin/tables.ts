import type { ClusterSpec, LocalityEndpointsSpec } from "../config/plan.ts";
import type { BoundAddress } from "../worker/protocol.ts";

/** What a worker says about a cluster when asked; parts that are missing are shown as zero. */
export interface ClusterReport {
  readonly name: string;
  readonly endpoints: readonly {
    readonly address: string;
    readonly port: number;
    readonly healthy?: boolean;
    readonly ejected?: boolean;
    readonly counters?: Readonly<Record<string, number>>;
  }[];
}

/** Rows of `/clusters`. */
export interface ClusterRow {
  readonly spec: ClusterSpec;
  readonly localities: readonly LocalityEndpointsSpec[];
}

type HostFacts = { readonly ejected: boolean; readonly counters: Readonly<Record<string, number>> };

/** Reports of all workers by `cluster address:port`: counters summed, ejected when one worker ejected. */
function hostFacts(reports: readonly unknown[]): ReadonlyMap<string, HostFacts> {
  const facts = new Map<string, { ejected: boolean; counters: Record<string, number> }>();
  for (const report of reports) {
    for (const cluster of clusterReports(report)) {
      for (const endpoint of cluster.endpoints) {
        const key = `${cluster.name} ${endpoint.address}:${endpoint.port}`;
        const entry = facts.get(key) ?? { ejected: false, counters: {} };
        entry.ejected ||= endpoint.ejected === true;
        for (const [name, value] of Object.entries(endpoint.counters ?? {})) {
          entry.counters[name] = (entry.counters[name] ?? 0) + value;
        }
        facts.set(key, entry);
      }
    }
  }
  return facts;
}

function clusterReports(report: unknown): readonly ClusterReport[] {
  const list: unknown = Array.isArray(report) ? report : (report as { clusters?: unknown } | undefined)?.clusters;
  if (!Array.isArray(list)) return [];
  return list.filter(
    (entry: unknown): entry is ClusterReport =>
      typeof entry === "object" &&
      entry !== null &&
      "name" in entry &&
      "endpoints" in entry &&
      Array.isArray(entry.endpoints),
  );
}

/** Envoy's text form: `cluster::key::value` and `cluster::host:port::key::value`. */
export function clustersText(rows: readonly ClusterRow[], reports: readonly unknown[]): string {
  const facts = hostFacts(reports);
  const lines: string[] = [];
  for (const { spec, localities } of rows) {
    const limits = spec.circuitBreakers;
    const name = spec.name;
    lines.push(
      `${name}::default_priority::max_connections::${limits.maxConnections}`,
      `${name}::default_priority::max_pending_requests::${limits.maxPendingRequests}`,
      `${name}::default_priority::max_requests::${limits.maxRequests}`,
      `${name}::default_priority::max_retries::${limits.maxRetries}`,
      `${name}::added_via_api::true`,
    );
    for (const locality of localities) {
      for (const endpoint of locality.endpoints) {
        const host = `${endpoint.address}:${endpoint.port}`;
        const known = facts.get(`${name} ${host}`);
        for (const [counter, value] of Object.entries(known?.counters ?? {}))
          lines.push(`${name}::${host}::${counter}::${value}`);
        lines.push(
          `${name}::${host}::hostname::`,
          `${name}::${host}::health_flags::${healthFlags(endpoint.healthy, known?.ejected ?? false)}`,
          `${name}::${host}::weight::${endpoint.weight}`,
          `${name}::${host}::region::${locality.region}`,
          `${name}::${host}::zone::${locality.zone}`,
          `${name}::${host}::sub_zone::${locality.subZone}`,
          `${name}::${host}::priority::${locality.priority}`,
        );
      }
    }
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function healthFlags(healthy: boolean, ejected: boolean): string {
  if (!healthy) return "/failed_eds_health";
  return ejected ? "/failed_outlier_check" : "healthy";
}

/** @see envoy.admin.v3.Clusters */
export function clustersJson(rows: readonly ClusterRow[], reports: readonly unknown[]): unknown {
  const facts = hostFacts(reports);
  return {
    clusterStatuses: rows.map(({ spec, localities }) => ({
      name: spec.name,
      addedViaApi: true,
      hostStatuses: localities.flatMap((locality) =>
        locality.endpoints.map((endpoint) => {
          const known = facts.get(`${spec.name} ${endpoint.address}:${endpoint.port}`);
          return {
            address: { socketAddress: { address: endpoint.address, portValue: endpoint.port } },
            stats: Object.entries(known?.counters ?? {}).map(([name, value]) => ({ name, value: String(value) })),
            healthStatus: {
              edsHealthStatus: endpoint.healthy ? "HEALTHY" : "UNHEALTHY",
              ...(known?.ejected === true ? { failedOutlierCheck: true } : {}),
            },
            weight: endpoint.weight,
            priority: locality.priority,
            locality: { region: locality.region, zone: locality.zone, subZone: locality.subZone },
          };
        }),
      ),
      circuitBreakers: { thresholds: [{ ...spec.circuitBreakers }] },
      ...(spec.origin === undefined ? {} : { origin: spec.origin }),
    })),
  };
}

/** `name::address:port`, one a line. */
export function listenersText(bound: readonly BoundAddress[]): string {
  return bound.map(({ listener, address, port }) => `${listener}::${address}:${port}\n`).join("");
}

/** @see envoy.admin.v3.Listeners */
export function listenersJson(bound: readonly BoundAddress[]): unknown {
  return {
    listenerStatuses: bound.map(({ listener, address, port }) => ({
      name: listener,
      localAddress: { socketAddress: { address, portValue: port } },
    })),
  };
}
