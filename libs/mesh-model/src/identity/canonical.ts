type Labels = Readonly<Record<string, string>>;

/**
 * The canonical service a workload belongs to, for metrics: label `service.istio.io/canonical-name`, else
 * `app.kubernetes.io/name`, else `app`, else the workload's name.
 */
export function canonicalServiceOf(labels: Labels, workload: string): string {
  return (
    labels["service.istio.io/canonical-name"] || labels["app.kubernetes.io/name"] || labels.app || workload || "unknown"
  );
}

/** Its revision: label `service.istio.io/canonical-revision`, else `app.kubernetes.io/version`, else `version`, else `latest`. */
export function canonicalRevisionOf(labels: Labels): string {
  return (
    labels["service.istio.io/canonical-revision"] || labels["app.kubernetes.io/version"] || labels.version || "latest"
  );
}
