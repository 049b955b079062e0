type Texts = Readonly<Record<string, string>>;

/** Annotations by which Prometheus finds what to scrape, and what the application's were. */
export interface PrometheusMerge {
  readonly annotations: Texts;
  /** ISTIO_PROMETHEUS_ANNOTATIONS: JSON of scrape, path and port; empty when the pod had none. */
  readonly original: string;
}

/**
 * Points Prometheus at the proxy's status port, which answers with the application's metrics and its own: so they can be scraped without a
 * certificate, with one annotation for both.
 */
export function mergePrometheus(annotations: Texts, statusPort: number): PrometheusMerge {
  const named = { scrape: "prometheus.io/scrape", path: "prometheus.io/path", port: "prometheus.io/port" } as const;
  const original: Record<string, string> = {};
  for (const [field, name] of Object.entries(named)) {
    const value = annotations[name];
    if (value !== undefined && value !== "") original[field] = value;
  }
  const ours = original.port === String(statusPort);
  return {
    annotations: {
      [named.scrape]: "true",
      [named.path]: "/stats/prometheus",
      [named.port]: String(statusPort),
    },
    original: ours || Object.keys(original).length === 0 ? "" : JSON.stringify(original),
  };
}
