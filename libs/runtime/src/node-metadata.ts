/** Variables of a process. */
type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Metadata of an xDS node from variables, as Istio's agents make it: `ISTIO_META_X=v` is X, `ISTIO_METAJSON_X` the same from JSON.
 * @param problems receives what is no JSON.
 */
export function environmentMetadata(env: Environment, problems: string[]): Record<string, unknown> {
  const metadata: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (name.startsWith("ISTIO_METAJSON_")) {
      metadata[name.slice("ISTIO_METAJSON_".length)] = jsonOf(name, value, problems);
    } else if (name.startsWith("ISTIO_META_")) metadata[name.slice("ISTIO_META_".length)] = value;
  }
  return metadata;
}

/** A variable's JSON; undefined, with a problem, when it is none. */
export function jsonOf(name: string, value: string, problems: string[]): unknown {
  try {
    return JSON.parse(value);
  } catch {
    problems.push(`${name}: not JSON`);
    return undefined;
  }
}

/** Where a workload is, by the labels that Istio and Kubernetes use; `istio-locality` writes `.` for `/`. Undefined: they do not say. */
export function labelledLocality(
  labels: Readonly<Record<string, string>>,
): { readonly region: string; readonly zone: string; readonly subZone: string } | undefined {
  const written = labels["istio-locality"];
  const parts = written
    ? (written.includes("/") ? written : written.replaceAll(".", "/")).split("/")
    : [
        labels["topology.kubernetes.io/region"],
        labels["topology.kubernetes.io/zone"],
        labels["topology.istio.io/subzone"],
      ];
  const [region = "", zone = "", subZone = ""] = parts;
  return region === "" ? undefined : { region, zone, subZone };
}
