import { formatDuration } from "@lateen/kernel";
import { labelsMatch, type MeshConfig, meshConfigFromText, type ProxyConfig } from "@lateen/mesh-model";
import type { PodBlueprint } from "./types.ts";

const ANNOTATION = "proxy.istio.io/config";
/** More threads than this a proxy does not start. */
const MOST_THREADS = 64;

/** How a pod's proxy is started. */
export interface ProxySettings {
  /** Command-line flags by name. */
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  /** Milliseconds that its requests get to finish when it ends. */
  readonly drainMs: number;
}

/** What settings are made of. */
export interface SettingsInput {
  readonly config: MeshConfig;
  readonly proxyConfigs: readonly ProxyConfig[];
  readonly pod: Pick<PodBlueprint, "namespace" | "labels" | "annotations">;
  /** Processors of this machine: what concurrency 0 stands for. */
  readonly processors: number;
}

/**
 * Settings of a pod's proxy, field by field the most specific: annotation `proxy.istio.io/config`, ProxyConfig of the workload, of its
 * namespace, of the root namespace, `defaultConfig` of the mesh. An annotation that cannot be read says nothing.
 */
export function proxySettings({ config, proxyConfigs, pod, processors }: SettingsInput): ProxySettings {
  const annotated = annotation(pod.annotations[ANNOTATION], config);
  const base = config.defaultConfig;
  const levels = [
    objectOf(proxyConfigs, config.rootNamespace, {}),
    ...(pod.namespace === config.rootNamespace ? [] : [objectOf(proxyConfigs, pod.namespace, {})]),
    objectOf(proxyConfigs, pod.namespace, pod.labels),
  ];
  const specs = levels.flatMap((object) => object?.spec ?? []);
  const concurrency =
    annotated.concurrency ?? specs.findLast((spec) => spec.concurrency !== undefined)?.concurrency ?? base.concurrency;
  const environment = Object.assign(
    { ...base.proxyMetadata },
    ...specs.map((spec) => spec.environmentVariables ?? {}),
    annotated.proxyMetadata,
  ) as Record<string, string>;
  const drainMs = annotated.terminationDrainDurationMs ?? base.terminationDrainDurationMs;
  return {
    flags: {
      ...(concurrency === undefined
        ? {}
        : { concurrency: String(Math.min(MOST_THREADS, concurrency === 0 ? processors : concurrency)) }),
      "drain-time": formatDuration(drainMs),
    },
    environment,
    drainMs,
  };
}

/** With labels the oldest object whose selector they meet, without the oldest that has none. */
function objectOf(
  all: readonly ProxyConfig[],
  namespace: string,
  labels: Readonly<Record<string, string>>,
): ProxyConfig | undefined {
  const wide = Object.keys(labels).length === 0;
  const age = ({ metadata }: ProxyConfig) => Date.parse(metadata.creationTimestamp ?? "") || 0;
  return all
    .filter(({ metadata }) => metadata.namespace === namespace)
    .sort((a, b) => age(a) - age(b) || (a.metadata.name < b.metadata.name ? -1 : 1))
    .find(({ spec }) => {
      const selector = spec?.selector?.matchLabels ?? {};
      const none = Object.keys(selector).length === 0;
      return wide ? none : !none && labelsMatch(selector, labels);
    });
}

type Annotated = Partial<Pick<MeshConfig["defaultConfig"], "concurrency" | "terminationDrainDurationMs">> & {
  readonly proxyMetadata: Readonly<Record<string, string>>;
};

function annotation(text: string | undefined, config: MeshConfig): Annotated {
  if (text === undefined) return { proxyMetadata: {} };
  const indented = text.replaceAll(/^/gm, "  ");
  const unset = { ...config.defaultConfig, concurrency: undefined, proxyMetadata: {}, terminationDrainDurationMs: -1 };
  const read = meshConfigFromText(`defaultConfig:\n${indented}`, ANNOTATION, { ...config, defaultConfig: unset });
  if (!read.ok) return { proxyMetadata: {} };
  const { concurrency, proxyMetadata, terminationDrainDurationMs } = read.value.defaultConfig;
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(terminationDrainDurationMs < 0 ? {} : { terminationDrainDurationMs }),
    proxyMetadata,
  };
}
