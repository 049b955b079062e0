import { type MeshConfig, STANDARD_METRICS, type Telemetry } from "@lateen/mesh-model";
import type { Side } from "./telemetry.ts";

type Metrics = NonNullable<NonNullable<Telemetry["spec"]>["metrics"]>[number];
type Override = NonNullable<Metrics["overrides"]>[number];

/** How one standard metric differs from what it is without any Telemetry. */
export interface MetricChange {
  /** Without `istio_`. */
  readonly metric: string;
  readonly disabled: boolean;
  /** CEL by label; undefined: the label is left out. */
  readonly tags: Readonly<Record<string, string | undefined>>;
}

/** What Telemetry objects say of the standard metrics of a workload on one side; `off`: none is reported. */
export type MetricsUse =
  | "off"
  | {
      /** One for each metric that differs. */
      readonly changes: readonly MetricChange[];
      /** As written; undefined: at once. */
      readonly reportingInterval: string | undefined;
    };

const ALL: readonly string[] = Object.values(STANDARD_METRICS);
/** The provider of a mesh that names none. */
const DEFAULT_PROVIDERS: readonly string[] = ["prometheus"];

/**
 * The most specific object that names providers decides which there are, and each entry is for those in force where it stands.
 * Overrides count one after the other, the least specific first: for each metric, and each of its labels, the last word holds.
 * @param levels of one workload, the least specific first. Undefined: all metrics are as they are by default.
 */
export function metricsOf(levels: readonly Telemetry[], config: MeshConfig, side: Side): MetricsUse | undefined {
  const defaults = config.defaultProviders.metrics.length > 0 ? config.defaultProviders.metrics : DEFAULT_PROVIDERS;
  const entries = levels.flatMap(({ spec }) => spec?.metrics ?? []);
  const inForce = entries.reduce<readonly string[]>((before, entry) => namesOf(entry) ?? before, defaults);
  const reports = (provider: string): boolean =>
    inForce.includes(provider) && config.extensionProviders.some((one) => one.name === provider && one.prometheus);
  if (!inForce.some(reports)) return "off";
  const changes = new Map<string, MetricChange>();
  let interval: string | undefined;
  let inherited = defaults;
  for (const entry of entries) {
    inherited = namesOf(entry) ?? inherited;
    if (!inherited.some(reports)) continue;
    interval = entry.reportingInterval ?? interval;
    for (const override of entry.overrides ?? []) {
      if (!holds(override, side)) continue;
      for (const metric of metricsNamed(override)) changes.set(metric, changed(changes.get(metric), metric, override));
    }
  }
  if (ALL.every((metric) => changes.get(metric)?.disabled)) return "off";
  const differing = ALL.flatMap((metric) => changes.get(metric) ?? []).filter(
    ({ disabled, tags }) => disabled || Object.keys(tags).length > 0,
  );
  return differing.length === 0 && interval === undefined
    ? undefined
    : { changes: differing, reportingInterval: interval };
}

function namesOf({ providers = [] }: Metrics): readonly string[] | undefined {
  return providers.length === 0 ? undefined : providers.map(({ name }) => name);
}

function holds({ match }: Override, side: Side): boolean {
  return match?.mode === undefined || match.mode === "CLIENT_AND_SERVER" || match.mode === side;
}

function metricsNamed({ match }: Override): readonly string[] {
  if (match?.customMetric !== undefined) return [match.customMetric];
  const { metric = "ALL_METRICS" } = match ?? {};
  return metric === "ALL_METRICS" ? ALL : [STANDARD_METRICS[metric]];
}

function changed(before: MetricChange | undefined, metric: string, { disabled, tagOverrides }: Override): MetricChange {
  const tags = Object.entries(tagOverrides ?? {}).map(
    ([name, { operation, value }]) => [name, operation === "REMOVE" ? undefined : value] as const,
  );
  return {
    metric,
    disabled: disabled ?? before?.disabled ?? false,
    tags: { ...before?.tags, ...Object.fromEntries(tags) },
  };
}
